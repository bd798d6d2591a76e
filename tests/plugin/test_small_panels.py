"""Run, thresholds and results: what a person sees and does there."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_cliper.plugin.results_panel import ResultsPanel
from napari_cliper.plugin.run_panel import RunPanel
from napari_cliper.plugin.threshold_panel import ThresholdPanel, Thresholds
from napari_cliper.segmentation import Progress

NARROW = 308  # what is left of 320 pixels between the dock's margins


@pytest.fixture
def panel(qtbot):
    def make(kind):
        widget = kind()
        qtbot.addWidget(widget)
        widget.show()
        return widget

    return make


@pytest.mark.parametrize("kind", [RunPanel, ThresholdPanel, ResultsPanel])
def test_fits_a_narrow_dock(panel, kind):
    assert panel(kind).minimumSizeHint().width() <= NARROW


def test_run_says_why_it_is_grey(panel, qtbot):
    run = panel(RunPanel)
    run.set_ready("There is no image layer.")
    assert not run.run_button.isEnabled()
    assert run.run_button.toolTip() == "There is no image layer."
    run.set_ready("")
    with qtbot.waitSignal(run.run):
        qtbot.keyClick(run.run_button, Qt.Key.Key_Space)


def test_running_allows_only_cancel(panel, qtbot):
    run = panel(RunPanel)
    run.set_ready("")
    assert not run.cancel_button.isEnabled()
    assert not run.bar.isVisible()
    run.begin()
    assert not run.run_button.isEnabled()
    assert run.bar.isVisible()
    with qtbot.waitSignal(run.cancel):
        qtbot.mouseClick(run.cancel_button, Qt.MouseButton.LeftButton)
    run.end("Stopped.")
    assert run.run_button.isEnabled()
    assert not run.bar.isVisible()
    assert run.message.text() == "Stopped."


def test_progress_is_told_in_words(panel, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("napari_cliper.plugin.run_panel.time.monotonic", lambda: now[0])
    run = panel(RunPanel)
    run.begin()
    run.show_progress(Progress("Refining", 0, 4))
    assert run.stage.text() == "Refining, 1 of 4"
    now[0] = 6.0
    run.show_progress(Progress("Refining", 2, 4))
    assert run.stage.text() == "Refining, 3 of 4, 6 s left"
    assert run.bar.value() == 500
    run.show_progress(Progress("Downloading ViT-B/16", 300_000_000, 600_000_000, "byte"))
    assert run.stage.text() == "Downloading ViT-B/16, 300 of 600 MB"
    run.show_progress(Progress("Reading the image", 0, 0))
    assert run.bar.maximum() == 0  # a bar without an end


def test_sliders_follow_the_range_of_the_result_and_tell_nobody(panel, qtbot):
    thresholds = panel(ThresholdPanel)
    assert not thresholds.isEnabled()
    defaults = Thresholds(0.7, 0.6, min_max=True)
    with qtbot.assertNotEmitted(thresholds.changed):
        thresholds.set_result(5.2, 1.0, defaults, has_min_max=True)
        thresholds.set_values(defaults)
    assert thresholds.isEnabled()
    assert thresholds.values() == defaults
    assert thresholds.class_slider.maximum() == pytest.approx(5.2)
    assert "0.70" in thresholds.class_default.text()
    with qtbot.waitSignal(thresholds.changed) as caught:
        thresholds.class_slider.setValue(3.0)
    assert caught.args[0].class_threshold == pytest.approx(3.0)
    qtbot.mouseClick(thresholds.class_default, Qt.MouseButton.LeftButton)
    assert thresholds.values().class_threshold == pytest.approx(0.7)
    assert thresholds.values().background_threshold == pytest.approx(0.6)


def test_min_max_is_there_only_where_the_method_knows_it(panel):
    thresholds = panel(ThresholdPanel)
    thresholds.set_result(1.0, 1.0, Thresholds(0, 0.1, min_max=False), has_min_max=False)
    assert not thresholds.min_max.isVisible()
    assert not thresholds.values().min_max


def test_results_can_be_unloaded(panel, qtbot):
    results = panel(ResultsPanel)
    results.set_loaded(loaded=True)
    results.folder.expand(animate=False)
    with qtbot.waitSignal(results.unload):
        results.unload_button.click()
    results.show_summary("2 layers, 8.1 s, cpu", "Networks in memory: 1.2 GB")
    assert results.folder.text() == "Results: 2 layers, 8.1 s, cpu"
