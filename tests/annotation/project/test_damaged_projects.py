"""What is no project, or a damaged one, is named and never replaced."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from annotation_projects import RNG, all_files, arrays_of, assert_same, picture, state_of

from napari_cliper.annotation.edit_mask import AnnotationState
from napari_cliper.annotation.project.annotation_store import ChangedOnDiskError
from napari_cliper.annotation.project.image_list import FILE
from napari_cliper.annotation.project.project import Project, is_project
from napari_cliper.io.files import FileError
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.segmentation import InvalidInputError

# ---------------------------------------------------------------------- what is no project


def test_a_project_is_known_by_its_folder_and_its_file(project, tmp_path):
    assert is_project(project.folder)
    assert is_project(str(project.folder / FILE))
    for path in (tmp_path, tmp_path / "gone", tmp_path / "images" / "a.png", "\0", "x" * 5000):
        assert not is_project(path)
    opened = Project.open(project.folder / FILE)
    assert opened.images == project.images


def test_a_folder_without_a_project_is_refused(tmp_path, project):
    with pytest.raises(FileError, match=r"no folder .*gone"):
        Project.open(tmp_path / "gone")
    with pytest.raises(FileError, match=rf"no annotation project in .*{FILE} is missing"):
        Project.open(tmp_path)
    with pytest.raises(FileError, match="already"):
        Project.create(project.folder)
    with pytest.raises(FileError, match=r"no image at .*x\.png"):
        Project.create(tmp_path / "new", [tmp_path / "x.png"])
    assert not (tmp_path / "new").exists()
    with pytest.raises(FileError, match="there is a file of that name"):
        Project.create(tmp_path / "images" / "a.png")


def edited(**changes):
    return lambda record: json.dumps({**record, **changes})


def with_image(**changes):
    return lambda record: json.dumps(
        {**record, "images": [record["images"][0], {**record["images"][1], **changes}]}
    )


CHANNEL = {"name": "DAPI", "path": "a.tif", "colours": [[0, 0, 0], [0, 0, 1]], "limits": [0, 9]}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (edited(version=2), "version 2.*Update napari-cliper"),
        (edited(version="1"), "version is '1'"),
        (edited(format="x"), "format is 'x'"),
        (edited(images={}), "images is {}. Give a list."),
        (edited(images=[3]), "image 1: it is 3"),
        (edited(image=[]), "'image'.*Did you mean 'images'"),
        (edited(current="z"), "no image named 'z'"),
        (edited(current=5), "current is 5"),
        (edited(axes={"QYX": "ZZYX"}), "axes has 'ZZYX' for 'QYX'"),
        (with_image(name="a"), "two images have the name 'a'"),
        (with_image(file="A"), "two images have the file 'A'"),
        (with_image(file="../../x"), r"file is '\.\./\.\./x'"),
        (with_image(path=7), "path is 7"),
        (with_image(shape=[0, 2]), r"image 2: entry 1 of shape is 0\. Give 1 or more\."),
        (with_image(stauts="x"), "'stauts'"),
        (with_image(channels=[{"name": "DAPI"}]), "image 2: channel 1: it has no 'path'"),
        (
            with_image(channels=[CHANNEL | {"limits": [5, 2]}]),
            "image 2: channel 1: .* limits are 5 and 2",
        ),
        (with_image(channels=[CHANNEL | {"colours": "red"}]), "colours is 'red'. Give a list"),
        (lambda record: json.dumps(record)[:-9], "not JSON"),
        (lambda record: "", "not JSON"),
        (lambda record: "[" * 100_000, "not JSON"),
        (lambda record: "null", "it is None"),
        (lambda record: b"\xff\xfe\x00", "not JSON"),
    ],
)
def test_a_project_file_edited_into_nonsense_is_named(project, edit, message):
    path = project.folder / FILE
    content = edit(json.loads(path.read_text(encoding="utf-8")))
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FileError, match=rf"{FILE}: .*{message}"):
        Project.open(project.folder)


# ---------------------------------------------------------------------- damage


def damaged_record(**changes):
    def damage(folder):
        path = folder / "a.json"
        record = json.loads(path.read_text(encoding="utf-8")) | changes
        path.write_text(json.dumps(record), encoding="utf-8")

    return damage


def cut(folder):
    labels = next(path for path in folder.glob("a.*.tif") if "_edit_mask" not in path.name)
    labels.write_bytes(labels.read_bytes()[:400])  # some of the pixels


def without_edit_mask(folder):
    next(folder.glob("a.*_edit_mask.tif")).unlink()


def rewritten(array):
    def damage(folder):
        tifffile.imwrite(next(folder.glob("a.*_edit_mask.tif")), array, photometric="minisblack")

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "damaged"),
        (without_edit_mask, r"_edit_mask\.tif is missing"),
        (rewritten(np.zeros((12, 14), np.uint8)), r"\(12, 14\) and was \(12, 15\)"),
        (rewritten(np.zeros((15, 12), np.uint8)), r"\(15, 12\) and was \(12, 15\)"),
        (rewritten(np.full((12, 15), 4, np.uint8)), "up to 4 where"),
        (rewritten(np.zeros((12, 15), np.float32)), "float32"),
        (damaged_record(status="ready"), "'ready'"),
        (damaged_record(shape=[12]), r"\[12\]"),
        (damaged_record(shape=[12, 16]), r"and was \(12, 16\)"),
        (damaged_record(labels="../../x.tif"), r"labels is '\.\./\.\./x\.tif'"),
        (damaged_record(edit_mask="a.12345678.tif"), "edit_mask is"),
        (damaged_record(classes={"x": {"name": "y"}}), "label 'x'"),
        (damaged_record(classes={"1": {"nmae": "y"}}), "label 1: it has unknown keys: 'nmae'"),
        (damaged_record(record=[1]), "record is"),
        (damaged_record(laebls="x"), "'laebls'"),
    ],
)
def test_a_damaged_annotation_is_named_and_never_replaced_unasked(project, damage, message):
    project.save("a", state_of())
    project.save("b", state_of())
    damage(project.folder / "annotations")
    before = all_files(project.folder)
    again = Project.open(project.folder)
    assert [image.status for image in again.images] == ["started", "started", "open"]
    with pytest.raises(FileError, match=message):
        again.load("a")
    with pytest.raises(ChangedOnDiskError):
        again.save("a", state_of())
    assert all_files(project.folder) == before
    assert again.load("b") is not None
    state = state_of()
    again.save("a", state, overwrite=True)
    assert_same(again.load("a"), state)


def test_labels_edited_by_another_program_are_taken(project):
    project.save("a", state_of())
    labels = RNG.integers(0, 9, (12, 15), dtype=np.uint8)
    tifffile.imwrite(arrays_of(project, "a")[0], labels, imagej=True)
    np.testing.assert_array_equal(project.load("a").labels, labels)


def test_an_image_of_another_size_than_its_annotation_is_refused(project):
    project.save("a", state_of())
    again = Project.open(project.folder)
    assert again.read_image("a").shape == (12, 15)
    picture(again.image("a").path, (12, 16))
    with pytest.raises(FileError, match=r"a\.png has the shape \(12, 16\).*\(12, 15\)"):
        again.read_image("a")
    picture(again.image("a").path, (12, 15, 3))
    assert again.read_image("a").shape == (12, 15, 3)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (AnnotationState(np.zeros((0, 4), np.uint16), np.zeros((0, 4), np.uint8), {}), "no pixel"),
        (
            AnnotationState(np.zeros((2, 2), np.uint16), np.full((2, 2), 4, np.uint8), {}),
            "edit mask has the value 4",
        ),
        (state_of(classes={0: ClassRow("x")}), "label 0"),
        (state_of(classes={65536: ClassRow("x")}), "label 65536"),
        (state_of(score=float("nan")), "JSON"),
        (state_of(array=np.zeros(3)), "JSON"),
    ],
)
def test_a_state_that_could_not_be_read_again_is_refused(project, state, message):
    before = all_files(project.folder)
    with pytest.raises(InvalidInputError, match=message):
        project.save("a", state)
    assert all_files(project.folder) == before
