"""Each state of the dock says what comes next, and its buttons do it."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_cliper.demo.scenes import make_scene
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.regions import connected_regions
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.plugin.qt.theme_colours import tone_colours
from napari_cliper.segmentation import REGISTRY, Reduction, SegmentationConfig

SCENE = make_scene((96, 128), 1_000_008)


def buttons(panel):
    return {button.text(): button for button in panel.buttons}


@pytest.fixture
def empty_dock(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    dock = CliperWidget(viewer)
    viewer.window.add_dock_widget(dock)
    qtbot.waitUntil(lambda: dock.weights.idle, timeout=20_000)
    yield dock
    dock.close_down()


def test_an_empty_viewer_offers_an_example_that_runs(empty_dock, qtbot):
    dock = empty_dock
    assert dock.state_panel.isVisibleTo(dock)
    assert "There is no image" in dock.state_panel.text.text()
    assert not dock.threshold_panel.isVisibleTo(dock)
    assert list(buttons(dock.state_panel)) == ["Open ...", "Show me an example"]
    buttons(dock.state_panel)["Show me an example"].click()
    qtbot.waitUntil(lambda: dock.shown is not None and dock.job is None, timeout=60_000)
    assert dock.engine_panel.value().model == "demo"
    assert [row.name for row in dock.classes_panel.value()] == [
        "bacterium", "fibre", "crystal", "diatom"
    ]  # fmt: skip
    labels = dock.shown.predictions["refined"].layer.data
    regions = connected_regions(labels)
    said = f"{len(set(regions.labels))} of 4 classes, {len(regions.labels)} regions."
    assert dock.status_panel.message.text().startswith(said)
    assert dock.threshold_panel.isVisibleTo(dock)
    assert not dock.state_panel.isVisibleTo(dock)

    dock.viewer.add_image(SCENE.image, name="another")  # to which the message does not belong
    assert not dock.status_panel.message.text()
    assert not dock.status_panel.buttons


@pytest.mark.one_binding
def test_open_asks_for_a_file(empty_dock, monkeypatch):
    asked = []
    window = empty_dock.viewer.window._qt_viewer
    monkeypatch.setattr(type(window), "_open_files_dialog", lambda *_, **__: asked.append(True))
    monkeypatch.setattr(
        "napari_cliper.plugin.controllers.next_step.get_app_model",
        lambda: type("App", (), {"commands": type("C", (), {"execute_command": asked.append})}),
    )
    buttons(empty_dock.state_panel)["Open ..."].click()
    assert asked == ["napari.window.file.open_files_dialog"]


@pytest.mark.one_binding
def test_a_model_that_is_not_on_disk_leaves_three_ways(dock, monkeypatch):
    nothing = {name: not row.repositories for name, row in REGISTRY.items()}
    dock.engine_panel.set_cached(nothing)
    dock.next_step.set_free(10**10)
    dock.engine_panel.setValue(SegmentationConfig(device="cpu"))
    panel = dock.state_panel
    text = panel.text.text()
    for part in ("ViT-B/16 (599 MB, licence MIT)", "Stable Diffusion 2.1 (2.6 GB", "forbids some"):
        assert part in text
    assert list(buttons(panel)) == ["Try the demo model", "Download 599 MB", "Download 3.2 GB"]
    assert "RAIL" in buttons(panel)["Download 3.2 GB"].toolTip()

    dock.next_step.set_free(10**9)
    assert buttons(panel)["Download 599 MB"].isEnabled()
    assert not buttons(panel)["Download 3.2 GB"].isEnabled()
    assert "only 1.0 GB are free" in buttons(panel)["Download 3.2 GB"].toolTip()
    dock.next_step.set_free(10**10)

    jobs = []
    monkeypatch.setattr(dock.main_job, "start_told", lambda work, _: jobs.append(work.args[0]))
    buttons(panel)["Download 3.2 GB"].click()
    assert jobs.pop() == ["ViT-B/16", "stable-diffusion-2.1"]
    buttons(panel)["Download 599 MB"].click()
    assert jobs.pop() == ["ViT-B/16"]
    assert dock.engine_panel.value().chosen_refiner == "pamr"
    dock.engine_panel.setValue(SegmentationConfig(device="cpu", offline=True))
    assert not buttons(panel)["Download 599 MB"].isEnabled()
    assert "Offline" in buttons(panel)["Download 599 MB"].toolTip()

    dock.engine_panel.set_cached({"ViT-B/16": True})
    dock.next_step.update()
    assert "Use PAMR" in buttons(panel)
    buttons(panel)["Use PAMR"].click()
    assert not panel.isVisibleTo(dock)
    assert dock.run_panel.run_button.isEnabled()

    other = SegmentationConfig(model="ViT-L/14", refiner="pamr", device="cpu")
    dock.engine_panel.setValue(other)
    assert list(buttons(panel)) == ["Try the demo model", "Download 1.7 GB"]
    buttons(panel)["Try the demo model"].click()
    assert dock.engine_panel.value().model == "demo"
    assert not panel.isVisibleTo(dock)


@pytest.mark.one_binding
def test_without_words_it_asks_for_them_and_says_that_pytorch_is_loading(dock):
    dock.classes_panel.setValue(())
    assert "Type what to look for" in dock.state_panel.text.text()
    dock.next_step.set_loading(loading=True)
    assert "PyTorch is loading" in dock.state_panel.text.text()
    dock.classes_panel.add_words("fibre")
    assert "PyTorch is loading" in dock.state_panel.text.text()
    dock.next_step.set_loading(loading=False)
    assert not dock.state_panel.isVisibleTo(dock)


@pytest.mark.one_binding
def test_a_result_names_the_best_class_below_the_threshold_and_can_be_accepted(
    dock, run, settle, qtbot
):
    dock.classes_panel.add_words("nucleus")
    run(dock)
    (short, *_) = dock.shown.outcome.found.short
    text = dock.status_panel.message.text()
    assert f"{short.name} ({short.value:.2f})" in text
    assert "threshold, or a click." in text
    assert dock.status_panel.lines.verticalScrollBar().maximum() == 0
    slider = dock.threshold_panel.background_slider
    slider.setValue(slider.value() + 0.01)
    assert "classes" not in dock.status_panel.message.text()  # the counts are no longer true
    settle(dock)
    found = buttons(dock.status_panel)
    assert list(found) == ["Correct", "Accept"]
    found["Accept"].click()
    labels = dock.shown.predictions["refined"].layer.data
    mine = dock.annotation_controller.of(dock.viewer.layers["scene"])
    np.testing.assert_array_equal(mine.layer.data, labels)
    qtbot.waitUntil(lambda: dock.idle, timeout=20_000)  # prototypes are learned from it
    assert dock.status_panel.message.text().startswith("Accepted: ")
    run(dock)
    buttons(dock.status_panel)["Correct"].click()
    assert dock.frame.page == "correct"


def test_without_words_a_button_puts_the_cursor_into_their_field(dock, laptop):
    laptop()
    dock.classes_panel.setValue(())
    dock.classes_panel.field.setText("fibre")  # is added by Run
    assert not dock.state_panel.isVisibleTo(dock.frame.current)
    dock.classes_panel.field.clear()
    for page, panel in (("find", dock.state_panel), ("correct", dock.correct_state)):
        dock.frame.go_to(page)
        dock.status_panel.cancel_button.setFocus()
        assert list(buttons(panel)) == ["Type words"]
        buttons(panel)["Type words"].click()
        assert dock.frame.page == "find"
        assert dock.window().focusWidget() is dock.classes_panel.field


@pytest.mark.one_binding
def test_a_plane_that_was_not_run_can_be_run_or_left_for_one_that_was(dock, run, qtbot):
    dock.viewer.layers.clear()
    planes = np.stack([SCENE.image] * 3)
    dock.viewer.add_image(planes, name="stack", rgb=True, axis_labels=("z", "y", "x"))
    dock.viewer.dims.set_point(0, 0)
    run(dock)
    assert not dock.state_panel.isVisibleTo(dock)
    dock.viewer.dims.set_point(0, 2)
    dock.frame.go_to("correct")
    for panel in (dock.state_panel, dock.correct_state):
        assert "no result for z 2 of stack" in panel.text.text()
        assert list(buttons(panel)) == ["Run this plane", "Go to z 0"]
    buttons(dock.correct_state)["Go to z 0"].click()
    assert dock.viewer.dims.current_step[0] == 0
    assert dock.shown.choice.plane == (0,)
    assert not dock.correct_state.isVisibleTo(dock.frame.current)

    dock.viewer.dims.set_point(0, 2)
    dock.image_panel.planes.setCurrentIndex(1)  # a chosen plane, which is another one
    dock.viewer.dims.set_point(0, 1)
    buttons(dock.correct_state)["Run this plane"].click()
    assert not buttons(dock.correct_state)["Run this plane"].isEnabled()  # while it runs
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert dock.shown.choice.plane == (1,)

    dock.viewer.dims.ndisplay = 3
    assert list(buttons(dock.state_panel)) == ["Go back to the 2-D view"]
    buttons(dock.state_panel)["Go back to the 2-D view"].click()
    assert dock.viewer.dims.ndisplay == 2
    assert dock.shown.choice.plane == (1,)


@pytest.mark.one_binding
def test_the_page_correct_says_what_to_do_where_there_is_nothing_to_correct(dock, run, settle):
    panel = dock.correct_state
    dock.frame.go_to("correct")
    assert list(buttons(panel)) == ["Run this image"]
    run(dock)
    assert not panel.isVisibleTo(dock.frame.current)
    slider = dock.threshold_panel.class_slider
    slider.setValue(slider.maximum())
    settle(dock)
    assert panel.text.text() == "Nothing found."
    assert panel.text.toolTip() == dock.state_panel.text.text()
    assert panel.text.palette().windowText().color().name() == tone_colours("dark")["warning"]
    dock.frame.go_to("find")
    buttons(dock.state_panel)["Click an object"].click()
    assert dock.frame.page == "correct"
    assert dock.corrections_panel.tools.value() == "click"
    buttons(panel)["Lower threshold"].click()
    settle(dock)
    assert not panel.isVisibleTo(dock.frame.current)


@pytest.mark.parametrize("how", ["click", "stroke"])
@pytest.mark.one_binding
def test_the_first_hint_turns_to_the_page_correct_and_later_ones_do_not(dock, run, settle, how):
    run(dock)
    assert dock.frame.page == "find"

    def hint(number):
        if how == "click":
            dock.correction_controller.click_controller.click_at((10 * number, 20), "fibre")
        else:
            mine = dock.annotation_controller.begin(dock.viewer.layers["scene"], "scene")
            mine.layer.selected_label = 1
            mine.layer.paint((10 * number, 20), 1)
        settle(dock)

    hint(1)
    assert dock.frame.page == "correct"
    dock.frame.go_to("find")
    hint(2)
    assert dock.frame.page == "find"


def test_nothing_found_is_amber_and_its_buttons_lead_out(dock, run, settle):
    run(dock)
    for slider in (dock.threshold_panel.class_slider, dock.threshold_panel.background_slider):
        slider.setValue(slider.maximum())
    settle(dock)
    panel = dock.state_panel
    assert buttons(dock.status_panel) == {}
    assert panel.text.palette().windowText().color().name() == tone_colours("dark")["warning"]
    labels = dock.shown.predictions["refined"].layer.data
    for _ in range(3):  # both thresholds are too high
        if not labels.any():
            buttons(panel)["Lower threshold"].click()
            settle(dock)
    assert labels.any()
    assert not panel.isVisibleTo(dock)


@pytest.mark.parametrize("state", ["missing", "nothing", "more", "nothing and more"])
@pytest.mark.one_binding
def test_every_state_fits_a_laptop(dock, run, settle, state):
    """322 x 578 pixels, with a warning and its two buttons in the head."""
    run(dock)
    dock.classes_panel.add_words("yeast, bubble, crystal=crystals|needles, nucleus")
    if state == "missing":
        dock.engine_panel.set_cached({name: not row.repositories for name, row in REGISTRY.items()})
        dock.engine_panel.setValue(SegmentationConfig(device="cpu"))
        assert len(buttons(dock.state_panel)) == 3
    if "nothing" in state:
        dock.threshold_panel.class_slider.setValue(dock.threshold_panel.class_slider.maximum())
        settle(dock)
        assert dock.state_panel.text.text().startswith("Nothing was found. Not above")
    if "more" in state:
        dock.threshold_panel.more.set_open(is_open=True)
        dock.threshold_panel.own.click()
    dock.image_panel.show_context("demo", Reduction(24))
    assert dock.image_panel.offer.isVisibleTo(dock)
    window = dock.viewer.window._qt_window
    window.resize(1366, 690)
    window.show()
    dock.setFixedSize(322, 578)
    for _ in range(5):
        QApplication.processEvents()
    page = dock.frame.current
    assert dock.frame.height() == 578
    assert page.verticalScrollBar().maximum() == 0, (
        page.widget().layout().minimumHeightForWidth(306)
    )


@pytest.mark.one_binding
def test_a_few_classes_are_chosen_without_scrolling(dock, laptop, qtbot):
    laptop()
    dock.frame.go_to("correct")
    palette = dock.corrections_panel.palette_
    for words in (1, 4, 7):  # and the background, in two columns
        dock.classes_panel.setValue([ClassRow(f"kind {number}") for number in range(words)])
        height = palette.widget().minimumSizeHint().height()
        qtbot.waitUntil(lambda least=height: palette.viewport().height() >= least, timeout=10_000)
