"""Results of `segment` of every kind as input of `merge`, `export` and `evaluate`."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import psutil
import pytest
import tifffile
import zarr
from PIL import Image
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.demo.scenes import make_scene
from napari_cliper.evaluation.dataset import from_files
from napari_cliper.io import export, images
from napari_cliper.io.readers import label_files
from napari_cliper.labels import pieces
from napari_cliper.segmentation import Monitor

SIDES = {"large": (200, 260), "small": (56, 64)}


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def read_by_piece(small_limits):  # noqa: ARG001 - it is in force
    """The results of large images are read by piece, too."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(label_files, "LAZY_PIXELS", 30_000)
        patched.setattr(images, "LAZY_PIXELS", 30_000)
        patched.setattr(pieces, "PIECE", 64)
        yield


@pytest.fixture(scope="module")
def results(read_by_piece, tiny_clip, tmp_path_factory):  # noqa: ARG001 - it is in force
    """Images, and their results: one in OME-Zarr, one in TIFF; run as two shards and merged."""
    tmp_path = tmp_path_factory.mktemp("results")
    (tmp_path / "in").mkdir()
    for name, shape in SIDES.items():
        picture = make_scene(shape, len(name)).image
        tifffile.imwrite(tmp_path / "in" / f"{name}.tif", picture, tile=(64, 64))
    out = tmp_path / "results"
    options = ["--labels", "nucleus, crystal", "--model", tiny_clip, "--refiner", "pamr"]
    options += ["--templates", "word", "--shorter-side", "64", "--tile", "64", "--no-tile-cache"]
    options += ["--class-threshold", "0", "--background-threshold", "0.3", "--output", out]
    for shard in ("1/2", "2/2"):
        done = run("segment", tmp_path / "in", "--shard", shard, *options)
        assert done.exit_code == 0, done.output
    assert "Images: 2. Failed: 0" in run("merge", out).output
    assert "large" in (out / "uncertainty.csv").read_text("utf-8-sig")
    return tmp_path / "in", out, options


def labels_of(path):
    if path.suffix == ".zarr":
        group = zarr.open_group(path, mode="r")
        return group["labels/classes/0" if "labels" in group else "0"][...]
    return tifffile.imread(path)


def test_large_results_are_exported_piece_by_piece(results, tmp_path, monkeypatch):
    folder, out, _ = results
    sources = [out / "large_refined.ome.zarr", out / "small_refined.tif"]
    expected = {path.name.split("_")[0]: labels_of(path) for path in sources}
    assert [*np.unique(expected["large"])] == [0, 1, 2]
    sizes, piece = [], pieces.Pieces.piece

    def measured(self, rows, columns):
        sizes.append((rows.stop - rows.start) * (columns.stop - columns.start))
        return piece(self, rows, columns)

    (tmp_path / "classes.txt").write_text("crystal\nyeast\nnucleus\n")  # other numbers
    options = ["--images", folder, "--classes", tmp_path / "classes.txt"]
    with monkeypatch.context() as patched:
        patched.setattr(pieces.Pieces, "piece", measured)
        able = [*sources, *options, "--format", "ome-zarr", "--format", "ome-zarr-0.5"]
        done = run("export", *able, "--output", tmp_path / "able")
    assert done.exit_code == 0, done.output
    assert max(sizes) <= 64 * 64
    done = run(
        "export", *sources, *options, "--format", "ome-tiff", "--format", "png", "--format",
        "yolo", "--output", tmp_path / "others",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    again = tmp_path / "able" / "ome-zarr" / "large_refined.ome.zarr"  # an image with its labels
    done = run("export", again, "--format", "tiff", "--output", tmp_path / "again")
    assert done.exit_code == 0, done.output
    renumbered = np.array([0, 3, 1])
    for name, labels in expected.items():
        for path in (
            tmp_path / "able" / "ome-zarr" / f"{name}_refined.ome.zarr",
            tmp_path / "able" / "ome-zarr-0.5" / f"{name}_refined.ome.zarr",
            tmp_path / "others" / "ome-tiff" / f"{name}_refined.ome.tif",
        ):
            np.testing.assert_array_equal(labels_of(path), renumbered[labels])
        with Image.open(tmp_path / "others" / "png" / f"{name}_refined.png") as png:
            np.testing.assert_array_equal(np.array(png), renumbered[labels])
    pixels = zarr.open_group(again, mode="r")["0"][...]
    np.testing.assert_array_equal(np.moveaxis(pixels, 0, -1), tifffile.imread(folder / "large.tif"))
    names = [path.stem for path in (tmp_path / "others" / "yolo" / "labels" / "train").iterdir()]
    assert sorted(names) == ["large", "small"]
    np.testing.assert_array_equal(
        labels_of(tmp_path / "again" / "large_refined.tif"), renumbered[expected["large"]]
    )

    # what does not fit in the memory is refused before anything is written
    free = psutil.virtual_memory()._replace(available=200 * 260 * export.EXPORT_BYTES - 1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    refused = run("export", *sources, "--format", "coco", "--output", tmp_path / "refused")
    assert refused.exit_code == 2
    assert "COCO JSON of an image of 200 x 260 px need" in " ".join(refused.stderr.split())
    assert "OME-TIFF, OME-Zarr" in " ".join(refused.stderr.split())
    assert not (tmp_path / "refused").exists()
    image = run("export", tmp_path / "in.ome.zarr", "--format", "png", "--output", tmp_path / "x")
    assert image.exit_code == 2


def test_results_are_ground_truth(results, tmp_path):
    folder, out, _ = results
    (tmp_path / "classes.txt").write_text("nucleus\ncrystal\n")
    data = from_files(folder, out, tmp_path / "classes.txt")
    data.check(Monitor())
    assert data.notes == ()
    found = {pair.name: (pair.truth.name, data.truth(pair)) for pair in data.pairs}
    assert found["large"][0] == "large_refined.ome.zarr"
    assert found["small"][0] == "small_refined.tif"
    for name, truth in found.values():
        np.testing.assert_array_equal(truth, labels_of(out / name))
    store = tmp_path / "stores" / "large.ome.zarr"  # an image in OME-Zarr, and an image's labels
    image = run("export", out / "large_refined.ome.zarr", "--images", folder, "--format",
                "ome-zarr", "--output", tmp_path / "made")  # fmt: skip
    assert image.exit_code == 0, image.output
    store.parent.mkdir()
    shutil.move(tmp_path / "made" / "large_refined.ome.zarr", store)
    data = from_files(store.parent, store.parent, tmp_path / "classes.txt")
    (pair,) = data.pairs
    np.testing.assert_array_equal(data.image(pair), tifffile.imread(folder / "large.tif"))
    np.testing.assert_array_equal(data.truth(pair), found["large"][1])
    assert data.digest(pair, data.truth(pair))


def test_objects_are_exported_with_their_classes(results, tmp_path):
    folder, _, options = results
    given = np.zeros(SIDES["small"], np.uint16)
    given[5:20, 5:30], given[30:50, 10:40] = 7, 300
    tifffile.imwrite(tmp_path / "given.tif", given)
    out = tmp_path / "objects"
    done = run(
        "segment", folder / "small.tif", "--objects", tmp_path / "given.tif", *options[:-1], out
    )
    assert done.exit_code == 0, done.output
    made = tmp_path / "made"
    done = run("export", out / "small_objects.tif", "--images", folder, "--format", "object-tiff",
               "--format", "tiff", "--output", made)  # fmt: skip
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(
        labels_of(made / "object-tiff" / "small_objects_objects.tif"), given
    )
    with (out / "small_objects.csv").open(encoding="utf-8-sig") as file:
        label = {int(row["object"]): int(row["label"]) for row in csv.DictReader(file)}
    exported = labels_of(made / "tiff" / "small_objects.tif")
    for number, expected in label.items():
        assert set(exported[given == number]) == {expected or max(label.values()) + 1}


def test_results_beside_the_images_are_no_images(tmp_path, tiny_clip):
    """Reports and overlays in the folder of the images; and the images of a YOLO export."""
    for name in ("a", "b"):
        scene = make_scene((64, 80), len(name))
        for folder, pixels in (
            ("in", scene.image),
            ("labels", (scene.labels == 1).astype(np.uint8)),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")
    (tmp_path / "classes.txt").write_text("nucleus\n")
    quick = ["--model", tiny_clip, "--refiner", "none", "--shorter-side", "64"]
    quick += ["--templates", "word"]
    given = [
        "evaluate",
        tmp_path / "in",
        tmp_path / "labels",
        "--classes",
        tmp_path / "classes.txt",
    ]
    segment = ["segment", tmp_path / "in", "--labels", "nucleus, crystal", *quick]
    first = run(*given, *quick, "--output", tmp_path / "in")
    assert first.exit_code == 0, first.output
    done = run(*segment, "--output", tmp_path / "in")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "in" / "worst.png").exists()
    assert (tmp_path / "in" / "a_overlay.png").exists()
    again = run(*given, *quick, "--output", tmp_path / "out")
    assert again.exit_code == 0, again.output
    rows = [(tmp_path / one / "images.csv").read_bytes() for one in ("in", "out")]
    assert rows[0] == rows[1]

    masks = tmp_path / "labels" / "*.png"
    yolo = ["--images", tmp_path / "in", "--format", "yolo", "--output", tmp_path / "yolo"]
    assert run("export", masks, *yolo).exit_code == 0
    segment = ["segment", *segment[2:], "--output", tmp_path / "of yolo"]
    refused = run(*segment[:1], tmp_path / "yolo", *segment[1:])
    assert refused.exit_code == 2
    said = " ".join(refused.output.split())
    assert "are results of napari-cliper, which are left out" in said
    pattern = said.split('such as "')[1].split('"')[0]
    taken = run(*segment[:1], pattern, *segment[1:])
    assert taken.exit_code == 0, taken.output
    assert len(list((tmp_path / "of yolo").rglob("*_coarse.tif"))) == 2
