"""The command line, driven as a person drives it."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
from pathlib import Path

import forked
import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io import images
from napari_cliper.io.image_decoding import open_image
from napari_cliper.io.writers import overlay
from napari_cliper.labels.palette import class_colours
from napari_cliper.segmentation import SegmentationConfig, Segmenter, parse_classes
from napari_cliper.workflows import (
    image_planes,
    result_files,
    segment_costs,
    segment_planes,
)
from napari_cliper.workflows.segment_run import JOURNAL

RESULTS = ("_coarse.tif", "_refined.tif", "_overlay.png", ".json")


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    path = tmp_path / "field.png"
    Image.fromarray(make_scene((64, 80), 5).image).save(path)
    return path


@pytest.fixture
def segment(tiny_clip: Path, tmp_path: Path):
    """Run `napari-cliper segment` with the tiny CLIP; quick settings may be overridden."""

    def run(*arguments: str | Path, labels: str = "nucleus=nuclei, crystal"):
        options = {
            "--labels": labels,
            "--model": str(tiny_clip),
            "--refiner": "pamr",
            "--shorter-side": "64",
            "--templates": "word",
            "--output": str(tmp_path / "out"),
        }
        given = [str(argument) for argument in arguments]
        pairs = [
            part for key, value in options.items() if key not in given for part in (key, value)
        ]
        return CliRunner().invoke(app, ["segment", *given, *pairs])

    return run


def test_writes_labels_overlay_and_record(segment, image_file, tmp_path):
    result = segment(image_file)
    assert result.exit_code == 0, result.output
    for name in ("background", "nucleus", "crystal", "share"):
        assert name in result.stdout
    out = tmp_path / "out"
    names = sorted(["segmentation.jsonl", *("field" + s for s in RESULTS)])
    assert sorted(p.name for p in out.glob("[!.]*")) == names

    record = json.loads((out / "field.json").read_text())
    coarse, refined = (tifffile.imread(out / f"field_{s}.tif") for s in ("coarse", "refined"))
    assert coarse.shape == refined.shape == (64, 80)
    assert refined.dtype == np.uint8
    counts = [row["pixels"] for row in record["pixels"]]
    assert counts == np.bincount(refined.ravel(), minlength=3).tolist()
    assert [row["name"] for row in record["classes"]] == ["nucleus", "crystal"]
    assert record["classes"][0]["synonyms"] == ["nuclei"]
    assert record["config"]["refiner"] == "pamr"
    assert record["seed"] == 0
    assert len(record["weights"][0]["sha256"]) == 64
    assert record["versions"]["napari-cliper"]
    assert record["thresholds"]["class_threshold"] == record["settings"]["class_threshold"]


@pytest.mark.parametrize("method", ["sclip", "maskclip"])
def test_methods_that_label_by_probability(image_file, tmp_path, method):
    overrides = ["--model", "demo", "--method", method, "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(
        app, ["segment", str(image_file), "--labels", "nucleus", *overrides]
    )
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "field.json").read_text())
    assert record["thresholds"]["min_max"] is False
    assert 0 <= record["uncertainty"] <= 1


def test_label_tiff_says_what_its_numbers_mean(segment, image_file, tmp_path):
    segment(image_file)
    with tifffile.TiffFile(tmp_path / "out" / "field_refined.tif") as file:
        assert file.is_imagej
        assert file.imagej_metadata["Info"].splitlines() == [
            "0 = background",
            "1 = nucleus",
            "2 = crystal",
        ]


def test_overlay_shows_each_class_in_its_colour(segment, image_file, tmp_path):
    segment(image_file, "--background-threshold", "0.01", "--class-threshold", "0.01")
    out = tmp_path / "out"
    overlay = np.asarray(Image.open(out / "field_overlay.png"))
    assert overlay.shape[1] > 80  # the legend stands beside the image
    labels = tifffile.imread(out / "field_refined.tif")
    colours = class_colours(2)
    found = {tuple(colour) for colour in overlay[:, 80:].reshape(-1, 3)}
    for label in np.unique(labels[labels > 0]):
        assert tuple(colours[label - 1]) in found


def test_tiles_and_where_their_features_are_kept(segment, tmp_path):
    path = tmp_path / "large.png"
    Image.fromarray(make_scene((160, 200), 5).image).save(path)
    folder = tmp_path / "tiles"
    result = segment(path, "--tile", "64", "--tile-overlap", "16", "--tile-cache", str(folder))
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "large.json").read_text())
    assert record["config"]["tiles"] == {"side": 64, "overlap": 16, "scale": None}
    assert record["tiles"]["count"] == len(list(folder.iterdir())) == 3 * 4
    assert tifffile.imread(tmp_path / "out" / "large_refined.tif").shape == (160, 200)
    assert "found in 12 tiles. Estimate:" in " ".join(result.stdout.split())
    whole = segment(path, "--shorter-side", "32", "--overwrite")
    assert "at least 40 px can be found. Smaller ones are lost" in " ".join(whole.stdout.split())
    fitting = segment(path, "--object-size", "20", "--overwrite")
    assert json.loads((tmp_path / "out" / "large.json").read_text())["config"]["tiles"] == {
        "side": 88, "overlap": None, "scale": None,
    }, fitting.output  # fmt: skip
    nothing = segment(path, "--tile", "100", "--no-tile-cache", "--overwrite")
    assert nothing.exit_code == 0, nothing.output
    assert len(list(folder.iterdir())) == 12
    for arguments, words in (
        (("--tile-overlap", "8"), "need --tile"),
        (("--tile", "8"), "too small"),
        (("--tile", "64", "--object-size", "9"), "not both"),
        (("--object-size", "0"), "must be above 0"),
        (("--tile", "64", "--no-tile-cache", "--tile-cache", str(folder)), "not both"),
    ):
        refused = segment(path, *arguments, "--overwrite")
        assert refused.exit_code == 2
        assert words in refused.output


def test_a_large_tiff_is_read_tile_by_tile_and_gives_the_same(segment, tmp_path, monkeypatch):
    image = make_scene((160, 208), 5).image
    path = tmp_path / "large.tif"
    tifffile.imwrite(path, image, tile=(64, 64), photometric="rgb", compression="zlib")
    arguments = (path, "--tile", "64", "--no-tile-cache")
    assert segment(*arguments).exit_code == 0
    out = tmp_path / "out"
    expected = tifffile.imread(out / "large_refined.tif")
    monkeypatch.setattr(images, "LAZY_PIXELS", 100 * 100)
    monkeypatch.setattr(result_files, "OVERLAY_PIXELS", 80 * 104)
    read = []
    inside = images.LazyTiff.__getitem__

    def counted(self, index):
        found = inside(self, index)
        read.append(found.shape[0] * found.shape[1])
        return found

    monkeypatch.setattr(images.LazyTiff, "__getitem__", counted)
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", None)  # reads all of it
    result = segment(*arguments, "--overwrite")
    assert result.exit_code == 0, result.output
    assert len(read) > 12
    np.testing.assert_array_equal(tifffile.imread(out / "large_refined.tif"), expected)
    with Image.open(out / "large_overlay.png") as drawn:
        assert drawn.height < 160

    # a tile that is damaged, in the middle of the file: an error of this image alone
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        start, length = page.dataoffsets[6], page.databytecounts[6]
    content = bytearray(path.read_bytes())
    content[start : start + length] = b"\xff" * length
    path.write_bytes(content)
    other = tmp_path / "other.png"
    Image.fromarray(image[:64, :80]).save(other)
    result = segment(path, other, *arguments[1:], "--overwrite")
    assert result.exit_code == 1
    assert "large.tif is damaged" in " ".join(result.stderr.split())
    assert (out / "other_refined.tif").exists()
    assert "is damaged" in (out / JOURNAL).read_text("utf-8")


def test_only_files_that_are_shown_as_stored_are_read_in_parts(tmp_path):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (40, 48), np.uint8)
    files = {
        "tiled": {"data": grey, "tile": (16, 16)},
        "strips": {"data": grey},
        "palette": {
            "data": grey, "tile": (16, 16), "photometric": "palette",
            "colormap": np.zeros((3, 256), np.uint16),
        },
        "inverted": {"data": grey, "tile": (16, 16), "photometric": "miniswhite"},
        "turned": {"data": grey, "tile": (16, 16), "extratags": [(274, "H", 1, 6, True)]},
        "stack": {"data": np.stack([grey, grey]), "tile": (16, 16)},
    }  # fmt: skip
    for name, options in files.items():
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, **options)
        lazy = open_image(path)
        assert (lazy is not None) == (name in ("tiled", "stack"))
    lazy = open_image(tmp_path / "tiled.tif")
    assert (lazy.shape, lazy.ndim, lazy.size, lazy.dtype) == ((40, 48), 2, 40 * 48, np.uint8)
    np.testing.assert_array_equal(lazy[5:30, 7:41], grey[5:30, 7:41])
    png = tmp_path / "grey.png"
    Image.fromarray(grey).save(png)
    assert open_image(png) is None


def test_tiles_that_do_not_fit_on_the_disk_are_refused_before_the_run(
    segment, tmp_path, monkeypatch
):
    path = tmp_path / "large.png"
    Image.fromarray(make_scene((160, 200), 5).image).save(path)
    monkeypatch.setattr(segment_costs, "free_space", lambda folder: 1000)
    result = segment(path, "--tile", "64", "--tile-cache", str(tmp_path / "tiles"))
    assert result.exit_code == 1
    assert "--tile-cache" in result.stderr
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    given = (path, "--tile", "64", "--tile-cache", str(tmp_path / "tiles"), "--overwrite")
    assert segment(*given).exit_code == 0
    monkeypatch.setattr(segment_costs, "free_space", lambda folder: 0)
    again = segment(*given)  # everything is in the cache
    assert again.exit_code == 0, again.stderr
    assert "0 of them new" in again.output


def test_thresholds_reach_the_labels(segment, image_file, tmp_path):
    segment(image_file, "--class-threshold", "1000")
    assert not tifffile.imread(tmp_path / "out" / "field_refined.tif").any()


def test_same_as_from_python(segment, image_file, tiny_clip, tmp_path):
    segment(image_file)
    segmenter = Segmenter(
        SegmentationConfig(model=str(tiny_clip), refiner="pamr", shorter_side=64, templates="word")
    )
    embedding = segmenter.embed(np.asarray(Image.open(image_file)))
    labels = segmenter.score(embedding, parse_classes("nucleus=nuclei, crystal")).to_labels()
    np.testing.assert_array_equal(labels, tifffile.imread(tmp_path / "out" / "field_refined.tif"))


def test_an_existing_result_stays_until_overwrite(segment, image_file, tmp_path):
    kept = tmp_path / "out" / "field.json"
    kept.parent.mkdir()
    kept.write_text("mine")
    for options in ([], ["--overwrite"]):
        result = segment(image_file, *options)
        assert result.exit_code == 2
        assert "napari-cliper did not write it" in " ".join(result.stderr.split())
        assert kept.read_text() == "mine"
        assert [p.name for p in kept.parent.iterdir()] == ["field.json"]
    kept.unlink()
    assert segment(image_file).exit_code == 0
    before = kept.read_bytes()
    result = segment(image_file)
    assert result.exit_code == 0
    assert "done before, with the same settings: 1" in " ".join(result.stdout.split())
    (kept.parent / "segmentation.jsonl").unlink()
    result = segment(image_file)
    assert result.exit_code == 2
    assert "Add --overwrite" in " ".join(result.stderr.split())
    assert kept.read_bytes() == before
    assert segment(image_file, "--overwrite").exit_code == 0
    assert json.loads(kept.read_text())["file"] == "field.png"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--labels", " , "), "no word"),
        (("--labels", "a,,b"), "no name"),
        (("--labels", "nucleus,Nucleus"), "'Nucleus' is the name of two classes"),
        (("--labels", "cat", "--background", ""), "no background word"),
        (("--labels", "Background, nucleus"), "'background' cannot be a class"),
        (("--method", "clipper"), "'cliper'"),
        (("--model", "ViT-B16"), "'ViT-B/16'"),
        (("--refiner", "pam"), "'pamr'"),
        (("--device", "cudda"), "'cuda'"),
        (("--precision", "float61"), "'float16'"),
        (("--templates", "cliper15"), "'cliper-15'"),
        (("--preset", "voc"), "'voc21'"),
        (("--foundation-model", "dino-vitb9"), "'dino-vitb8'"),
        (("--shorter-side", "3"), "at least 32"),
    ],
)
def test_wrong_input_is_named_before_any_work(segment, image_file, tmp_path, arguments, words):
    result = segment(image_file, *arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def unfit_files(tmp_path, image_file):
    """Four files that are called like images and cannot be segmented."""
    text, cut, blank, stack = (
        tmp_path / name for name in ("notes.png", "cut.png", "blank.png", "stack.tif")
    )
    text.write_text("no image")
    cut.write_bytes(image_file.read_bytes()[:200])
    Image.new("RGB", (64, 80), "grey").save(blank)
    tifffile.imwrite(stack, np.zeros((4, 20, 20), np.uint8), photometric="minisblack")
    return text, cut, blank, stack


def test_images_that_cannot_be_segmented_do_not_stop_the_others(segment, image_file, tmp_path):
    unfit = unfit_files(tmp_path, image_file)
    last = tmp_path / "z.png"
    last.write_bytes(image_file.read_bytes())
    result = segment(*unfit, tmp_path / "gone.png", image_file, last)
    assert result.exit_code == 1
    message = " ".join(result.stderr.split())
    for part in ("gone.png", "notes.png", "cut.png", "nothing to segment", "single plane is needed",
                 "5 of 7 images could not be segmented"):  # fmt: skip
        assert part in message
    names = {path.name for path in (tmp_path / "out").glob("[!.]*")}
    assert names == {stem + s for stem in ("field", "z") for s in RESULTS} | {
        "segmentation.jsonl", "uncertainty.csv",
    }  # fmt: skip


def test_nothing_but_wrong_images_is_wrong_input(segment, image_file, tmp_path):
    result = segment(*unfit_files(tmp_path, image_file))
    assert result.exit_code == 2
    assert "None of the images can be segmented" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_stands_for_its_images(segment, image_file, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("2.png", "10.PNG", ".hidden.png"):
        (folder / name).write_bytes(image_file.read_bytes())
    (folder / "notes.txt").write_text("no image")
    for options in ([], ["--overwrite"]):  # the second time the results lie among them
        result = segment(folder, "--output", folder, *options)
        assert result.exit_code == 0, result.output
        assert 0 <= result.stdout.index("2.png") < result.stdout.index("10.PNG")
        records = {path.name for path in folder.glob("*.json")}
        assert records == {"2.json", "10.json"}
    (tmp_path / "empty").mkdir()
    result = segment(tmp_path / "empty")
    assert result.exit_code == 2
    assert "There is no image in the folder" in result.stderr


@pytest.mark.parametrize(
    ("module", "where"),
    [
        (overlay, "overlay"),
        (image_planes, "read_image_with_axes"),
        (segment_planes, "label_counts"),
    ],
    ids=["overlay", "reading", "segmenting"],
)
def test_too_little_memory_is_reported_and_the_next_image_is_segmented(
    segment, image_file, tmp_path, monkeypatch, module, where
):
    large = tmp_path / "large.png"
    Image.fromarray(make_scene((70, 90), 5).image).save(large)
    real = getattr(module, where)

    def greedy(*arguments, **options):
        given = arguments[0]
        shape = getattr(given, "labels", getattr(given, "shape", None))
        shape = getattr(shape, "shape", shape)
        if (
            given == large
            if where == "read_image_with_axes"
            else tuple(shape or ())[:2] == (70, 90)
        ):
            raise MemoryError
        return real(*arguments, **options)

    monkeypatch.setattr(module, where, greedy)
    result = segment(large, image_file)
    assert result.exit_code == 1
    assert "large.png: there is not enough memory" in " ".join(result.stderr.split())
    out = tmp_path / "out"
    assert (out / "field_overlay.png").exists()
    assert (out / "large_refined.tif").exists() == (where == "overlay")
    assert not (out / "large_overlay.png").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text there")
def test_file_names_that_are_not_utf_8(tiny_clip, image_file, tmp_path):
    names = [b"a.png", b"m\xe4.png", b"z.png"]
    paths = [os.fsencode(tmp_path) + b"/" + name for name in names]
    for path in paths:
        Path(os.fsdecode(path)).write_bytes(image_file.read_bytes())
    command = ["segment", *map(os.fsdecode, paths), "--labels", "nucleus", "--model", tiny_clip]
    command += ["--refiner", "none", "--shorter-side", "64", "--templates", "word"]
    command += ["--output", tmp_path / "out"]
    job = forked.start(forked.COMMAND, *command, output=tmp_path / "printed")
    job.join(120)
    assert job.exitcode == 0, (tmp_path / "printed" / "stderr").read_bytes()
    (path,) = (path for path in (tmp_path / "out").glob("m*.json"))
    text = path.read_bytes().decode("utf-8")
    assert "m\\udce4.png" in text
    assert os.fsencode(json.loads(text)["file"]) == b"m\xe4.png"
    assert "z.png" in (tmp_path / "out" / "uncertainty.csv").read_text("utf-8-sig")


def test_two_images_of_one_name_do_not_overwrite_each_other(segment, image_file, tmp_path):
    twin = tmp_path / "other" / image_file.name
    twin.parent.mkdir()
    twin.write_bytes(image_file.read_bytes())
    capital = tmp_path / "capital" / f"{image_file.stem.upper()}.PNG"  # one file on some disks
    capital.parent.mkdir()
    capital.write_bytes(image_file.read_bytes())
    for other in (twin, capital):
        result = segment(image_file, other)
        assert result.exit_code == 2
        message = " ".join(result.stderr.replace("│", " ").split())
        assert "same result files, because their names are the same apart from ending" in message
        assert "Rename one of them" in message
    many = [tmp_path / str(number) / image_file.name for number in range(15)]
    message = segment(*many).stderr
    assert message.count("Rename one of them") == 10
    assert "and 4 more images" in message


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "no permission")]
)
def test_a_disk_that_refuses_leaves_nothing_half_done(
    segment, image_file, tmp_path, monkeypatch, number, words
):
    write = Path.write_bytes

    def refuse(path, content):
        if path.name.endswith("_overlay.png"):  # the third of the four files
            raise OSError(number, os.strerror(number))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    result = segment(image_file)
    assert result.exit_code == 1
    assert words in " ".join(result.stderr.split())
    (journal,) = (tmp_path / "out").glob("[!.]*")
    assert journal.read_text().count("\n") == 2  # the next run takes the image again
    other = tmp_path / "other.png"
    other.write_bytes(image_file.read_bytes())
    errors = segment(image_file, other).stderr.count("Error: Cannot write")
    assert errors == (1 if number == errno.ENOSPC else 2)  # a full disk ends the run


def test_missing_weights_say_how_to_get_them(segment, image_file, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    result = segment(image_file, "--model", "ViT-B/16", "--offline")
    assert result.exit_code == 1
    assert "napari-cliper models download ViT-B/16" in result.stderr
    assert not (tmp_path / "out").exists()


def test_interrupt_ends_at_once_and_leaves_whole_results(tiny_clip, tmp_path):
    scene = Image.fromarray(make_scene((256, 320), 0).image)
    for index in range(40):
        scene.save(tmp_path / f"{index:02d}.png")
    out = tmp_path / "out"
    command = ["segment", *sorted(tmp_path.glob("*.png")), "--labels", "nucleus, crystal"]
    command += ["--model", tiny_clip, "--refiner", "pamr", "--templates", "word", "--output", out]
    job = forked.start(forked.COMMAND, *command, output=tmp_path / "printed")
    errors = tmp_path / "printed" / "stderr"
    while not list(out.glob("*.json")):
        assert job.is_alive(), errors.read_text()
        time.sleep(0.02)
    os.kill(job.pid, signal.SIGINT)
    job.join(60)
    assert job.exitcode == 130
    assert "no partial files were written" in errors.read_text()
    names = {path.name for path in out.glob("[!.]*")} - {"segmentation.jsonl"}
    stems = {name[:2] for name in names}
    assert 0 < len(stems) < 20  # it ends with the images that were in work
    assert names == {stem + suffix for stem in stems for suffix in RESULTS}
