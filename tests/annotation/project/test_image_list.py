"""Images of a project: their order, names, status and copies."""

from __future__ import annotations

import json
import os
import shutil
import sys

import numpy as np
import pytest
import skimage.io
from annotation_projects import RNG, all_files, assert_same, picture, state_of
from PIL import Image

from napari_cliper.annotation.project.channel_group import GroupChannel
from napari_cliper.annotation.project.image_list import FILE
from napari_cliper.annotation.project.project import Project
from napari_cliper.io.files import FileError
from napari_cliper.segmentation import Channel, InvalidInputError

AWKWARD = [
    "cell / nucleus [1]: a?*", "核 ядро", "..", "", "CON", "con.tif", "a\\b", " . ", 300 * "x",
    200 * "核", "tab\tend", "'\"`$(rm)", "half \ud83d", "a.1234abcd", "a.1234abcd_marks",
    "settings", "no\uffffXML",
]  # fmt: skip


def test_images_stay_in_the_order_in_which_they_were_given(tmp_path):
    images = [picture(tmp_path / f"{name}.png") for name in ("z", "b", "m10", "m9")]
    project = Project.create(tmp_path / "p", images)
    assert [image.name for image in project.images] == ["z", "b", "m10", "m9"]
    assert [image.path for image in project.images] == images


def test_equal_stems_get_names_and_files_of_their_own(tmp_path):
    paths = ["one/a.png", "two/a.png", "two/A.tif", "two/a.tif", "three/two/a.png"]
    images = [picture(tmp_path / path) for path in paths]
    project = Project.create(tmp_path / "p", images)
    names = [image.name for image in project.images]
    assert names[:2] == ["a", "a.png (two)"]
    assert len({name.casefold() for name in names}) == len(names)
    states = {name: state_of() for name in names}
    for name, state in states.items():
        project.save(name, state)
    again = Project.open(project.folder)
    for image, path in zip(again.images, images, strict=True):
        assert_same(again.load(image.name), states[image.name])
        np.testing.assert_array_equal(again.read_image(image.name), skimage.io.imread(path))


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_an_image_whose_name_is_no_text_is_kept(tmp_path):
    path = picture(tmp_path / "a.png").rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    project, state = Project.create(tmp_path / "p", [path]), state_of()
    (image,) = project.images
    project.save(image.name, state)
    again = Project.open(project.folder)
    assert again.images[0].path == path
    assert again.read_image(image.name).shape == (12, 15)
    assert_same(again.load(image.name), state)


@pytest.mark.parametrize("status", ["open", "started", "done"])
def test_a_status_stays_with_or_without_an_annotation(project, status):
    state = state_of(origin="x")
    project.save("a", state)
    project.set_status("a", status)
    project.set_status("b", status)
    again = Project.open(project.folder)
    assert [image.status for image in again.images] == [status, status, "open"]
    assert_same(again.load("a"), state)
    assert again.load("b") is None
    again.save("b", state)
    project.save("a", state)  # its own change of the status is no other program's
    with pytest.raises(InvalidInputError, match="'finished'"):
        project.set_status("a", "finished")


def test_the_current_image_is_remembered(project):
    assert project.current is None
    project.go_to("b")
    assert Project.open(project.folder).current.name == "b"
    with pytest.raises(InvalidInputError, match="'nobody'"):
        project.go_to("nobody")


def test_a_project_moves_with_its_images_or_alone(tmp_path):
    image = picture(tmp_path / "here" / "images" / "a.png")
    project = Project.create(tmp_path / "here" / "p", [image])
    pixels, state = project.read_image("a"), state_of()
    project.save("a", state)
    alone = shutil.copytree(project.folder, tmp_path / "far" / "away" / "p")
    np.testing.assert_array_equal(Project.open(alone).read_image("a"), pixels)
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = Project.open(tmp_path / "there" / "p")
    assert moved.images[0].path == tmp_path / "there" / "images" / "a.png"
    np.testing.assert_array_equal(moved.read_image("a"), pixels)
    assert_same(moved.load("a"), state)


def test_an_error_names_images_that_are_not_there(tmp_path):
    images = [picture(tmp_path / "images" / f"{name}.png", (12, 15 + i))
              for i, name in enumerate("abc")]  # fmt: skip
    project = Project.create(tmp_path / "p", images)
    pixels = project.read_image("b")
    shutil.move(tmp_path / "images", tmp_path / "elsewhere" / "deep")
    again = Project.open(project.folder)
    with pytest.raises(FileError, match=r"'b'.*images/b\.png.*Put it back"):
        again.read_image("b")
    shutil.move(tmp_path / "elsewhere" / "deep", tmp_path / "images")
    np.testing.assert_array_equal(again.read_image("b"), pixels)


def test_images_may_be_added(project, tmp_path):
    state = state_of()
    project.save("a", state)
    (added,) = project.add_files([picture(tmp_path / "more" / "a.png")])
    assert [image.name for image in project.images] == ["a", "b", "c", added.name]
    assert project.load(added.name) is None
    with pytest.raises(InvalidInputError, match="twice"):
        project.add_files([added.path])
    with pytest.raises(FileError, match=r"no image at .*gone\.png"):
        project.add_files([tmp_path / "gone.png"])
    assert Project.open(project.folder).images == project.images


@pytest.mark.parametrize(
    "array",
    [
        RNG.integers(0, 256, (7, 9, 3), dtype=np.uint8),
        RNG.normal(size=(3, 7, 3)).astype(np.float32),
        RNG.integers(0, 65536, (1, 4, 1, 5, 6), dtype=np.uint16),
        RNG.integers(-9, 9, (2, 3, 4, 5), dtype=np.int64),
        RNG.random((6, 5)) > 0.5,
        RNG.normal(size=(1, 1)),
    ],
    ids=lambda array: f"{array.dtype}-{array.ndim}",
)
@pytest.mark.parametrize("rgb", [False, True])
def test_a_copy_of_an_image_keeps_every_pixel(project, array, rgb):
    rgb = rgb and array.shape[-1] == 3
    image = project.add_image("from a layer", array, rgb=rgb)
    again = Project.open(project.folder)
    found = again.read_image(image.name)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    shutil.copytree(project.folder, project.folder.parent / "other")
    np.testing.assert_array_equal(
        Project.open(project.folder.parent / "other").read_image(image.name), array
    )
    if array.dtype == np.uint8 and rgb:
        with Image.open(image.path) as shown:
            assert shown.mode == "RGB"


def test_copies_of_channels_replace_no_other_copy(project):
    image = project.add_image("cells 0", np.full((2, 3), 5, np.uint8))
    red = Channel("red", ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)), (0.0, 9.0))
    group = project.add_channels("cells", [GroupChannel(red, pixels=np.ones((2, 3), "u1"))], "YX")
    assert (project.read_image("cells 0") == 5).all()
    project.remove_image("cells")
    assert not group.path.exists()
    assert image.path.exists()


def test_any_characters_make_a_name(tmp_path):
    project = Project.create(tmp_path / "p")
    names = [project.add_image(name, np.full((2, 3), i)).name for i, name in enumerate(AWKWARD)]
    twice = [project.add_image(name, np.full((2, 3), -i)).name for i, name in enumerate(AWKWARD)]
    assert names == [name or "image" for name in AWKWARD]
    states = {name: state_of((2, 3)) for name in (*names, *twice)}
    assert len(states) == 2 * len(AWKWARD)
    for _ in range(2):  # the second time there is something to delete
        for name, state in states.items():
            project.save(name, state)
    again = Project.open(project.folder)
    for number, image in enumerate(again.images):
        assert_same(again.load(image.name), states[image.name])
        value = number if number < len(AWKWARD) else len(AWKWARD) - number
        assert (again.read_image(image.name) == value).all()
    assert {path.parent.name for path in tmp_path.rglob("*.*")} == {
        tmp_path.name, "p", "annotations", "copies"
    } - {tmp_path.name}  # fmt: skip


@pytest.mark.parametrize(
    "array", [np.zeros(5), np.zeros((0, 5)), np.array([["a", "b"]]), np.zeros((2, 2), object)]
)
def test_what_is_no_image_is_not_added(project, array):
    before = all_files(project.folder)
    with pytest.raises(InvalidInputError, match="not an image"):
        project.add_image("x", array)
    assert all_files(project.folder) == before


def test_old_annotations_are_not_taken_for_those_of_a_new_image(project, tmp_path):
    project.save("a", state_of())
    record = json.loads((project.folder / FILE).read_text(encoding="utf-8"))
    record["images"] = record["images"][1:]
    (project.folder / FILE).write_text(json.dumps(record), encoding="utf-8")
    again = Project.open(project.folder)
    (added,) = again.add_files([picture(tmp_path / "a.png", (3, 4))])
    assert added.name == "a"
    assert again.load("a") is None
