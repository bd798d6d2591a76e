"""Run, thresholds and results: what a person sees and does there."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cliper.plugin import ui_text
from napari_cliper.plugin.panels.memory_panel import MemoryPanel
from napari_cliper.plugin.panels.run_panel import RunEntry, RunPanel
from napari_cliper.plugin.panels.status_panel import StatusPanel
from napari_cliper.plugin.panels.threshold_panel import ThresholdPanel
from napari_cliper.segmentation import (
    ClassPrompt,
    DiskCache,
    Progress,
    SegmentationConfig,
    Thresholds,
)
from napari_cliper.segmentation.results import ScoreMaps, StageMaps

NARROW = 308  # what is left of 320 pixels between the dock's margins


@pytest.fixture
def panel(qtbot):
    def make(kind):
        widget = kind()
        qtbot.addWidget(widget)
        widget.show()
        return widget

    return make


@pytest.mark.parametrize("kind", [RunPanel, StatusPanel, ThresholdPanel, MemoryPanel])
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


def test_the_menu_beside_run_starts_what_it_lists_when_it_is_opened(panel, qtbot):
    started, names = [], ["plane", "rectangle"]
    run = panel(RunPanel)
    run.add_entries(
        lambda: [RunEntry(name, "tip", partial(started.append, name)) for name in names]
    )
    run.add_entries(lambda: [RunEntry("images", "tip", partial(started.append, "images"))])
    names.append("tiles")
    run.menu_button.menu().popup(run.mapToGlobal(run.menu_button.pos()))
    assert [action.text() for action in run.menu.actions()] == [*names, "images"]
    qtbot.keyClick(run.menu, Qt.Key.Key_Down)
    qtbot.keyClick(run.menu, Qt.Key.Key_Down)
    qtbot.keyClick(run.menu, Qt.Key.Key_Return)
    assert started == ["rectangle"]
    run.set_running(running=True)
    assert not run.menu_button.isEnabled()


def test_running_allows_only_cancel(panel, qtbot):
    run, status = panel(RunPanel), panel(StatusPanel)
    run.set_ready("")
    assert not status.cancel_button.isVisible()
    assert not status.bar.isVisible()
    run.set_running(running=True)
    status.begin()
    assert not run.run_button.isEnabled()
    assert status.bar.isVisible()
    with qtbot.waitSignal(status.cancel):
        qtbot.mouseClick(status.cancel_button, Qt.MouseButton.LeftButton)
    run.set_running(running=False)
    status.end("Done.")
    assert run.run_button.isEnabled()
    assert not status.bar.isVisible()
    assert status.message.text() == "Done."


def test_a_long_message_is_scrolled_and_moves_nothing(panel, qtbot):
    status = panel(StatusPanel)
    status.resize(320, status.sizeHint().height())
    status.show_message("Short.")
    before = status.sizeHint().height()
    assert status.lines.verticalScrollBar().maximum() == 0
    status.show_message("A sentence that says what went wrong, and what to do. " * 12, tone="error")
    qtbot.waitUntil(lambda: status.lines.verticalScrollBar().maximum() > 0)
    assert status.lines.verticalScrollBar().value() == 0
    assert status.sizeHint().height() == before


def test_progress_is_shown_in_words(panel, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("napari_cliper.plugin.panels.status_panel.time.monotonic", lambda: now[0])
    run = panel(StatusPanel)
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


@pytest.fixture
def scores():
    """A result whose best class scores 5.2."""

    def make(method="cliper", names=("cell", "bubble")):
        config = SegmentationConfig(method=method)
        maps = np.random.default_rng(3).random((len(names), 4, 4), np.float32)
        return ScoreMaps(
            coarse=StageMaps(maps, np.linspace(5.2, 0.1, len(names), dtype=np.float32)),
            refined=None,
            classes=tuple(ClassPrompt(name) for name in names),
            background=(),
            shape=(8, 8),
            settings=config.settings(),
            config=config,
            owner=tuple(range(len(names))),
        )

    return make


def test_sliders_follow_the_range_of_the_result_and_tell_nobody(panel, qtbot, scores):
    thresholds = panel(ThresholdPanel)
    assert not thresholds.isEnabled()
    result = scores()
    published = result.settings
    start = Thresholds(0.5, 0.25, min_max=False, per_class={"cell": 0.75})
    with qtbot.assertNotEmitted(thresholds.valueChanged):
        thresholds.set_result(result, start)
    assert thresholds.isEnabled()
    assert thresholds.value() == start
    assert thresholds.class_slider.maximum() == pytest.approx(5.2)
    assert f"{published.class_threshold:.2f}" in thresholds.class_default.toolTip()
    assert "Now 0.500" in thresholds.class_slider.toolTip()
    with qtbot.waitSignal(thresholds.valueChanged) as caught:
        thresholds.class_slider.setValue(3.0)
    assert caught.args[0].class_threshold == pytest.approx(3.0)
    for button in (thresholds.class_default, thresholds.background_default):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    values = thresholds.value()
    assert values.class_threshold == pytest.approx(published.class_threshold)
    assert values.background_threshold == pytest.approx(published.background_threshold)


def test_min_max_is_there_only_where_the_method_knows_it(panel, scores):
    thresholds = panel(ThresholdPanel)
    thresholds.more.set_open(is_open=True)
    thresholds.set_result(scores(), Thresholds(0, 0.1))
    assert thresholds.min_max.isVisible()
    thresholds.set_result(scores("sclip"), Thresholds(0, 0.1))
    assert not thresholds.min_max.isVisible()
    assert not thresholds.value().min_max


def test_classes_can_have_thresholds_of_their_own(panel, qtbot, scores):
    thresholds = panel(ThresholdPanel)
    thresholds.set_result(scores(), Thresholds(0.5, 0.3))
    assert not thresholds.own.isVisible()
    qtbot.mouseClick(thresholds.more.header, Qt.MouseButton.LeftButton)
    assert thresholds.own.isVisible()
    assert not thresholds.own_slider.isVisible()
    thresholds.choose_class("bubble")
    with qtbot.waitSignal(thresholds.valueChanged) as caught:
        thresholds.own.click()
    assert caught.args[0].per_class == {"bubble": pytest.approx(0.3)}
    assert thresholds.own_slider.isVisible()
    thresholds.own_slider.setValue(0.9)
    thresholds.choose_class("cell")
    assert not thresholds.own.isChecked()
    assert not thresholds.own_slider.isVisible()
    thresholds.choose_class("bubble")
    assert thresholds.own_slider.value() == pytest.approx(0.9)
    thresholds.choose_class("dragon")
    assert thresholds.own_class.currentText() == "bubble"
    thresholds.set_result(scores(names=("bubble", "fibre")), thresholds.value())
    assert thresholds.own_class.currentText() == "bubble"
    assert thresholds.value().per_class == {"bubble": pytest.approx(0.9)}
    thresholds.own.click()
    assert thresholds.value().per_class == {}


def test_memory_is_shown_and_freed(panel, qtbot):
    memory = panel(MemoryPanel)
    assert not memory.unload_button.isEnabled()
    assert memory.unload_button.toolTip() == ui_text.UNLOAD_WHY_NOT
    memory.show_memory(networks=1_200_000_000, images=3, kept=120_000_000)
    assert "1.2 GB" in memory.networks.text()
    assert "3 images" in memory.features.text()
    memory.set_busy(busy=True)
    assert not memory.unload_button.isEnabled()
    memory.set_busy(busy=False)
    for signal, button in (
        (memory.unload, memory.unload_button),
        (memory.forget, memory.forget_button),
    ):
        with qtbot.waitSignal(signal):
            button.click()
    with qtbot.waitSignal(memory.valueChanged) as changed:
        memory.setValue(4)
    assert changed.args == [memory.value()] == [4]
    with qtbot.assertNotEmitted(memory.valueChanged):
        memory.setValue(4)
    with qtbot.waitSignal(memory.valueChanged) as changed:
        memory.capacity.setValue(0.5)
    assert changed.args == [0.5]


def test_caches_on_disk_tell_size_and_place(panel, qtbot, tmp_path):
    memory = panel(MemoryPanel)
    assert not memory.weights.clear.isEnabled()
    weights = DiskCache(tmp_path, {"timm/vit": 2_000_000, "x/y": 500_000}, lambda: None)
    memory.show_caches(weights, DiskCache(tmp_path / "none", {}, lambda: None))
    assert memory.weights.label.text().endswith(": 2 MB")
    tip = memory.weights.clear.toolTip()
    assert str(tmp_path) in tip
    assert "timm/vit: 2 MB" in tip
    with qtbot.waitSignal(memory.clear_weights):
        memory.weights.clear.click()
    with qtbot.waitSignal(memory.open_weights):
        memory.weights.open.click()
    assert not memory.embeddings.clear.isEnabled()
    assert not memory.embeddings.open.isEnabled()
