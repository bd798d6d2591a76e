"""Every format of the table, written together and read back by other programs."""

from __future__ import annotations

import csv
import json
import unicodedata

import numpy as np
import pytest
import tifffile
import yaml
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from PIL import Image
from pycocotools.coco import COCO

from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.io.export import export_images
from napari_cliper.io.filenames import file_name
from napari_cliper.io.files import FileError, whole_files
from napari_cliper.io.formats import FORMATS, check_formats
from napari_cliper.io.own_files import RECORD
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import InvalidInputError

CLASSES = {index: ClassRow(kind.name) for index, kind in enumerate(KINDS, 1)}


def annotated(name, seed=4, **fields):
    scene = make_scene((64, 80), seed)
    return LabelledImage(name, scene.labels, CLASSES, image=scene.image, **fields)


def test_all_formats_of_two_images_say_the_same(tmp_path):
    images = [annotated("one"), annotated("two words", 9, pixel_size=(0.5, 0.25))]
    made = export_images(tmp_path / "out", images, list(FORMATS))
    assert sorted(path.name for path in made) == sorted(FORMATS)
    folder = tmp_path / "out"
    coco = COCO(str(folder / "coco" / "stuff.json"))
    by_file = {entry["file_name"]: entry["id"] for entry in coco.dataset["images"]}
    for image in images:
        labels, name = image.labels, image.name
        np.testing.assert_array_equal(tifffile.imread(folder / "tiff" / f"{name}.tif"), labels)
        np.testing.assert_array_equal(
            np.squeeze(tifffile.imread(folder / "ome-tiff" / f"{name}.ome.tif")), labels
        )
        for path in (f"png/{name}.png", f"plain-png/{name}_labels.png"):
            with Image.open(folder / path) as picture:
                np.testing.assert_array_equal(np.array(picture), labels)
        with np.load(folder / "numpy" / f"{name}.npz", allow_pickle=False) as file:
            np.testing.assert_array_equal(file["labels"], labels)
        nodes = list(Reader(parse_url(folder / "ome-zarr" / f"{name}.ome.zarr"))())
        stored = [node.data[0].compute() for node in nodes if node.data]
        assert any(np.array_equal(np.squeeze(one), labels) for one in stored)
        painted = np.zeros_like(labels)
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=by_file[name])):
            painted[coco.annToMask(annotation) > 0] = annotation["category_id"]
        np.testing.assert_array_equal(painted, labels)
        features = json.loads((folder / "geojson" / f"{name}.geojson").read_text())["features"]
        assert {one["properties"]["classification"]["name"] for one in features} == {
            CLASSES[label].name for label in np.unique(labels) if label
        }
        with (folder / "csv" / f"{name}_classes.csv").open(encoding="utf-8-sig") as file:
            areas = [row for row in csv.DictReader(file) if row["class"] in
                     {one["properties"]["classification"]["name"] for one in features}]  # fmt: skip
        assert len(areas) == len(np.unique(labels[labels > 0]))
        with Image.open(folder / "overlay" / f"{name}_overlay.png") as picture:
            assert picture.height >= 64
    data = yaml.safe_load((folder / "yolo" / "data.yaml").read_text())
    assert list(data["names"].values()) == [kind.name for kind in KINDS]
    assert len(list((folder / "yolo" / "labels").rglob("*.txt"))) == 2


def test_a_stack_goes_plane_by_plane_where_a_format_needs_it(tmp_path):
    scenes = [make_scene((40, 40), seed) for seed in (1, 2, 3)]
    stack = LabelledImage(
        "stack",
        np.stack([scene.labels for scene in scenes]),
        CLASSES,
        image=np.stack([scene.image[..., 0] for scene in scenes]),
    )
    export_images(tmp_path, [stack], list(FORMATS))
    assert sorted(p.name for p in (tmp_path / "png").glob("[!.]*")) == [
        "stack_plane0.png", "stack_plane1.png", "stack_plane2.png"
    ]  # fmt: skip
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "tiff" / "stack.tif"), stack.labels)
    assert len(COCO(str(tmp_path / "coco" / "instances.json")).dataset["images"]) == 3


@pytest.mark.parametrize("name", list(FORMATS))
def test_nothing_is_replaced_unless_allowed_and_nothing_is_left_of_a_failure(tmp_path, name):
    export_images(tmp_path, [annotated("one")], [name])

    def content():
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}

    before = content()
    with pytest.raises(FileError, match="already exists"):
        export_images(tmp_path, [annotated("one", 5)], [name])
    assert content() == before
    made = export_images(tmp_path, [annotated("one", 5)], [name], overwrite=True)
    assert {path.name for path in tmp_path.glob("[!.]*")} == {path.name for path in made}


def test_what_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="Unknown format 'bmp'"):
        export_images(tmp_path, [annotated("one")], ["png", "bmp"])
    with pytest.raises(InvalidInputError, match="No format"):
        check_formats([])
    assert list(tmp_path.glob("[!.]*")) == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((("a/b", ""), ("A_b", "")), ["a_b", "A_b 2"]),
        ((("a", "a.png"), ("a", "a.jpg")), ["a_png", "a_jpg"]),
        ((("001", "train/001.png"), ("001", "val/001.png")), ["train_001", "val_001"]),
        ((("caf\u00e9", ""), ("cafe\u0301", "")), ["caf\u00e9", "cafe\u0301 2"]),
        ((("A", "A.png"), ("a", "a.png"), ("b", "b.png")), ["A_png", "a_png 2", "b"]),
        ((("a", "a.png"), ("a.ome", "a.ome.tif")), ["a_png", "a_tif"]),
    ],
)
def test_images_of_one_name_have_files_that_every_system_tells_apart(tmp_path, names, expected):
    images = [annotated(name, image_file=file) for name, file in names]
    made = export_images(tmp_path, images, ["png"])
    assert sorted(path.name for path in made) == sorted(f"{name}.png" for name in expected)
    export_images(tmp_path / "sets", images, ["coco", "yolo"])
    record = json.loads((tmp_path / "sets" / "coco" / "instances.json").read_text())
    for found in (
        [one["file_name"] for one in record["images"]],
        [path.name for path in (tmp_path / "sets" / "yolo" / "labels").rglob("*.txt")],
        [path.name for path in (tmp_path / "sets" / "yolo" / "images").rglob("*.png")],
    ):
        alike = {unicodedata.normalize("NFC", name).casefold() for name in found}
        assert len(alike) == len(found) == len(images)


def test_an_image_that_is_called_like_a_plane_of_another_is_refused(tmp_path):
    stack = LabelledImage("a", np.zeros((2, 8, 8), np.uint8), CLASSES, axes="ZYX")
    plane = LabelledImage("a_z0", np.zeros((8, 8), np.uint8), CLASSES)
    with pytest.raises(InvalidInputError, match=r"Two images have the same file name a_z0\.png"):
        export_images(tmp_path, [stack, plane], ["png"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", "plain"),
        ("a/b\\c:d", "a_b_c_d"),
        ("CON", "_CON"),
        ("nul.tif", "_nul"),
        ("cells.tif", "cells"),
        ("cells.ome.tif", "cells"),
        ("cells.ome", "cells"),
        ("cells v1.5", "cells v1.5"),
        (".hidden", "_.hidden"),
        ("..", "image"),
        (" dots. ", "dots"),
        ("", "image"),
        ("細胞 No 1", "細胞 No 1"),
        ("tab\there", "tab_here"),
        ("half \udc80", "half _"),
    ],
)
def test_any_name_can_be_a_file(tmp_path, name, expected):
    made = export_images(tmp_path, [annotated(name)], ["png"])
    assert [path.name for path in made] == [f"{expected}.png"]
    assert made[0].exists()


def test_a_long_name_is_cut_between_characters():
    cut = file_name("細" * 300)
    assert set(cut) == {"細"}
    assert len(cut.encode()) <= 180


def test_a_move_that_fails_puts_everything_back(tmp_path, monkeypatch):
    with whole_files(tmp_path) as staging:
        (staging / "a.txt").write_text("first")
        (staging / "set.zarr").mkdir()
        (staging / "set.zarr" / "chunk").write_text("first")
    (tmp_path / "mine.txt").write_text("kept")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    real = type(tmp_path).replace

    def failing(path, target):
        if path.name == "set.zarr" and target == tmp_path / "set.zarr" and path.parent != tmp_path:
            raise PermissionError(13, "Permission denied")
        return real(path, target)

    monkeypatch.setattr(type(tmp_path), "replace", failing)
    with pytest.raises(FileError, match="permission"), whole_files(tmp_path) as staging:
        (staging / "a.txt").write_text("second")
        (staging / "new.txt").write_text("second")
        (staging / "set.zarr").mkdir()
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    record = tmp_path / RECORD
    assert before.pop(record) in after.pop(record)
    assert after == before
