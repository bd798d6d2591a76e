"""A prediction without any class says why, cannot be accepted, and gives no prototypes."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_cliper.labels.label_class import ClassRow
from napari_cliper.segmentation.labelling.label_rule import LabelRule

pytestmark = pytest.mark.one_binding


@pytest.fixture
def empty(dock, run, settle):
    """The dock after a run, its class threshold above every score."""
    run(dock)
    dock.threshold_panel.class_slider.setValue(dock.threshold_panel.class_slider.maximum())
    settle(dock)
    assert not dock.shown.predictions["refined"].layer.data.any()
    return dock


def test_a_run_says_it_once_on_the_page_with_buttons_or_else_in_the_foot(empty, run, settle):
    foot = empty.status_panel
    run(empty)  # with the threshold that is above every score
    assert not empty.state_panel.isHidden()
    assert foot.message.text() == ""
    empty.classes_panel.setValue([ClassRow("giraffe")])
    run(empty)
    assert foot.message.text().startswith("The model does not know: giraffe.")
    empty.frame.go_to("export")
    run(empty)
    assert foot.message.text().startswith("Nothing was found. The model does not know: giraffe.")
    empty.frame.go_to("find")
    assert not empty.state_panel.isHidden()
    assert foot.message.text().startswith("The model does not know: giraffe.")
    empty.frame.go_to("objects")
    assert foot.message.text().startswith("Nothing was found. The model does not know: giraffe.")
    empty.frame.go_to("correct")
    run(empty)
    assert "Nothing" not in foot.message.text()
    empty.correct_state.buttons[0].click()  # lower the threshold
    settle(empty)
    assert [one.text() for one in foot.buttons] == ["Correct", "Accept"]
    empty.frame.go_to("objects")
    assert foot.message.text().startswith("The prediction follows")


def test_it_says_which_class_stays_below_which_threshold(empty, settle):
    outcome, text = empty.shown.outcome, empty.state_panel.text.text()
    assert text.startswith("Nothing was found.")
    assert not empty.state_panel.isHidden()
    threshold = empty.threshold_panel.class_slider.value()
    assert f"class threshold of {threshold:.2f}: " in text
    assert "Lower the class threshold" in empty.annotation_panel.accept_button.toolTip()
    assert [one.text() for one in empty.state_panel.buttons] == [
        "Lower threshold", "Click an object"
    ]  # fmt: skip
    values = outcome.scores.stage().class_scores
    nearest = sorted(zip(values, [one.name for one in outcome.scores.classes], strict=True))
    named = [f"{name} {value:.2f}" for value, name in reversed(nearest[-2:])]
    assert f"{', '.join(named)} and 2 more" in text  # the table has the others
    best = float(values.max())
    empty.threshold_panel.class_slider.setValue(best - 0.02)  # as it says
    settle(empty)
    assert empty.state_panel.isHidden()
    assert empty.annotation_panel.accept_button.isEnabled()
    slider = empty.threshold_panel.background_slider
    slider.setValue(slider.maximum())
    settle(empty)
    if not empty.shown.predictions["refined"].layer.data.any():
        assert "No pixel reaches the background threshold" in empty.state_panel.text.text()
        assert "Lower the background threshold" in empty.result.why_empty()


def test_labels_are_made_and_counted_in_threads(dock, run, settle, monkeypatch):
    """Also what is said where nothing is found: on a large image each takes seconds."""
    labels, threads = LabelRule.labels, []

    def seen(self, best):
        threads.append(threading.current_thread())
        return labels(self, best)

    monkeypatch.setattr(LabelRule, "labels", seen)
    run(dock)
    settle(dock)
    slider = dock.threshold_panel.class_slider
    for value in (slider.maximum(), slider.value(), slider.maximum()):
        slider.setValue(value)
        settle(dock)
    assert "Nothing was found" in dock.state_panel.text.text()
    assert threads
    assert threading.main_thread() not in threads


def test_it_cannot_be_accepted_and_nothing_is_decided_or_learned(empty, qtbot):
    assert not empty.annotation_panel.accept_button.isEnabled()
    told, _ = empty.state_panel.text.text().split(" and ")
    assert empty.annotation_panel.accept_button.toolTip().startswith(told)
    empty.annotation_controller.accept()
    assert "nothing to accept" in empty.status_panel.message.text()
    qtbot.wait(400)
    assert empty.annotation_controller.of(empty.viewer.layers["scene"]) is None
    assert "decided" not in empty.annotation_panel.done.toolTip()
    assert empty.job is None
    assert empty.learning_controller.prototypes is None


def test_only_background_gives_no_prototypes(empty):
    """As where an earlier version has accepted an empty prediction."""
    mine = empty.annotation_controller.begin(empty.viewer.layers["scene"], "scene")
    mine.edits.edit_mask[:] = 1
    assert "Only background" in empty.learning_controller.why_not()
    empty.project_controller.marked_done.emit(mine)
    assert empty.job is None
    assert empty.learning_controller.prototypes is None


def test_a_click_on_an_object_gives_something_to_accept(empty, settle):
    empty.corrections_panel.tools.buttons["click"].click()
    empty.correction_controller.click_controller.all[0].layer.add((40, 60))
    settle(empty)
    assert empty.shown.predictions["refined"].layer.data[40, 60] == 1
    assert empty.state_panel.isHidden()
    assert empty.annotation_panel.accept_button.isEnabled()
    empty.correction_controller.click_controller.choose("background")
    for row, column in np.argwhere(empty.shown.predictions["refined"].layer.data)[::50]:
        empty.correction_controller.click_controller.all[0].layer.add((row, column))
    settle(empty)
    if not empty.shown.predictions["refined"].layer.data.any():
        assert "undo some" in empty.result.why_empty()
