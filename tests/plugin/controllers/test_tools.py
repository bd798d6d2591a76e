"""The tools of the page Correct, by real presses of mouse and keys in a real window."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_cliper.annotation.user_hints import BACKGROUND
from napari_cliper.plugin import ui_text


@pytest.fixture
def correct(dock, run, settle):
    """The dock after a run, at the page Correct."""
    run(dock)
    settle(dock)
    dock.frame.go_to("correct")
    return dock


def press(qtbot, dock, tool):
    qtbot.mouseClick(dock.corrections_panel.tools.buttons[tool], Qt.MouseButton.LeftButton)


def held(dock):
    return dock.corrections_panel.tools.value()


def active(dock):
    return dock.viewer.layers.selection.active


@pytest.mark.one_binding
def test_one_press_puts_the_right_layer_into_the_right_mode_with_the_right_label(correct, qtbot):
    palette = correct.corrections_panel.palette_
    qtbot.mouseClick(palette.buttons["bacterium"], Qt.MouseButton.LeftButton)
    for tool, mode in (("brush", "paint"), ("erase", "erase"), ("click", "add")):
        press(qtbot, correct, tool)
        assert (held(correct), str(active(correct).mode)) == (tool, mode)
    assert active(correct).feature_defaults["class"][0] == "bacterium"
    press(qtbot, correct, "brush")
    mine = correct.annotation_controller.behind(active(correct))
    assert mine.classes[active(correct).selected_label].name == "bacterium"
    qtbot.mouseClick(palette.buttons[BACKGROUND], Qt.MouseButton.LeftButton)
    assert active(correct).selected_label == 0
    assert palette.chosen_class() == BACKGROUND


@pytest.mark.usefixtures("colour_sam")
@pytest.mark.one_binding
def test_pressing_again_or_escape_ends_a_tool(correct, qtbot):
    for tool in ui_text.TOOLS:
        press(qtbot, correct, tool)
        assert held(correct) == tool
        press(qtbot, correct, tool)
        assert held(correct) is None, tool
        press(qtbot, correct, tool)
        correct.tool_controller._escape.activated.emit()
        assert held(correct) is None, tool
        assert str(active(correct).mode) == "pan_zoom"


@pytest.mark.one_binding
def test_what_is_changed_in_napari_is_shown(correct, qtbot):
    press(qtbot, correct, "brush")
    active(correct).mode = "erase"
    assert held(correct) == "erase"
    active(correct).mode = "pan_zoom"
    assert held(correct) is None
    press(qtbot, correct, "click")
    correct.viewer.layers.selection.active = correct.viewer.layers["scene"]
    assert held(correct) is None


def test_regions_are_accepted_one_by_one_until_the_tool_ends(correct, qtbot):
    labels = correct.shown.predictions["refined"].layer.data
    before = list(correct.viewer.mouse_drag_callbacks)
    press(qtbot, correct, "region")
    counts = []
    for label in np.unique(labels[labels > 0])[:2]:
        where = np.argwhere(labels == label)[0]
        for callback in set(correct.viewer.mouse_drag_callbacks) - set(before):
            callback(correct.viewer, _Press(tuple(map(float, where))))
        mine = correct.annotation_controller.current()
        counts.append(np.count_nonzero(mine.edits.labels))
        assert held(correct) == "region"
    assert 0 < counts[0] < counts[1]
    press(qtbot, correct, "region")
    assert held(correct) is None
    assert list(correct.viewer.mouse_drag_callbacks) == before


@pytest.mark.one_binding
def test_nothing_is_painted_without_an_image(dock):
    dock.viewer.layers.clear()
    for button in dock.corrections_panel.tools.buttons.values():
        assert not button.isEnabled()
        assert "image" in button.toolTip()
    QApplication.processEvents()
    assert held(dock) is None


class _Press:
    """A press of the mouse, as napari tells of it."""

    def __init__(self, position):
        self.position = position
        self.handled = False
