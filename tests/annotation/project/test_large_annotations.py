"""Annotations of large images in a project: labels in chunks on disk."""

from __future__ import annotations

import json
import shutil
from functools import partial

import numpy as np
import pytest
from annotation_projects import all_files, arrays_of, picture

from napari_cliper.annotation import chunks
from napari_cliper.annotation.class_change import ClassChange
from napari_cliper.annotation.edit_history import Edits
from napari_cliper.annotation.edit_mask import PAINTED
from napari_cliper.annotation.label_store import LabelStore
from napari_cliper.annotation.memory_store import MemoryStore
from napari_cliper.annotation.project.annotation_store import ChangedOnDiskError
from napari_cliper.annotation.project.project import Project
from napari_cliper.annotation.stored_state import StoredState
from napari_cliper.io.files import FileError
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.segmentation import Monitor, Progress, Stopped, atomic

SHAPE = (600, 1100)
CLASSES = {1: ClassRow("nucleus"), 2: ClassRow("fibre")}


@pytest.fixture
def project(tmp_path):
    return Project.create(tmp_path / "project", [picture(tmp_path / "slide.png", SHAPE)])


def paint(store, top, label):
    store.write((slice(top, top + 10), slice(20, 30)), np.uint16(label), np.uint8(PAINTED))


def reopened(project):
    found = Project.open(project.folder).load("slide")
    assert isinstance(found, StoredState)
    return found


def test_saves_write_changed_chunks_and_all_comes_back(project):
    store = LabelStore(SHAPE)
    paint(store, 0, 1)
    project.save("slide", StoredState(store, CLASSES, {"note": 5}))
    folder, other = arrays_of(project, "slide")
    assert folder == other
    first = {path: path.stat().st_mtime_ns for path in folder.rglob("c/0/*/*")}
    assert len(first) == 1
    paint(store, 550, 2)
    project.save("slide", StoredState(store, CLASSES, {"note": 6}))
    assert arrays_of(project, "slide")[0] == folder
    assert {path: path.stat().st_mtime_ns for path in first} == first
    found = reopened(project)
    assert found.record == {"note": 6}
    assert dict(found.classes) == CLASSES
    assert found.labels.sum() == 100 + 200
    assert (found.edit_mask == PAINTED).sum() == 200
    assert project.images[0].classes == ("nucleus", "fibre")
    record = json.loads((project.folder / "annotations" / "slide.json").read_text())
    assert record["pixels"] == {"1": 100, "2": 100}


def test_what_another_program_saved_is_not_replaced_unasked(project):
    store = LabelStore(SHAPE)
    paint(store, 0, 1)
    project.save("slide", StoredState(store, CLASSES))
    theirs = Project.open(project.folder)
    other = theirs.load("slide")
    paint(other.store, 300, 2)
    theirs.save("slide", other)
    paint(store, 100, 1)
    with pytest.raises(ChangedOnDiskError):
        project.save("slide", StoredState(store, CLASSES))
    assert reopened(project).labels.sum() == 100 + 200
    project.save("slide", StoredState(store, CLASSES), overwrite=True)
    assert reopened(project).labels.sum() == 100 + 100
    del other  # what this process still reads is kept
    project.save("slide", StoredState(store, CLASSES))
    assert len([one for one in all_files(project.folder) if one.endswith(".zarr")]) == 1


def test_saving_over_another_program_keeps_what_only_it_has_changed(project):
    store, state = LabelStore(SHAPE), partial(StoredState, classes=CLASSES)
    for top in (0, 530):
        paint(store, top, 1)
    project.save("slide", state(store))
    assert store.counts().labels == {1: 200}
    theirs = Project.open(project.folder)
    for folders in (1, 2):
        other = theirs.load("slide") if folders == 1 else state(LabelStore(SHAPE))
        paint(other.store, 300, 2)
        paint(other.store, 530, 3)
        theirs.save("slide", StoredState(other.store, {**CLASSES, 3: ClassRow("vessel")}))
        paint(store, 100, 2)
        with pytest.raises(ChangedOnDiskError, match="where both have changed"):
            project.save("slide", state(store))
        before = store.fork()
        with pytest.raises(FileError, match=r"label 3 is 'vessel' there, and 'fibre' here.*Export"):
            project.save(
                "slide", StoredState(store, {**CLASSES, 3: ClassRow("fibre")}), overwrite=True
            )
        assert theirs.peek("slide").labels[300, 25] == 2
        project.save("slide", state(store), overwrite=True)
        assert store.saved
        assert {(1, 0)} == store.changed_since(before)
        expected = np.zeros(SHAPE, np.uint16)  # the chunk that both have changed is ours
        for top, label in ((0, 1), (100, 2), (530, 3)):
            expected[top : top + 10, 20:30] = label
        for _ in range(2):
            found = reopened(project)
            np.testing.assert_array_equal(found.labels, expected)
            assert found.classes[3].name == "vessel"
            assert store.counts().labels == {1: 100, 2: 100, 3: 100}
            project.save("slide", state(store))
        theirs = Project.open(project.folder)
        theirs.load("slide")


def test_a_merged_class_changes_on_disk_and_a_window_saves_on(project):
    store = LabelStore(SHAPE)
    paint(store, 0, 1)
    paint(store, 550, 2)
    project.save("slide", StoredState(store, CLASSES))
    before = arrays_of(project, "slide")[0]
    untouched = (before / "c" / "0" / "1" / "0").stat().st_ino
    done = project.change_class(ClassChange("nucleus", CLASSES[2], merge=True))
    assert done.images == ("slide",)
    assert reopened(project).labels.sum() == 400
    assert list(reopened(project).classes) == [2]
    assert arrays_of(project, "slide")[0] == before
    assert (before / "c" / "0" / "1" / "0").stat().st_ino == untouched  # was not written again
    backup = done.backup / "annotations" / before.name
    assert (backup / "c" / "0" / "1" / "0").stat().st_ino != untouched
    kept = LabelStore(SHAPE, backup)
    assert kept.counts().labels == {1: 100, 2: 100}
    store.relabel([1], 2)  # as the window does
    paint(store, 300, 2)
    project.save("slide", StoredState(store, {2: CLASSES[2]}))
    assert reopened(project).labels.sum() == 600
    project.remove_image("slide")
    assert not [one for one in all_files(project.folder / "annotations") if "zarr" in one]


def test_labels_are_not_lost_with_a_folder_that_is_not_used(project, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "UNPACKED", 1)  # the others are read from the disk
    store = LabelStore(SHAPE)
    for top in (0, 550):
        paint(store, top, 1)
    write = atomic.write

    def full_at_the_end(path, content):
        if path.name == "slide.json":
            raise OSError(28, "No space left on device")
        write(path, content)

    with monkeypatch.context() as full:
        full.setattr(atomic, "write", full_at_the_end)
        with pytest.raises(FileError, match="disk is full"):
            project.save("slide", StoredState(store, CLASSES))
    assert StoredState(store, CLASSES).labels.sum() == 200
    project.save("slide", StoredState(store, CLASSES))
    assert reopened(project).labels.sum() == 200
    newer = LabelStore(SHAPE)  # of a new annotation, while the removed one waits to be restored
    paint(newer, 0, 2)
    project.save("slide", StoredState(newer, CLASSES))
    other = Project.create(tmp_path / "other", [tmp_path / "slide.png"])
    other.save("slide", StoredState(store, CLASSES))
    assert other.load("slide").labels.sum() == 200
    paint(newer, 550, 2)
    project.save("slide", StoredState(newer, CLASSES))
    assert len([one for one in all_files(project.folder) if one.endswith(".zarr")]) == 1


def test_saves_of_a_stack_write_changed_chunks_and_replace_no_other_program_unasked(tmp_path):
    shape = (3, 40, 30)
    project = Project.create(tmp_path / "project")
    project.add_image("stack", np.zeros(shape, np.uint8), axes="ZYX")
    labels = np.zeros(shape, np.uint16)
    labels[0, :5] = 1
    edits = Edits(labels, np.zeros(shape, np.uint8))

    def paint(plane, label, edits=edits):
        edits.labels[plane, 10:20] = label
        edits.follow(painted=True)

    paint(1, 1)
    state = StoredState(edits.store, CLASSES, {"note": 5})
    project.save("stack", state)
    (folder,) = (project.folder / "annotations").glob("*.zarr")
    first = {path: path.stat().st_mtime_ns for path in folder.rglob("c/0/*/*/*")}
    assert len(first) == 2
    paint(2, 2)
    project.save("stack", state.with_record({"note": 6}))
    assert {path: path.stat().st_mtime_ns for path in first} == first
    theirs = Project.open(project.folder)
    other = theirs.load("stack")
    assert (other.record, dict(other.classes)) == ({"note": 6}, CLASSES)
    np.testing.assert_array_equal(other.labels, labels)
    np.testing.assert_array_equal(other.edit_mask, edits.edit_mask)
    paint(0, 2, Edits(other.labels, other.store))
    theirs.save("stack", other)
    assert len([*(project.folder / "annotations").glob("*.zarr")]) == 1
    paint(1, 2)
    with pytest.raises(ChangedOnDiskError):
        project.save("stack", state)
    project.save("stack", state, overwrite=True)
    np.testing.assert_array_equal(project.peek("stack").labels, labels)  # none of theirs
    assert len([*(project.folder / "annotations").glob("*.zarr")]) == 1
    shutil.rmtree(project.folder / "annotations")  # everything is in memory
    paint(1, 1)
    project.save("stack", state)
    np.testing.assert_array_equal(project.peek("stack").labels, labels)
    done = project.change_class(ClassChange("nucleus", CLASSES[2], merge=True))
    assert done.images == ("stack",)
    (folder,) = (done.backup / "annotations").glob("*.zarr")
    np.testing.assert_array_equal(MemoryStore.opened(shape, folder).labels, labels)
    edits.store.relabel([1], 2)  # as the window does
    project.save("stack", StoredState(edits.store, {2: CLASSES[2]}))
    np.testing.assert_array_equal(project.peek("stack").labels, np.where(labels > 0, 2, 0))


def test_a_change_of_a_class_tells_of_each_chunk_and_can_be_cancelled_there(project, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 256)
    store = LabelStore(SHAPE)
    whole = slice(0, 600), slice(0, 1100)
    store.write(whole, np.uint16(1), np.uint8(PAINTED))
    project.save("slide", StoredState(store, CLASSES))
    folder, _ = arrays_of(project, "slide")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    change = ClassChange("nucleus", CLASSES[2], merge=True)
    for stage in ("Changing labels", "Writing labels"):
        told = []
        monitor = Monitor(
            told.append, lambda told=told, stage=stage: Progress(stage, 7, 15) in told
        )
        with pytest.raises(Stopped):
            Project.open(project.folder).change_class(change, monitor)
        found = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert found == before
    found = Project.open(project.folder)
    backup = found.change_class(change).backup
    assert (found.load("slide").labels == 2).all()
    kept = LabelStore(SHAPE, backup / folder.relative_to(project.folder))
    assert kept.counts().labels == {1: 600 * 1100}
