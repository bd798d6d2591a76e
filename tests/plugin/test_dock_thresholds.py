"""Thresholds of the dock change the prediction while they are moved."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from dock_views import labels_of

from napari_cliper.plugin.layers.image_layers import OUTPUT_KEY
from napari_cliper.segmentation import LiveLabels, SegmentationConfig

pytestmark = pytest.mark.one_binding


def test_thresholds_are_live_and_make_no_layer_and_no_undo_step(dock, run, qtbot):
    run(dock)
    layer, count = labels_of(dock), len(dock.viewer.layers)
    before = layer.data.copy()
    scores = dock.shown.outcome.scores
    dock.threshold_panel.background_slider.setValue(0.8)
    qtbot.waitUntil(lambda: not np.array_equal(layer.data, before), timeout=10_000)
    values = dock.threshold_panel.value()
    expected = scores.to_labels(values)
    np.testing.assert_array_equal(layer.data, expected)
    assert len(dock.viewer.layers) == count
    changed = layer.data.copy()
    layer.undo()
    np.testing.assert_array_equal(layer.data, changed)
    qtbot.waitUntil(
        lambda: (
            layer.metadata[OUTPUT_KEY]["thresholds"]["background_threshold"]
            == values.background_threshold
        ),
        timeout=10_000,
    )
    assert (layer.features["pixels"] == np.bincount(layer.data.ravel(), minlength=5)).all()


def test_a_high_class_threshold_empties_the_layer_and_the_default_brings_it_back(dock, run, qtbot):
    run(dock)
    layer = labels_of(dock)
    before = layer.data.copy()
    slider = dock.threshold_panel.class_slider
    slider.setValue(slider.maximum())
    qtbot.waitUntil(lambda: not layer.data.any(), timeout=10_000)
    dock.threshold_panel.class_default.click()
    qtbot.waitUntil(lambda: np.array_equal(layer.data, before), timeout=10_000)


def test_methods_that_label_by_probability_are_live_too(dock, run, qtbot):
    for method in ("sclip", "maskclip"):
        config = SegmentationConfig(model="demo", device="cpu", method=method, refiner="pamr")
        dock.engine_panel.setValue(config)
        run(dock)
        layer, scores = labels_of(dock), dock.shown.outcome.scores
        middle = float(np.median(scores.stage().class_scores))
        dock.threshold_panel.class_slider.setValue(middle)
        expected = scores.to_labels(dock.threshold_panel.value())
        assert not np.array_equal(layer.data, expected)
        qtbot.waitUntil(lambda: np.array_equal(layer.data, expected), timeout=10_000)  # noqa: B023


def test_labels_that_take_long_are_made_in_the_thread(dock, run, qtbot, monkeypatch):
    """As with 150 classes on a large image: nothing is kept for the other thresholds."""
    monkeypatch.setattr(LiveLabels.__init__, "__kwdefaults__", {"limit": 0})
    dock.result.show_both(True)
    run(dock)
    monkeypatch.undo()
    layer, scores = labels_of(dock), dock.shown.outcome.scores
    makers = []
    monkeypatch.setattr(
        type(scores), "best", watched(type(scores).best, makers, threading.current_thread)
    )
    for value in (0.1, 0.3, 0.5):  # faster than the thread is
        dock.threshold_panel.class_slider.setValue(value)
        qtbot.wait(12)
    wished = dock.threshold_panel.value()
    monkeypatch.undo()
    qtbot.waitUntil(lambda: dock.result.idle, timeout=10_000)
    expected = scores.to_labels(wished)
    qtbot.waitUntil(lambda: np.array_equal(layer.data, expected), timeout=10_000)
    coarse = labels_of(dock, "coarse")
    expected = scores.to_labels(wished, stage="coarse")
    qtbot.waitUntil(lambda: np.array_equal(coarse.data, expected), timeout=10_000)
    assert threading.main_thread() not in makers


def watched(function, seen, look):
    """A function that notes something each time it is called."""

    def call(*args, **options):
        seen.append(look())
        return function(*args, **options)

    return call


def test_a_class_with_a_threshold_of_its_own(dock, run, qtbot):
    run(dock)
    layer, scores = labels_of(dock), dock.shown.outcome.scores
    before = layer.data.copy()
    dock.classes_panel.selected.emit(1)
    assert dock.threshold_panel.own_class.currentText() == "pollen grain"
    dock.threshold_panel.own.click()
    dock.threshold_panel.own_slider.setValue(0.85)
    values = dock.threshold_panel.value()
    expected = scores.to_labels(values)
    assert (expected == 1).sum() < (before == 1).sum()
    np.testing.assert_array_equal(expected[before != 1], before[before != 1])
    qtbot.waitUntil(lambda: np.array_equal(layer.data, expected), timeout=10_000)
    qtbot.waitUntil(
        lambda: bool(layer.metadata[OUTPUT_KEY]["thresholds"]["per_class"]), timeout=10_000
    )


def test_thresholds_run_no_network(dock, run, qtbot):
    run(dock)
    dock.session.unload()
    dock.threshold_panel.background_slider.setValue(0.9)
    qtbot.wait(300)
    assert dock.session.network_bytes == 0


def test_thresholds_of_another_run_are_kept_for_the_same_settings(dock, run):
    run(dock)
    dock.threshold_panel.class_slider.setValue(0.5)
    dock.threshold_panel.min_max.setChecked(not dock.threshold_panel.min_max.isChecked())
    values = dock.threshold_panel.value()
    run(dock)
    assert dock.threshold_panel.value() == values
    assert dock.shown.outcome.thresholds == values
