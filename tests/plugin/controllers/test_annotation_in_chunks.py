"""An annotation whose layer has the size of the image, and whose labels are in chunks."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from annotation_actions import annotation
from hint_strokes import predicted
from PIL import Image as Picture

from napari_cliper.annotation import chunks, stored_accept, stored_edits
from napari_cliper.annotation.cleanup import CLEANING
from napari_cliper.annotation.edit_mask import ACCEPTED, CLEANED, AnnotationState
from napari_cliper.annotation.project.project import Project
from napari_cliper.annotation.stored_follow import StoredFollow
from napari_cliper.annotation.stored_state import StoredState
from napari_cliper.annotation.user_hints import BACKGROUND
from napari_cliper.io.readers.label_files import read_labels
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.plugin import engine_requests
from napari_cliper.plugin.contributions.writers import write_layers
from napari_cliper.plugin.controllers import accept_job, annotation_work
from napari_cliper.plugin.controllers.project_files import load_image
from napari_cliper.plugin.layers import changed_labels, image_layers, prediction_layers
from napari_cliper.plugin.layers.large_annotation_layer import ready

pytestmark = pytest.mark.one_binding

PASSES = [
    (stored_accept, "accept"),
    (StoredFollow, "run"),
    (annotation_work, "rewritten"),
    (engine_requests, "label_counts"),
    (prediction_layers, "label_counts"),
    (changed_labels.ChangedLabels, "of"),
]
"""What passes over all pixels."""


@pytest.fixture
def passes(monkeypatch):
    """Take images of this size for large ones; note what passes over pixels, and where."""
    monkeypatch.setattr(image_layers, "LARGEST_AT_ONCE", 16)
    monkeypatch.setattr(accept_job, "AT_ONCE", 100)
    monkeypatch.setattr(chunks, "CHUNK", 32)
    monkeypatch.setattr(stored_edits, "SHOWN_AT_ONCE", 2)
    found = []

    def noted(name, function):
        def call(*given, **more):
            found.append((name, threading.current_thread() is threading.main_thread()))
            return function(*given, **more)

        return call

    for owner, name in PASSES:
        monkeypatch.setattr(owner, name, noted(name, getattr(owner, name)))
    return found


def test_the_window_passes_over_no_pixels_and_nothing_else_is_different(
    passes, dock, run, settle, qtbot, tmp_path
):
    def wait():
        settle(dock)
        qtbot.waitUntil(lambda: dock.idle, timeout=20_000)

    run(dock)
    dock.annotation_controller.accept()
    wait()
    mine = annotation(dock)
    expected = predicted(dock).data.copy()
    assert mine.layer.data.shape == expected.shape
    np.testing.assert_array_equal(mine.layer.data, expected)
    assert (mine.state().edit_mask == ACCEPTED).all()
    mine.layer.undo()
    wait()
    assert not mine.layer.data.any()
    mine.layer.redo()
    wait()
    np.testing.assert_array_equal(mine.layer.data, expected)

    rows, columns = np.nonzero(expected)
    at = rows[len(rows) // 2], columns[len(rows) // 2]
    clicks = dock.correction_controller.click_controller
    clicks.click_at(at, BACKGROUND)
    wait()
    assert mine.layer.data[at] == 0
    np.testing.assert_array_equal(mine.layer.data, predicted(dock).data)
    assert (mine.state().edit_mask == ACCEPTED).all()
    assert "accepted pixels with them" in dock.status_panel.message.text()
    clicks.all[0].undo()
    wait()
    np.testing.assert_array_equal(mine.layer.data, expected)

    dock.annotation_controller.remove_smaller(300)
    wait()
    classes = set(np.unique(expected).tolist()) - {0}
    cleaned = CLEANING["remove specks"](expected.astype(np.uint16), classes, 300)
    assert (cleaned != expected).any()
    np.testing.assert_array_equal(mine.layer.data, cleaned)
    np.testing.assert_array_equal(mine.state().edit_mask == CLEANED, cleaned != expected)
    (path,) = write_layers("ome-tiff", str(tmp_path / "a"), [mine.layer.as_layer_data_tuple()])
    np.testing.assert_array_equal(read_labels(path).labels, cleaned)
    mine.layer.undo()
    wait()
    np.testing.assert_array_equal(mine.layer.data, expected)

    counts = predicted(dock).features["pixels"].tolist()
    assert counts == [np.count_nonzero(expected == label) for label in range(len(counts))]
    assert {name for name, _ in passes} == {name for _, name in PASSES}
    assert not [name for name, in_window in passes if in_window]


def test_a_project_of_whole_arrays_is_put_into_chunks_where_it_is_read(tmp_path, monkeypatch):
    image = tmp_path / "cells.png"
    Picture.fromarray(np.eye(70, 90, dtype=np.uint8)).save(image)
    project = Project.create(tmp_path / "project", [image])
    (name,) = (one.name for one in project.images)
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, (70, 90)).astype(np.uint16)
    edit_mask = (labels > 0).astype(np.uint8)
    classes = {1: ClassRow("a"), 2: ClassRow("b")}
    project.save(name, AnnotationState(labels, edit_mask, classes, {"note": 1}))

    def unwanted(*_progress):
        return False

    assert not isinstance(load_image(project, name, unwanted, unwanted)[1], StoredState)
    monkeypatch.setattr(image_layers, "LARGEST_AT_ONCE", 16)
    _, state = load_image(project, name, unwanted, unwanted)
    assert isinstance(state, StoredState)
    assert ready(state) is state
    np.testing.assert_array_equal(state.labels, labels)
    np.testing.assert_array_equal(state.edit_mask, edit_mask)
    assert state.classes == classes
    assert state.record["note"] == 1
    project.save(name, state)
    again = project.load(name)
    assert isinstance(again, StoredState)
    np.testing.assert_array_equal(again.labels, labels)
