"""Two programs or threads that work on one project."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import numpy as np
import pytest
from annotation_projects import all_files, assert_same, counted, state_of

from napari_cliper.annotation.project import annotation_record as stored
from napari_cliper.annotation.project import annotation_store
from napari_cliper.annotation.project.annotation_store import ChangedOnDiskError
from napari_cliper.annotation.project.project import Project
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.segmentation import SegmentationConfig, Thresholds


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

    @contextmanager
    def slowly(*arguments, **options):
        monkeypatch.undo()
        with stored.written_arrays(*arguments, **options) as names:
            with monkeypatch.context() as held:
                if not deleted:
                    held.setattr(annotation_store, "sweep", lambda *_: None)
                other.save("a", theirs)
            yield names

    monkeypatch.setattr(annotation_store, "written_arrays", slowly)
    with pytest.raises(ChangedOnDiskError):
        project.save("a", state_of(), overwrite=overwrite)
    assert_same(project.load("a"), theirs)
    assert len(list((project.folder / "annotations").iterdir())) == 3


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
