"""A run of all of a large lazy image: labels are computed chunk by chunk, where they are needed."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from napari_cliper.annotation.edit_mask import ACCEPTED, PAINTED
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io.files import FileError
from napari_cliper.plugin.contributions.writers import write_layers
from napari_cliper.plugin.layers import image_layers, window_region
from napari_cliper.plugin.layers.prediction_layers import LargePrediction
from napari_cliper.segmentation.labelling import labels_by_chunk

SIDE = 640


@pytest.fixture
def slide(dock, monkeypatch):
    """A dock beside a lazy image whose labels are not kept in memory as they are."""
    monkeypatch.setattr(image_layers, "LARGEST_IN_MEMORY", 512)
    monkeypatch.setattr(window_region, "WINDOW", 512)
    monkeypatch.setattr(labels_by_chunk, "CHUNK", 128)
    monkeypatch.setattr(labels_by_chunk, "REDUCED_PIXELS", 160 * 160)
    scene = make_scene((SIDE, SIDE), 1_000_003, unit=256).image
    dock.viewer.layers.clear()
    dock.viewer.add_image(da.from_array(scene, chunks=(160, 160, 3)), name="slide", rgb=True)
    dock.engine_panel.setValue(replace(dock.engine_panel.value(), refiner="none"))
    dock.tiles_panel.setValue(60.0)
    return dock


def wait(dock, qtbot):
    qtbot.waitUntil(lambda: dock.idle, timeout=60_000)


@pytest.mark.one_binding
def test_labels_of_a_whole_slide_follow_thresholds_and_hints_and_are_accepted(
    slide, run, qtbot, tmp_path, monkeypatch
):
    dock, viewer, annotations = slide, slide.viewer, slide.annotation_controller
    monkeypatch.setattr(image_layers, "RUN_BYTES", 1 << 60)  # whole arrays would not fit
    viewer.scene.camera.zoom = 0.01  # nothing is seen of single pixels
    run(dock)
    wait(dock, qtbot)
    seen, shown = dock.result.seen(), dock.result.shown
    assert isinstance(seen, LargePrediction)
    assert "of 4 classes" in dock.status_panel.message.text()
    layer, scores = seen.layer, shown.outcome.scores
    assert layer.multiscale
    assert not layer.editable
    whole = (slice(0, SIDE), slice(0, SIDE))
    labels, (thresholds, _) = seen.labels, dock.result.current.followed
    expected = scores.to_labels(thresholds)
    assert not np.array_equal(layer.data[0][whole], expected)  # those of the maps' grid
    viewer.scene.camera.zoom = 2
    viewer.scene.camera.center = (0, 320, 320)
    wait(dock, qtbot)
    np.testing.assert_array_equal(layer.data[0][260:380, 260:380], expected[260:380, 260:380])
    np.testing.assert_array_equal(layer.data[1][130:190, 130:190], expected[260:380:2, 260:380:2])
    with pytest.raises(FileError, match="Accept it"):
        write_layers("tiff", str(tmp_path / "all.tif"), [layer.as_layer_data_tuple()])

    dock.threshold_panel.background_slider.setValue(thresholds.background_threshold * 0.5)
    wait(dock, qtbot)
    thresholds, _ = dock.result.current.followed
    assert seen.labels is not labels
    expected = scores.to_labels(thresholds)
    np.testing.assert_array_equal(np.asarray(seen.labels), expected)

    dock.correction_controller.next_uncertain()
    wait(dock, qtbot)
    assert "Uncertain place 1" in dock.status_panel.message.text()
    uncertainty = dock.correction_controller.uncertain_places
    (row, column), cells = uncertainty.places[0], uncertainty.map.shape
    at = np.array(viewer.scene.camera.center[1:])
    assert np.abs(at - (np.array((row, column)) + 0.5) / cells * SIDE).max() <= 1

    annotation = annotations.begin(viewer.layers["slide"], "slide")
    rows = dock.classes_panel.value()
    annotation.show_classes(rows)
    background = np.argwhere(expected[200:440, 200:440] == 0) + 200
    row, column = background[len(background) // 2]
    first, left = (part.start for part in annotation.edits.region)
    annotation.layer.brush_size = 12
    annotation.layer.paint((row - first, column - left), annotation.number_of(rows[2]))
    annotation.follow()
    wait(dock, qtbot)
    assert seen.labels[row, column] == 3
    changed = np.count_nonzero(np.asarray(seen.labels) != expected)
    assert 0 < changed < SIDE**2 / 2
    assert "Hints used" in dock.corrections_panel.state.text()
    annotation.layer.undo()
    wait(dock, qtbot)
    np.testing.assert_array_equal(np.asarray(seen.labels), expected)

    annotations.accept()
    wait(dock, qtbot)
    names = {number: known.name for number, known in annotation.classes.items()}
    found = annotation.state().labels
    for label, known in enumerate(shown.rows, 1):
        (number,) = [one for one, name in names.items() if name == known.name]
        np.testing.assert_array_equal(found == number, expected == label)
    assert annotation.store.counts().decided == SIDE**2

    before = np.asarray(seen.labels)
    row, column = np.argwhere(before[200:440, 200:440] == 0)[0] + 200
    first, left = (part.start for part in annotation.edits.region)
    annotation.layer.paint((row - first, column - left), annotation.number_of(rows[2]))
    annotation.follow()
    wait(dock, qtbot)
    after = np.asarray(seen.labels)
    assert "accepted pixels with them" in dock.status_panel.message.text()
    state = annotation.state()
    accepted, new = state.labels, state.labels[:, :] != found[:, :]
    numbers = np.array([0, *(annotation.number_of(known) for known in shown.rows)])
    by_hand = annotation.edits.edit_mask[:, :] == PAINTED
    assert (new & ~by_hand).sum() > 100
    np.testing.assert_array_equal(accepted[:, :][new], numbers[after][new])
    reached = (before != after) & ~by_hand & ~new
    assert reached.sum() < 0.01 * new.sum() + 100  # edges far from what the hint changes
    annotation.layer.undo()
    wait(dock, qtbot)
    np.testing.assert_array_equal(annotation.state().labels[:, :], found)
    assert (annotation.edits.edit_mask[:, :] == ACCEPTED).all()


def test_what_only_chunks_have_is_accepted_and_an_empty_prediction_is_refused(slide, run, qtbot):
    """Nothing is found on the reduced copy."""
    dock, viewer, annotations = slide, slide.viewer, slide.annotation_controller
    viewer.scene.camera.zoom = 0.01
    run(dock)
    wait(dock, qtbot)
    seen, panel = dock.result.seen(), dock.annotation_panel
    labels = seen.labels
    assert "At least" in dock.status_panel.message.text() or len(labels.found) == 4
    labels.reduced[:] = 0
    dock.result.relabelled.emit()
    assert not labels.any()
    assert "zoom in" in dock.result.why_empty()
    assert panel.accept_button.isEnabled()
    annotations.accept()
    wait(dock, qtbot)
    assert labels.any()
    annotation = annotations.current()
    expected = seen.labels[:, :]
    assert expected.any()
    np.testing.assert_array_equal(annotation.state().labels[:, :] > 0, expected > 0)

    slider = dock.threshold_panel.class_slider
    slider.setValue(slider.maximum())
    wait(dock, qtbot)
    assert panel.accept_button.isEnabled()
    annotations.accept()
    wait(dock, qtbot)
    assert "nothing to accept" in dock.status_panel.message.text()
    np.testing.assert_array_equal(annotation.state().labels[:, :] > 0, expected > 0)
    assert not panel.accept_button.isEnabled()
