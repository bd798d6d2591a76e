"""A class is changed in all images of a project, or in none; what was there is kept."""

from __future__ import annotations

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from napari_cliper.annotation.class_change import ClassChange, change_state
from napari_cliper.annotation.edit_mask import PAINTED, AnnotationState
from napari_cliper.annotation.label_store import LabelStore
from napari_cliper.annotation.project.annotation_store import ChangedOnDiskError
from napari_cliper.annotation.project.class_edits import BACKUPS, BACKUPS_KEPT
from napari_cliper.annotation.project.project import Project
from napari_cliper.annotation.stored_state import StoredState
from napari_cliper.io.files import FileError
from napari_cliper.io.writers.tiff import CLASSES_NAMESPACE
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.segmentation import (
    InvalidInputError,
    Monitor,
    Prototype,
    Prototypes,
    SegmentationConfig,
    Stopped,
    Thresholds,
)

RNG = np.random.default_rng(3)
CELL, NUCLEUS, FIBRE = (ClassRow(name) for name in ("cell", "nucleus", "fibre"))
CYST = ClassRow("cyst", ("sac",))
THRESHOLDS = Thresholds(0.3, 0.5, per_class={"cell": 0.2})


def state_of(classes, shape=(12, 15), clicks=None):
    labels = RNG.choice(np.array([0, *classes], np.uint16), shape)
    mask = RNG.integers(0, 4, shape, dtype=np.uint8)
    return AnnotationState(labels, mask, classes, {"clicks": clicks} if clicks else {})


@pytest.fixture
def project(tmp_path):
    """Five images: both classes, one of them, a stack with neither, only clicks, a status."""
    project = Project.create(tmp_path / "project")
    for name in ("both", "cell", "stack", "clicked", "bare"):
        shape = (2, 12, 15) if name == "stack" else (12, 15)
        project.add_image(name, np.zeros(shape, np.uint8))
    project.save("both", state_of({1: CELL, 7: NUCLEUS}), "done", thresholds=THRESHOLDS)
    project.save("cell", state_of({4: CELL}, clicks={"Cell": [[1.0, 2.0]]}))
    project.save("stack", state_of({1: FIBRE}, (2, 12, 15)))
    project.save("clicked", state_of({}, clicks={"cell": [[3.0, 4.0]], "fibre": [[5.0, 6.0]]}))
    project.set_status("bare", "done")
    vector = torch.nn.functional.normalize(torch.ones(4), dim=0)
    prototype = Prototype("cell", vector, 2, ("both",), np.zeros((48, 48, 3), np.uint8))
    prototypes = Prototypes("demo", "identity", (prototype,))
    config = SegmentationConfig(model="demo")
    project.save_settings((CELL, NUCLEUS, FIBRE), THRESHOLDS, config, prototypes=prototypes)
    return project


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and BACKUPS not in path.relative_to(folder).parts
    }


def states(project):
    return {image.name: project.peek(image.name) for image in project.images}


def same(found, expected):
    assert np.array_equal(found.labels, expected.labels)
    assert np.array_equal(found.edit_mask, expected.edit_mask)
    assert (found.classes, found.record) == (expected.classes, expected.record)


CHANGES = (ClassChange("Cell", CYST), ClassChange("cell", NUCLEUS, merge=True), ClassChange("cell"))


@pytest.mark.parametrize("change", CHANGES, ids=["rename", "merge", "delete"])
def test_every_image_and_setting_changes_and_the_backup_brings_all_back(project, change):
    before, files = states(project), files_in(project.folder)
    count = project.pixels_of_class("CELL")
    done = project.change_class(change)
    reopened = Project.open(project.folder)
    for one in (project, reopened):
        for name, found in states(one).items():
            if before[name] is not None:
                same(found, change_state(before[name], change))
        assert one.pixels_of_class("cell") == type(count)(0, 0, ())
    assert count.pixels == sum(
        np.count_nonzero(before[name].labels == label) for name, label in (("both", 1), ("cell", 4))
    )
    assert (count.clicks, count.images) == (2, ("both", "cell", "clicked")) == (2, done.images)
    assert reopened.image("both").status == "done"
    settings = reopened.settings()
    new = [] if change.new is None else [change.new.name]
    expected = [*new, "nucleus", "fibre"] if new == ["cyst"] else ["nucleus", "fibre"]
    assert [row.name for row in settings.classes] == expected
    assert dict(settings.thresholds.per_class) == ({"cyst": 0.2} if new == ["cyst"] else {})
    assert reopened.thresholds("both") == settings.thresholds
    learned = settings.prototypes
    assert [one.name for one in (learned.items if learned else ())] == new
    untouched = {
        name for name in files if name.startswith(("annotations/stack", "annotations/bare"))
    }
    assert {name.count(".zarr/c/") for name in untouched} == {0, 1}  # a stack is in chunks
    assert len(untouched) == 5
    assert {name: files_in(project.folder)[name] for name in untouched} == {
        name: files[name] for name in untouched
    }
    if new:  # other programs read the name in the TIFF itself
        labels = json.loads((project.folder / "annotations" / "cell.json").read_text())["labels"]
        with tifffile.TiffFile(project.folder / "annotations" / labels) as tif:
            assert CLASSES_NAMESPACE in tif.ome_metadata
            assert new[0] in tif.ome_metadata

    assert done.backup.parent == project.folder / BACKUPS
    shutil.copytree(done.backup, project.folder, dirs_exist_ok=True)
    back = Project.open(project.folder)
    for name, found in states(back).items():
        if before[name] is not None:
            same(found, before[name])
    assert files_in(project.folder).items() >= files.items()


def test_rename_and_back_leaves_all_as_it_was(project):
    before = states(project)
    project.change_class(ClassChange("cell", CYST))
    project.change_class(ClassChange("cyst", CELL))
    for name, found in states(project).items():
        if before[name] is not None:
            expected = before[name].record.get("clicks", {})
            same(found, AnnotationState(
                before[name].labels, before[name].edit_mask, before[name].classes,
                {"clicks": {key.lower(): value for key, value in expected.items()}} if expected
                else {},
            ))  # fmt: skip


def test_only_the_newest_backups_are_kept_and_none_without_a_need(project):
    mine = project.folder / BACKUPS / "my own"
    mine.mkdir(parents=True)
    names = ["cell", *(f"cell {number}" for number in range(BACKUPS_KEPT + 1))]
    made = [
        project.change_class(ClassChange(old, ClassRow(new))).backup for old, new in pairwise(names)
    ]
    assert len(set(made)) == BACKUPS_KEPT + 1
    assert sorted((project.folder / BACKUPS).iterdir()) == sorted([*made[1:], mine])
    assert project.change_class(ClassChange("no such class")).backup is None
    assert project.change_class(ClassChange("fibre", ClassRow("thread"))).images == (
        "stack",
        "clicked",
    )
    only_words = project.change_class(ClassChange("nucleolus", ClassRow("x")))
    assert (only_words.images, only_words.backup) == ((), None)


def test_what_another_program_saved_is_never_replaced(project):
    project.load("cell")
    other = Project.open(project.folder)
    other.load("cell")
    theirs = state_of({4: CELL})
    other.save("cell", theirs)
    files = files_in(project.folder)
    with pytest.raises(ChangedOnDiskError, match="cell was saved by another program"):
        project.change_class(CHANGES[0])
    assert files_in(project.folder) == files
    assert not list((project.folder / BACKUPS).glob("*"))
    project.load("cell")  # it is known now
    assert "cell" in project.change_class(CHANGES[0]).images
    other = Project.open(project.folder)
    settings = other.settings()
    project.save_settings((*settings.classes, ClassRow("dog")), THRESHOLDS, settings.config)
    with pytest.raises(ChangedOnDiskError, match=r"classes\.yaml"):
        other.change_class(ClassChange("cyst"))


def test_an_image_in_the_window_is_saved_on_after_the_change(project):
    state = project.load("both")
    project.change_class(CHANGES[1])
    changed = change_state(state, CHANGES[1])
    changed.edit_mask[:] = PAINTED
    project.save("both", changed)  # no ChangedOnDiskError: the change was ours
    same(project.peek("both"), changed)
    with pytest.raises(ChangedOnDiskError):  # this one was never loaded here
        Project.open(project.folder).save("cell", state)


@pytest.mark.parametrize("failing", range(1, 9))
def test_a_failed_move_or_a_cancel_changes_nothing(project, monkeypatch, failing):
    files, moved = files_in(project.folder), []
    replace = Path.replace

    def fail(path, target):
        inside = project.folder / BACKUPS not in Path(target).parents
        if inside and ".before" not in str(path):
            moved.append(target)
            if len(moved) == failing:
                raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(FileError, match="the disk is full"):
        project.change_class(CHANGES[0])
    monkeypatch.undo()
    assert files_in(project.folder) == files
    assert not list((project.folder / BACKUPS).glob("*"))
    with pytest.raises(Stopped):
        project.change_class(CHANGES[0], Monitor(should_stop=lambda: True))
    assert files_in(project.folder) == files
    project.change_class(CHANGES[0])  # and it can be tried again


def test_bad_input_changes_nothing(project):
    files = files_in(project.folder)
    with pytest.raises(InvalidInputError, match="fibre"):
        project.change_class(ClassChange("cell", ClassRow("cyst", ("fibre",))))
    damaged = next((project.folder / "annotations").glob("both.*_edit_mask.tif"))
    damaged.write_bytes(b"no TIFF")
    with pytest.raises(FileError, match="both"):
        project.change_class(CHANGES[0])
    damaged.write_bytes(files[damaged.relative_to(project.folder).as_posix()])
    assert files_in(project.folder) == files


def test_pixels_are_counted_in_records_of_older_versions(project):
    expected = project.pixels_of_class("cell")
    for path in (project.folder / "annotations").glob("*.json"):
        record = json.loads(path.read_text())
        record.pop("pixels", None)
        path.write_text(json.dumps(record))
    assert Project.open(project.folder).pixels_of_class("cell") == expected


def content_of(folder):
    """Class names and labels of all images, the words, and the files of annotations."""
    project = Project.open(folder)
    states = [(one.name, project.peek(one.name)) for one in project.images]
    found = [
        (name, state.classes, state.labels.tobytes(), state.edit_mask.tobytes())
        for name, state in states
        if state is not None
    ]
    return found, project.settings().classes, project.thresholds("both")


def test_a_program_that_is_killed_leaves_all_or_nothing_changed(project, tmp_path, monkeypatch):
    """Copy the folder before each step of a change: so a kill there would leave it."""
    folder, store = project.folder, LabelStore((12, 15))
    project.add_image("slide", np.zeros((12, 15), np.uint8))
    store.write((slice(2, 9), slice(3, 8)), np.uint16(1), np.uint8(PAINTED))
    project.save("slide", StoredState(store, {1: CELL, 2: NUCLEUS}))
    before, left = content_of(folder), []

    def keep_a_copy():
        left.append(tmp_path / "left" / f"{len(left)}")
        shutil.copytree(folder, left[-1])

    replace, moving = Path.replace, []

    def replace_and_copy(path, target):
        if "cliper-change" in str(path) + str(target):
            keep_a_copy()
            moving.append(target)
        return replace(path, target)

    with monkeypatch.context() as watched:
        watched.setattr(Path, "replace", replace_and_copy)
        project.change_class(ClassChange("cell", NUCLEUS, merge=True))
    after = content_of(folder)
    assert before != after
    monkeypatch.setattr("psutil.pid_exists", lambda _: False)  # it was killed
    found = []
    for copy in left:
        begun = bool(list(copy.glob(".cliper*/.moves.json")))
        assert Project.open(copy).completed_change == begun
        content = content_of(copy)
        assert content == (after if begun else before)
        found.append(begun)
        assert not list(copy.glob(".cliper*"))
        again = Project.open(copy)
        assert not again.completed_change
        again.save("slide", again.load("slide"))  # deletes what was replaced
        assert len(list((copy / "annotations").glob("slide.*"))) == 2
    assert found == sorted(found)
    assert 5 < sum(found) < len(found)
    shutil.copytree(left[-1], tmp_path / "odd")
    odd = tmp_path / "odd" / ".cliper-change-1-x-y"
    odd.mkdir()
    (odd / ".moves.json").write_text('{"moves": [["a", "../../a"]]}')
    os.utime(odd, (0, 0))
    with pytest.raises(FileError, match="outside of its folder"):
        Project.open(tmp_path / "odd")
