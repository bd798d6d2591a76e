"""No command replaces or removes a file that it did not write, `--overwrite` or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from typer.testing import CliRunner

from napari_cliper.annotation.edit_mask import ACCEPTED, AnnotationState
from napari_cliper.annotation.project.project import Project
from napari_cliper.cli.commands import app
from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.io.own_files import RECORD
from napari_cliper.labels.label_class import ClassRow

SHAPE = (64, 80)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def content(folder: Path):
    """Every file below a folder with its bytes."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != RECORD)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def dataset(tmp_path):
    """`images` and `masks` of the same names in one folder, as data sets lie, and the classes."""
    folder = tmp_path / "dataset"
    for part in ("images", "masks", "labels"):
        (folder / part).mkdir(parents=True)
    for seed in (1, 2):
        scene = make_scene(SHAPE, seed)
        Image.fromarray(scene.image).save(folder / "images" / f"{seed}.png")
        for part in ("masks", "labels"):
            Image.fromarray(scene.labels).save(folder / part / f"{seed}.png")
    (folder / "images" / "train").mkdir()
    (folder / "images" / "train" / "raw.png").write_bytes(b"raw")
    names = "\n".join(kind.name for kind in KINDS)
    (folder / "classes.txt").write_text(names + "\n")
    return folder


def test_a_yolo_export_into_the_data_set_keeps_its_photos(dataset):
    before = content(dataset)
    masks = sorted((dataset / "masks").glob("*.png"))
    options = ["--images", dataset / "images", "--format", "yolo", "--output", dataset]
    result = run("export", *masks, *options, "--overwrite")
    assert result.exit_code == 0, result.output
    after = content(dataset)
    assert before.items() <= after.items()
    assert {"data.yaml", "labels/train/1.txt", "images/train/1.png"} <= after.keys() - before.keys()
    (dataset / "data.yaml").write_text("mine")
    assert run("export", *masks, *options, "--overwrite").exit_code == 2
    assert (dataset / "data.yaml").read_text() == "mine"


def test_a_photo_does_not_become_its_own_label_map(tmp_path):
    photo = tmp_path / "photo.png"
    scene = make_scene(SHAPE, 1)
    Image.fromarray(scene.image).save(photo)
    project = Project.create(tmp_path, [photo])
    classes = {number: ClassRow(kind.name) for number, kind in enumerate(KINDS, 1)}
    edit_mask = np.full(SHAPE, ACCEPTED, np.uint8)
    project.save("photo", AnnotationState(scene.labels.astype(np.uint16), edit_mask, classes, {}))
    before = content(tmp_path)
    for options in ([], ["--overwrite"]):
        result = run("export", tmp_path, "--format", "png", "--output", tmp_path, *options)
        assert result.exit_code == 2
        assert "photo.png is one of the inputs and is never replaced" in result.stderr
        assert content(tmp_path) == before


def test_an_own_result_that_is_now_an_input_stays(dataset, tmp_path):
    out = tmp_path / "out"
    mask = dataset / "masks" / "1.png"
    assert run("export", mask, "--format", "png", "--output", out).exit_code == 0
    before = content(out)
    result = run("export", out / "1.png", "--format", "png", "--output", out, "--overwrite")
    assert result.exit_code == 2
    assert "one of the inputs" in result.stderr
    assert content(out) == before


def test_raw_data_in_zarr_stays(dataset, tmp_path):
    raw = tmp_path / "out" / "1.ome.zarr"
    zarr.save_array(str(raw / "0"), np.arange(12).reshape(3, 4))
    before = content(tmp_path / "out")
    options = ["--format", "ome-zarr", "--output", tmp_path / "out", "--overwrite"]
    assert run("export", dataset / "masks" / "1.png", *options).exit_code == 2
    assert content(tmp_path / "out") == before


def test_an_own_zarr_is_replaced_as_a_whole_unless_something_was_added(dataset, tmp_path):
    out = tmp_path / "out"
    options = ["--format", "ome-zarr", "--output", out, "--overwrite"]
    mask = dataset / "masks" / "1.png"
    assert run("export", mask, *options, "--images", dataset / "images").exit_code == 0
    assert run("export", mask, *options).exit_code == 0
    assert not (out / "1.ome.zarr" / "labels").exists()  # nothing of the first is left in it
    (out / "1.ome.zarr" / "notes.txt").write_text("mine")
    assert run("export", mask, *options).exit_code == 2
    assert (out / "1.ome.zarr" / "notes.txt").read_text() == "mine"


def test_evaluate_keeps_the_ground_truth(dataset):
    before = content(dataset)
    given = [dataset / "images", dataset / "labels", "--classes", dataset / "classes.txt"]
    for options in ([], ["--overwrite"]):
        result = run("evaluate", *given, "--output", dataset, "--model", "demo", *options)
        assert result.exit_code == 2
        assert "1.png is one of the inputs and is never replaced" in result.stderr
        assert content(dataset) == before


@pytest.mark.parametrize("name", ["summary.json", "confusion.png", "evaluation.jsonl"])
@pytest.mark.parametrize("text", ["mine", "mine\n"])
def test_evaluate_keeps_other_files_in_its_folder(dataset, tmp_path, name, text):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text(text)
    given = [dataset / "images", dataset / "labels", "--classes", dataset / "classes.txt"]
    for options in ([], ["--overwrite"]):
        result = run("evaluate", *given, "--output", out, "--model", "demo", *options)
        assert result.exit_code == 2
        assert name in result.stderr
        assert content(out) == {name: text.encode()}


def test_segment_does_not_replace_one_of_its_images(tmp_path):
    names = ("a.png", "a_overlay.png")
    for name in names:
        Image.fromarray(make_scene(SHAPE, 1).image).save(tmp_path / name)
    before = content(tmp_path)
    options = ["--labels", "nucleus", "--model", "demo", "--output", tmp_path]
    result = run("segment", *(tmp_path / name for name in names), *options, "--overwrite")
    assert result.exit_code == 2
    assert "a_overlay.png is one of the inputs" in result.stderr
    assert content(tmp_path) == before


def test_the_demo_replaces_its_own_image_alone(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(b"mine")
    assert run("demo", "--headless", "--output", path).exit_code == 2
    assert path.read_bytes() == b"mine"
    path.unlink()
    for _ in range(2):
        assert run("demo", "--headless", "--output", path).exit_code == 0


def test_a_link_is_not_followed_to_the_data(dataset, tmp_path):
    raw = tmp_path / "raw.tif"
    tifffile.imwrite(raw, np.zeros(SHAPE, np.uint8))
    before = raw.read_bytes()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "1.tif").symlink_to(raw)
    options = ["--format", "tiff", "--output", tmp_path / "out", "--overwrite"]
    assert run("export", dataset / "masks" / "1.png", *options).exit_code == 2
    assert (tmp_path / "out" / "1.tif").is_symlink()
    assert raw.read_bytes() == before


def test_programs_beside_each_other_know_each_others_files(dataset, tmp_path):
    out = tmp_path / "out"
    for seed in (1, 2):
        mask = dataset / "masks" / f"{seed}.png"
        assert run("export", mask, "--format", "tiff", "--output", out).exit_code == 0
    with (out / RECORD).open("a") as file:
        file.write('{"file": "cut sh')  # by a kill
    masks = sorted((dataset / "masks").glob("*.png"))
    for _ in range(2):
        result = run("export", *masks, "--format", "tiff", "--output", out, "--overwrite")
        assert result.exit_code == 0, result.output
