"""A disk that is full, read-only or unplugged leaves the last save."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from annotation_projects import RNG, all_files, assert_same, picture, state_of
from full_disk import small_files

from napari_cliper.annotation.project.project import Project
from napari_cliper.io.files import FileError
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.segmentation import SegmentationConfig, Thresholds


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
