"""`napari-cliper export --validation`: which images are for training, and which are not."""

from __future__ import annotations

import json

import numpy as np
import yaml
from pycocotools.coco import COCO
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.io.writers.png import write_indexed_png
from napari_cliper.io.writers.tiff import write_ome_tiff
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage


def export(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_images_for_validation_are_chosen_by_name_and_planes_stay_together(tmp_path):
    rows = {1: ClassRow("nucleus"), 2: ClassRow("fibre")}
    pixels = np.array([[1, 0], [0, 2]], np.uint8)
    files = [tmp_path / f"{name}.png" for name in "abcdefgh"]
    for path in files:
        write_indexed_png(path, LabelledImage(path.stem, pixels, rows))
    stack = np.stack([pixels] * 3)
    write_ome_tiff(tmp_path / "s.ome.tif", LabelledImage("s", stack, rows, axes="ZYX"))
    files.append(tmp_path / "s.ome.tif")
    sides = []
    for number, order in enumerate((files, files[::-1])):
        out = tmp_path / f"out {number}"
        result = export(
            *order, "--format", "coco", "--format", "yolo", "--validation", 0.25, "--output", out
        )
        assert result.exit_code == 0, result.output
        assert "2 of 9 images are for validation" in " ".join(result.stderr.split())
        found = {}
        for part in ("train", "val"):
            coco = COCO(out / "coco" / f"instances_{part}.json")
            assert {one["id"]: one["name"] for one in coco.cats.values()} == {
                1: "nucleus", 2: "fibre"
            }  # fmt: skip
            found[part] = sorted(one["file_name"].split(".")[0] for one in coco.imgs.values())
            stuff = json.loads((out / "coco" / f"stuff_{part}.json").read_text())
            assert len(stuff["images"]) == len(found[part])
            texts = (out / "yolo" / "labels" / part).glob("*.txt")
            assert sorted(path.stem for path in texts) == found[part]
        assert yaml.safe_load((out / "yolo" / "data.yaml").read_text())["val"] == "images/val"
        sides.append(found)
    assert sides[0] == sides[1]
    groups = {part: {name.split("_")[0] for name in names} for part, names in sides[0].items()}
    assert groups["train"] | groups["val"] == {*"abcdefgh", "s"}
    assert not groups["train"] & groups["val"]
    assert len(groups["val"]) == 2
    out = tmp_path / "alone"
    alone = export(files[0], "--format", "yolo", "--validation", 0.2, "--output", out)
    assert alone.exit_code == 0, alone.output
    assert "none for validation" in " ".join(alone.stderr.split())
    for wrong in (("png", 0.2), ("yolo", 1)):
        refused = export(files[0], "--format", wrong[0], "--validation", wrong[1], "--output", out)
        assert refused.exit_code == 2, refused.output
