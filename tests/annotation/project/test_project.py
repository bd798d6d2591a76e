"""Annotation projects: what is kept comes back, through kills, full disks and other programs."""

from __future__ import annotations

import inspect
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import skimage.io
import tifffile
import torch
from PIL import Image

from napari_cliper.annotation.edit_mask import AnnotationState
from napari_cliper.annotation.export import labelled_of
from napari_cliper.annotation.project import annotation_record as stored
from napari_cliper.annotation.project import annotation_store
from napari_cliper.annotation.project.annotation_store import ChangedOnDiskError
from napari_cliper.annotation.project.image_list import FILE
from napari_cliper.annotation.project.project import Project, is_project
from napari_cliper.io.class_list import read_classes
from napari_cliper.io.files import FileError
from napari_cliper.io.writers.tiff import CLASSES_NAMESPACE
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.segmentation import (
    InvalidInputError,
    Prototype,
    Prototypes,
    SegmentationConfig,
    Thresholds,
)

RNG = np.random.default_rng(0)
CLASSES = {
    1: ClassRow("nucleus", ("cell nucleus",), colour=(1, 2, 255)),
    7: ClassRow("核 / \"quoted\" & 'it'", visible=False, prompt="a photo of {}"),
    300: ClassRow("ground", background=True),
}
AWKWARD = [
    "cell / nucleus [1]: a?*", "核 ядро", "..", "", "CON", "con.tif", "a\\b", " . ", 300 * "x",
    200 * "核", "tab\tend", "'\"`$(rm)", "half \ud83d", "a.1234abcd", "a.1234abcd_marks",
    "settings", "no\uffffXML",
]  # fmt: skip


def state_of(shape=(12, 15), classes=CLASSES, **record) -> AnnotationState:
    labels = RNG.integers(0, 65536, shape, dtype=np.uint16)
    return AnnotationState(labels, RNG.integers(0, 3, shape, dtype=np.uint8), classes, record)


def picture(path: Path, shape=(12, 15)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    skimage.io.imsave(path, RNG.integers(0, 256, shape, dtype=np.uint8), check_contrast=False)
    return path


def assert_same(found: AnnotationState | None, expected: AnnotationState) -> None:
    assert found is not None
    assert found.labels.dtype == np.uint16
    assert found.edit_mask.dtype == np.uint8
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.edit_mask, expected.edit_mask)
    assert dict(found.classes) == dict(expected.classes)
    assert found.record == expected.record


@pytest.fixture
def project(tmp_path) -> Project:
    images = [picture(tmp_path / "images" / f"{name}.png") for name in "abc"]
    return Project.create(tmp_path / "project", images)


def arrays_of(project: Project, name: str) -> tuple[Path, Path]:
    """The files of the present save, as its annotation record names them."""
    folder = project.folder / "annotations"
    annotation_record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return folder / annotation_record["labels"], folder / annotation_record["edit_mask"]


def all_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# ---------------------------------------------------------------------- what is kept


@pytest.mark.parametrize(
    "shape",
    [(12, 15), (1, 1), (1, 9), (9, 1), (3, 5, 6), (3, 5, 3), (1, 5, 6), (2, 3, 4, 5),
     (2, 1, 4, 1), (2, 3, 4, 5, 6), (1, 1, 3, 5, 6), (2, 1, 3, 2, 4, 5)],
)  # fmt: skip
def test_every_pixel_comes_back(project, shape):
    state = state_of(shape, model="demo", seed=3, scores={"nucleus": 0.5}, file="核.tif")
    project.save("a", state, "done")
    again = Project.open(project.folder)
    assert_same(again.load("a"), state)
    assert [image.status for image in again.images] == ["done", "open", "open"]
    assert again.load("b") is None


def test_the_highest_label_has_a_class(project):
    state = state_of(classes={65535: ClassRow("last")})
    project.save("a", state)
    assert_same(Project.open(project.folder).load("a"), state)


def test_an_annotation_of_nothing_comes_back(project):
    nothing = AnnotationState(np.zeros((4, 5), np.uint16), np.zeros((4, 5), np.uint8), {})
    project.save("a", nothing)
    assert_same(project.load("a"), nothing)


def test_arrays_that_are_views_or_read_only_are_saved(project):
    labels = np.arange(200, dtype=np.uint16).reshape(10, 20)[::2, ::-1]
    labels.flags.writeable = False
    state = AnnotationState(labels, np.asfortranarray(np.ones((5, 20), np.uint8)), CLASSES)
    project.save("a", state)
    assert_same(project.load("a"), state)


def test_other_programs_read_the_arrays(project):
    state = state_of()
    project.save("a", state)
    for path, expected in zip(
        arrays_of(project, "a"), (state.labels, state.edit_mask), strict=True
    ):
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), expected)
        np.testing.assert_array_equal(skimage.io.imread(path), expected)
    with tifffile.TiffFile(arrays_of(project, "a")[0]) as file:
        maps = tifffile.xml2dict(file.ome_metadata)["OME"]["StructuredAnnotations"]
    names = next(one for one in maps["MapAnnotation"] if one["Namespace"] == CLASSES_NAMESPACE)
    told = {str(one["K"]): one["value"] for one in names["Value"]["M"]}
    assert told["1"] == "nucleus"
    assert told["7"] == CLASSES[7].name


def test_what_a_save_leaves_is_what_is_needed(project):
    for _ in range(3):
        project.save("a", state_of())
        project.save("b", state_of())
    files = all_files(project.folder)
    assert len(files) == 8  # the list, the folder, and a record and two arrays of each
    assert {path.name for path in arrays_of(project, "a")} <= {Path(name).name for name in files}


def test_thresholds_are_kept_with_the_image(project):
    used = Thresholds(0.25, 0.5, min_max=True, per_class={"核 / x": 0.125})
    project.save("a", state_of(), thresholds=used)
    again = Project.open(project.folder)
    assert again.thresholds("a") == used
    assert again.thresholds("b") is None
    again.set_status("a", "done")
    assert again.thresholds("a") == used


def test_settings_go_along(project):
    rows = tuple(CLASSES.values())
    thresholds = Thresholds(0.1, 0.2, per_class={"nucleus": 0.75})
    config = SegmentationConfig(model="demo", templates=("a {}",), background=("sky",), window=224)
    project.save_settings(rows, thresholds, config)
    found = Project.open(project.folder).settings()
    assert found.classes == rows == read_classes(project.folder / "classes.yaml")
    assert (found.thresholds, found.config) == (thresholds, config)
    project.save_settings((), thresholds, config)
    assert Project.open(project.folder).settings().classes == ()


def test_a_project_begins_beside_files_of_others(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    theirs = {
        "classes.yaml": b"names: [0, 1]\n", "Settings.json": b"{", "prototypes.safetensors": b"x",
        "project classes.yaml": b"also theirs",
    }  # fmt: skip
    for name, content in theirs.items():
        (folder / name).write_bytes(content)
    project = Project.create(folder, [picture(tmp_path / "a.png")])
    assert project.settings().classes == ()
    for _ in range(2):
        save_prototypes(project, prototype_fusion("nucleus"))
        project = Project.open(folder)
        found = project.settings()
        assert [row.name for row in found.classes] == ["nucleus"]
        assert found.prototypes is not None
    save_prototypes(project, None)
    assert Project.open(folder).settings().prototypes is None
    assert {name: (folder / name).read_bytes() for name in theirs} == theirs


def prototype_fusion(*names: str) -> Prototypes:
    items = []
    for name in names:
        vector = RNG.normal(size=4).astype(np.float32)
        picture = RNG.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        vector /= np.linalg.norm(vector)
        items.append(Prototype(name, torch.from_numpy(vector), 3, ("a", "核"), picture))
    return Prototypes("demo", "weights of demo", tuple(items))


def save_prototypes(project: Project, prototypes: Prototypes | None, **more) -> None:
    options = [ClassRow("nucleus")], Thresholds(0, 0), SegmentationConfig(model="demo")
    project.save_settings(*options, prototypes=prototypes, **more)


def test_what_classes_look_like_goes_along(project):
    prototypes = prototype_fusion("nucleus", "核", "")
    save_prototypes(project, prototypes, prototype_weight=0.25)
    again = Project.open(project.folder)
    found = again.settings()
    assert found.prototype_weight == 0.25
    assert (found.prototypes.model, found.prototypes.identity) == ("demo", "weights of demo")
    for one, expected in zip(found.prototypes.items, prototypes.items, strict=True):
        assert (one.name, one.patches, one.sources) == (
            expected.name, expected.patches, expected.sources
        )  # fmt: skip
        np.testing.assert_array_equal(one.vector.numpy(), expected.vector.numpy())
        np.testing.assert_array_equal(one.thumbnail, expected.thumbnail)
    file = project.folder / "prototypes.safetensors"
    written = file.stat().st_mtime_ns
    save_prototypes(again, found.prototypes)  # the same ones are not written again
    assert file.stat().st_mtime_ns == written
    assert Project.open(project.folder).settings().prototype_weight is None
    fewer = found.prototypes.without(found.prototypes.items[0])
    save_prototypes(again, fewer)
    assert len(Project.open(project.folder).settings().prototypes) == 2
    save_prototypes(again, None)
    assert not file.exists()
    assert Project.open(project.folder).settings().prototypes is None


def test_a_project_without_prototypes_can_be_read_by_older_versions(project):
    save_prototypes(project, None)
    record = json.loads((project.folder / "settings.json").read_text(encoding="utf-8"))
    assert set(record) == {"thresholds", "config"}
    found = Project.open(project.folder).settings()
    assert (found.prototypes, found.prototype_weight) == (None, None)


def test_damaged_prototypes_are_named(project):
    save_prototypes(project, prototype_fusion("nucleus"))
    file = project.folder / "prototypes.safetensors"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(FileError, match=r"prototypes\.safetensors"):
        Project.open(project.folder).settings()


@pytest.mark.parametrize("ours", [("ours",), ()], ids=["other ones", "none"])
def test_prototypes_of_another_program_are_not_replaced_without_asking(project, ours):
    save_prototypes(project, prototype_fusion("ours"))
    save_prototypes(Project.open(project.folder), prototype_fusion("theirs"), overwrite=True)
    mine = prototype_fusion(*ours) if ours else None
    with pytest.raises(ChangedOnDiskError, match="saved by another program"):
        save_prototypes(project, mine)
    (found,) = Project.open(project.folder).settings().prototypes.items
    assert found.name == "theirs"
    save_prototypes(project, mine, overwrite=True)
    found = Project.open(project.folder).settings().prototypes
    assert [one.name for one in (found.items if found else ())] == list(ours)


def test_prototypes_on_a_full_disk_keep_the_last_ones(project):
    save_prototypes(project, prototype_fusion("kept"))
    before = all_files(project.folder)
    with small_files(), pytest.raises(FileError, match="Cannot write"):
        save_prototypes(project, prototype_fusion(*"abcdef"))
    assert all_files(project.folder) == before
    (found,) = Project.open(project.folder).settings().prototypes.items
    assert found.name == "kept"


def test_another_order_is_kept(project, tmp_path):
    project.save("b", state_of(), "done")
    other = Project.open(project.folder)
    other.add_files([picture(tmp_path / "images" / "d.png")])
    found = project.reorder(["c", "a", "b"])
    assert [image.name for image in found] == ["c", "a", "b", "d"]
    assert [image.name for image in Project.open(project.folder).images] == ["c", "a", "b", "d"]
    assert project.image("b").status == "done"
    for wrong, message in ((["c", "c"], "'c' is there twice"), (["x"], "no image named 'x'")):
        with pytest.raises(InvalidInputError, match=message):
            project.reorder(wrong)
    assert [image.name for image in project.images] == ["c", "a", "b", "d"]


def test_a_new_project_has_the_defaults_of_the_engine(project):
    found = project.settings()
    published = SegmentationConfig().settings()
    assert found.classes == ()
    assert found.config == SegmentationConfig()
    assert found.thresholds.class_threshold == published.class_threshold
    assert found.thresholds.background_threshold == published.background_threshold


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"config": {"modell": "demo"}}', r"'modell'.*Did you mean 'model'"),
        ('{"config": {"seed": "5"}}', r"seed is '5'"),
        ('{"config": {"model": "ViT-B/17"}}', r"ViT-B/16"),
        ('{"thresholds": {"class_threshold": NaN, "background_threshold": 0}}', r"is nan"),
        ('{"thresholds": {"class_threshold": 1}}', r"background_threshold"),
        ('{"config": []', r"not JSON"),
        ("[]", r"it is \[\]\. Give a mapping"),
        ('{"prototype_weight": 1.5}', r"prototype_weight is 1\.5"),
        ('{"prototype_weight": "much"}', r"prototype_weight is 'much'"),
    ],
)
def test_settings_that_make_no_sense_are_named(project, content, named):
    (project.folder / "settings.json").write_text(content, encoding="utf-8")
    with pytest.raises(FileError, match=rf"settings\.json.*{named}"):
        project.settings()


# ---------------------------------------------------------------------- the list of images


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


def test_images_that_were_moved_are_named_and_found_again(tmp_path):
    images = [picture(tmp_path / "images" / f"{name}.png", (12, 15 + i))
              for i, name in enumerate("abc")]  # fmt: skip
    project = Project.create(tmp_path / "p", images)
    pixels = project.read_image("b")
    shutil.move(tmp_path / "images", tmp_path / "elsewhere" / "deep")
    again = Project.open(project.folder)
    assert [image.name for image in again.missing] == ["a", "b", "c"]
    with pytest.raises(FileError, match=r"'b'.*images/b\.png.*Put it back"):
        again.read_image("b")
    shutil.copy(tmp_path / "elsewhere/deep/a.png", tmp_path / "elsewhere/a.png")  # which one?
    picture(tmp_path / "elsewhere/deep/c.png", (50, 50))  # another image of that name
    assert [image.name for image in again.find_images(tmp_path / "elsewhere")] == ["a", "c"]
    np.testing.assert_array_equal(Project.open(project.folder).read_image("b"), pixels)


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
        (with_image(name="a"), "two images have the name 'a'"),
        (with_image(file="A"), "two images have the file 'A'"),
        (with_image(file="../../x"), r"file is '\.\./\.\./x'"),
        (with_image(path=7), "path is 7"),
        (with_image(shape=[0, 2]), r"image 2: entry 1 of shape is 0\. Give 1 or more\."),
        (with_image(stauts="x"), "'stauts'"),
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
        (rewritten(np.full((12, 15), 3, np.uint8)), "up to 3 where"),
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
            AnnotationState(np.zeros((2, 2), np.uint16), np.full((2, 2), 3, np.uint8), {}),
            "edit mask has the value 3",
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


# ---------------------------------------------------------------------- disks


@contextmanager
def small_files():
    """No file may be larger than 4 KiB: to write on fails as on a full disk."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_the_last_save(project):
    kept = state_of((100, 100))
    project.save("a", kept, "done")
    (project.folder / "copies").mkdir()
    before = all_files(project.folder)
    with small_files():
        with pytest.raises(FileError, match="Cannot write"):
            project.save("a", state_of((100, 100)))
        with pytest.raises(FileError, match="Cannot write"):
            project.add_image("large", RNG.normal(size=(100, 100)))
        rows = [ClassRow(f"word {i}") for i in range(1000)]
        with pytest.raises(FileError, match="Cannot write"):
            project.save_settings(rows, Thresholds(0, 0), SegmentationConfig())
        with pytest.raises(FileError, match="Cannot write"):  # the arrays fit, the record does not
            project.save("a", state_of((2, 2), words=5000 * "x"))
    assert all_files(project.folder) == before
    assert_same(Project.open(project.folder).load("a"), kept)
    newer = state_of()
    project.save("a", newer)  # the same project goes on when there is room
    assert_same(Project.open(project.folder).load("a"), newer)


@pytest.fixture
def read_only_project():
    """A project that nobody may write to, and a user who is not allowed everything."""
    if os.name == "nt":
        pytest.skip("permissions of Windows are others")
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    project = Project.create(folder / "p", [picture(folder / "a.png")])
    project.save("a", state_of())
    inside = [project.folder, project.folder / "annotations"]
    for path in inside:
        path.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield project.folder
    finally:
        os.seteuid(user)
        for path in inside:
            path.chmod(0o755)
        shutil.rmtree(folder)


def test_a_read_only_project_is_read_and_not_written(read_only_project):
    project = Project.open(read_only_project)
    state = project.load("a")
    assert project.read_image("a").shape == state.labels.shape
    for write in (
        lambda: project.save("a", state),
        lambda: project.set_status("a", "done"),
        lambda: project.go_to("a"),
        lambda: project.add_image("x", np.zeros((2, 2))),
        lambda: project.save_settings((), Thresholds(0, 0), SegmentationConfig()),
    ):
        with pytest.raises(FileError, match="there is no permission"):
            write()
    assert project.current.name == "a"
    assert_same(project.load("a"), state)
    with pytest.raises(FileError, match="there is no permission"):
        Project.create(read_only_project / "new")


def test_a_disk_that_was_unplugged_is_not_made_anew(project):
    project.folder.rename(project.folder.with_name("unplugged"))
    for write in (
        lambda: project.save("a", state_of()),
        lambda: project.set_status("a", "done"),
        lambda: project.add_image("x", np.zeros((2, 2))),
        lambda: project.save_settings((), Thresholds(0, 0), SegmentationConfig()),
    ):
        with pytest.raises(FileError, match="gone"):
            write()
    assert not project.folder.exists()


# ---------------------------------------------------------------------- two programs


def test_what_another_program_saved_is_not_replaced_unasked(project):
    first, second = Project.open(project.folder), Project.open(project.folder)
    assert first.load("a") is None
    assert second.load("a") is None
    theirs, ours = state_of(), state_of()
    first.save("a", theirs)
    before = all_files(project.folder)
    assert second.peek("a") is not None  # to look does not make it ours to replace
    with pytest.raises(ChangedOnDiskError, match="saved by another program"):
        second.save("a", ours)
    assert all_files(project.folder) == before
    assert_same(second.load("a"), theirs)
    second.save("a", ours)
    with pytest.raises(ChangedOnDiskError):
        first.save("a", theirs)
    first.save("a", theirs, overwrite=True)
    assert_same(second.load("a"), theirs)


def test_two_programs_work_on_two_images(project):
    first, second = Project.open(project.folder), Project.open(project.folder)
    one, two = state_of(), state_of()
    for _ in range(2):
        first.save("a", one)
        second.save("b", two)
    first.go_to("a")
    added = first.add_image("x", np.zeros((2, 2)))
    other = second.add_image("x", np.ones((2, 2)))
    second.set_status("b", "done")
    found = Project.open(project.folder)
    assert [image.name for image in found.images] == ["a", "b", "c", added.name, other.name]
    assert [image.status for image in found.images][:2] == ["started", "done"]
    assert_same(found.load("a"), one)
    assert_same(found.load("b"), two)
    assert (found.read_image(other.name) == 1).all()


def test_settings_of_another_program_or_editor_are_not_replaced_unasked(project):
    def save(one, name, **more):
        one.save_settings([ClassRow(name)], Thresholds(0, 0), SegmentationConfig(), **more)

    save(project, "ours")
    path = project.folder / "classes.yaml"
    path.write_text("classes: [theirs]\n", encoding="utf-8")
    with pytest.raises(ChangedOnDiskError, match=r"classes\.yaml was saved by another"):
        save(project, "ours")
    assert [row.name for row in project.settings().classes] == ["theirs"]
    save(project, "both")
    save(Project.open(project.folder), "mine", overwrite=True)
    assert [row.name for row in project.settings().classes] == ["mine"]


@pytest.mark.parametrize(("deleted", "overwrite"), [(True, False), (False, False), (True, True)])
def test_a_save_in_between_is_noticed(project, monkeypatch, deleted, overwrite):
    """The other program saves while our arrays are written, and deletes them if it can."""
    other, theirs = Project.open(project.folder), state_of()

    def slowly(*arguments):
        monkeypatch.undo()
        names = stored.write_arrays(*arguments)
        with monkeypatch.context() as held:
            if not deleted:
                held.setattr(annotation_store, "sweep", lambda *_: None)
            other.save("a", theirs)
        return names

    monkeypatch.setattr("napari_cliper.annotation.project.annotation_store.write_arrays", slowly)
    with pytest.raises(ChangedOnDiskError):
        project.save("a", state_of(), overwrite=overwrite)
    assert_same(project.load("a"), theirs)
    assert len(list((project.folder / "annotations").iterdir())) == 3


def counted(count, size=40):
    """A state whose labels, edit mask, classes and record all have the same number."""
    digits = [count // 3**i % 3 for i in range(12)]
    return AnnotationState(
        np.full((size, size), count, np.uint16),
        np.resize(np.array(digits, np.uint8), (size, size)),
        {1: ClassRow(f"class {count}")},
        {"count": count},
    )


def test_threads_read_while_one_saves(project):
    stop, wrong, seen = threading.Event(), [], set()

    def read():
        while not stop.is_set():
            state = project.peek("a")
            try:
                assert_same(state, counted(state.record["count"]))
                seen.add(state.record["count"])
                assert project.image("a").status == "started"
            except (AssertionError, AttributeError) as error:
                wrong.append(error)

    project.save("a", counted(0))
    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for count in range(1, 60):
        project.save("a", counted(count))
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(seen) > 3


# ---------------------------------------------------------------------- kills

COUNTING = """
import numpy as np
from napari_cliper.annotation.project import annotation_store
from napari_cliper.annotation.project.project import Project
from napari_cliper.annotation.edit_mask import AnnotationState
from napari_cliper.labels.label_class import ClassRow

{counted}

project = Project.open({folder!r})
state = project.load("a")
count = 0 if state is None else state.record["count"]
while True:
    count += 1
    project.save("a", counted(count, 40 + count % 50), "started")
    print(count, flush=True)
"""


def check_whole(folder: Path) -> int:
    """The number of the save that is there; labels, edit mask and record are of that one."""
    state = Project.open(folder).load("a")
    assert state is not None
    count = state.record["count"]
    assert_same(state, counted(count, state.labels.shape[0]))
    return count


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")
def test_a_killed_process_loses_at_most_the_save_in_progress(project):
    script = COUNTING.format(folder=str(project.folder), counted=inspect.getsource(counted))
    moments = random.Random(0)
    last = 0
    for _ in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
        ) as process:
            first = process.stdout.readline()
            time.sleep(moments.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            told = [first, *process.stdout.read().splitlines()]
        assert process.returncode == -signal.SIGKILL
        done = [int(line) for line in told if line.strip()]
        assert done[0] == last + 1  # it went on where the one before was killed
        last = check_whole(project.folder)
        assert last - done[-1] in (0, 1)
    project.load("a")
    project.save("a", counted(last + 1))
    assert len(list((project.folder / "annotations").iterdir())) == 3  # nothing was left behind


CALLS = {
    "open", "write", "writelines", "tofile", "flush", "fsync", "close", "truncate", "rename",
    "replace", "unlink", "remove", "mkdir", "listdir", "scandir",
}  # fmt: skip
"""What Python calls the calls that change a disk, and more."""

STEPS = """
import os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_project import check_whole, counted
from napari_cliper.annotation.project import annotation_store
from napari_cliper.annotation.project.project import Project

folder = {folder!r}
Project.open(folder).save("a", counted(1), overwrite=True)
left = 0

def hook(frame, event, function):
    global left
    if event != "c_call" or function.__name__ not in {names!r}:
        return
    if not isinstance(function.__self__, str):  # which has a "replace" too
        left -= 1
        if left < 0:
            os._exit(9)

for steps in range(1000):
    child = os.fork()
    if child == 0:
        project = Project.open(folder)
        count = project.load("a").record["count"]
        left = steps
        sys.setprofile(hook)
        project.save("a", counted(count + 1))
        sys.setprofile(None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), check_whole(Path(folder)), flush=True)
    if status == 0:
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_there_is_no_step_at_which_a_kill_mixes_two_saves(project):
    """Stops a save before each of its calls to the disk in turn."""
    script = STEPS.format(tests=str(Path(__file__).parent), folder=str(project.folder), names=CALLS)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    lines = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert [code for code, _ in lines[:-1]] == [9] * (len(lines) - 1)
    assert lines[-1][0] == 0
    assert len(lines) > 12
    counts = [1, *(count for _, count in lines)]
    steps = [after - before for before, after in pairwise(counts)]
    # Up to the renaming of the record nothing is new, and from there on everything is.
    assert steps == sorted(steps)
    assert set(steps) == {0, 1}
    assert len(list((project.folder / "annotations").iterdir())) == 3


def test_axes_stay_with_images_and_annotations(tmp_path):
    series = np.zeros((3, 1, 9, 8), np.uint8)
    tifffile.imwrite(tmp_path / "series.tif", series[:, 0], imagej=True, metadata={"axes": "TYX"})
    project = Project.create(tmp_path / "project", [tmp_path / "series.tif"])
    project.add_image("copy", series, axes="TZYX")
    project.add_image("unnamed", series)
    project = Project.open(project.folder)
    for name, axes in (("series", "TYX"), ("copy", "TZYX"), ("unnamed", "QQYX")):
        pixels, found = project.read_image_with_axes(name)
        assert (found, pixels.ndim) == (axes, len(axes))
    for axes, shape in (
        ("TZYX", (3, 2, 9, 8)), ("ZTYX", (3, 2, 9, 8)), ("ZTYX", (3, 3, 9, 8)),
        ("TZYX", (3, 1, 9, 8)), ("TCYX", (1, 2, 9, 8)), ("", (3, 2, 9, 8)),
    ):  # fmt: skip
        other = Project.create(tmp_path / f"{axes} {shape}")
        other.add_image("a", np.zeros(shape, np.uint8), axes=axes)
        labels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
        edit_mask = np.ones(shape, np.uint8)
        geometry = {"geometry": {"axes": axes}} if axes else {}  # as old projects have none
        other.save("a", AnnotationState(labels, edit_mask, {}, geometry))
        state = Project.open(other.folder).load("a")
        np.testing.assert_array_equal(state.labels, labels)
        assert labelled_of(state, "a", None).axes == (axes or "QQYX")
        (file,) = [
            one
            for one in (other.folder / "annotations").glob("*.tif")
            if "edit_mask" not in one.name
        ]
        with tifffile.TiffFile(file) as tiff:
            sizes = dict(zip(tiff.series[0].axes, tiff.series[0].shape, strict=True))
        for letter, size in zip(axes, shape, strict=False):
            assert sizes.get(letter, 1) == size
