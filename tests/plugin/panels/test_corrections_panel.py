"""The panel of corrections: what it is told, and what it tells."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_cliper.annotation.user_hints import BACKGROUND
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.plugin import ui_text
from napari_cliper.plugin.panels.corrections_panel import CorrectionsChoice, CorrectionsPanel

NARROW = 308  # what is left of 320 pixels between the dock's margins
ROWS = [ClassRow("nucleus", colour=(255, 0, 0)), ClassRow("fibre")]


@pytest.fixture
def panel(qtbot):
    widget = CorrectionsPanel()
    qtbot.addWidget(widget)
    widget.show()
    return widget


def test_fits_a_narrow_dock_whatever_it_says(panel):
    panel.show_classes([ClassRow("a very long name of a class " * 5)], BACKGROUND)
    panel.show_state(
        "Hints used: 12 clicks. Not used, because this run has no such class: nucleus, fibre. " * 5
    )
    assert panel.minimumSizeHint().width() <= NARROW


def test_corrections_spread_by_default_and_the_box_tells(panel, qtbot):
    assert panel.spread.isChecked()
    with qtbot.waitSignal(panel.valueChanged) as told:
        qtbot.keyClick(panel.spread, Qt.Key.Key_Space)
    assert told.args == [CorrectionsChoice(spread=False)]


def test_buttons_tell_once_they_are_not_grey(panel, qtbot):
    click = panel.tools.buttons["click"]
    panel.set_available(ui_text.CHOOSE_IMAGE_FIRST, ui_text.NO_RESULT)
    assert not click.isEnabled()
    assert click.toolTip() == ui_text.CHOOSE_IMAGE_FIRST
    assert not panel.next_button.isEnabled()
    assert panel.uncertainty.toolTip() == ui_text.NO_RESULT
    panel.set_available("", "")
    for expected in ("click", None):
        with qtbot.waitSignal(panel.tools.valueChanged) as told:
            qtbot.mouseClick(click, Qt.MouseButton.LeftButton)
        assert told.args == [expected]
    with qtbot.waitSignal(panel.next_wanted):
        qtbot.mouseClick(panel.next_button, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(panel.valueChanged) as told:
        qtbot.keyClick(panel.uncertainty, Qt.Key.Key_Space)
    assert told.args == [CorrectionsChoice(uncertainty=True)]


def test_one_tool_is_held_at_most(panel, qtbot):
    panel.set_available("", "")
    tools = panel.tools
    for name in ("brush", "erase"):
        qtbot.mouseClick(tools.buttons[name], Qt.MouseButton.LeftButton)
        assert [one for one, button in tools.buttons.items() if button.isChecked()] == [name]
    with qtbot.assertNotEmitted(tools.valueChanged):
        tools.setValue("region")
    assert tools.value() == "region"


def test_classes_are_offered_in_their_colours_with_the_background_last(panel, qtbot):
    with qtbot.assertNotEmitted(panel.chosen):
        panel.show_classes(ROWS, "fibre")
    buttons = panel.palette_.buttons
    assert [*buttons] == ["nucleus", "fibre", BACKGROUND]
    assert [one.text()[0] for one in buttons.values()] == ["1", "2", "0"]
    assert panel.value().chosen == "fibre"
    colour = buttons["nucleus"].icon().pixmap(8, 8).toImage().pixelColor(4, 4)
    assert (colour.red(), colour.green(), colour.blue()) == (255, 0, 0)
    with qtbot.waitSignal(panel.chosen) as told:
        qtbot.mouseClick(buttons["nucleus"], Qt.MouseButton.LeftButton)
    assert told.args == ["nucleus"]
    panel.show_classes([*ROWS, ClassRow("background")], BACKGROUND)
    assert len(panel.palette_.buttons) == 3


def test_a_class_that_is_not_in_the_table_presses_no_button(panel, qtbot):
    panel.show_classes(ROWS, BACKGROUND)
    with qtbot.assertNotEmitted(panel.chosen):
        panel.setValue(CorrectionsChoice("gone"))
    assert panel.value().chosen == "gone"
    assert not any(one.isChecked() for one in panel.palette_.buttons.values())


def test_many_classes_are_scrolled_to(panel):
    panel.show_classes([ClassRow(f"kind {number}") for number in range(40)], BACKGROUND)
    few = panel.palette_.sizeHint().height()
    panel.show_classes([ClassRow(f"kind {number}") for number in range(80)], BACKGROUND)
    assert panel.palette_.sizeHint().height() == few < 130


def test_the_state_takes_no_room_where_there_is_none(panel):
    assert not panel.state.isVisible()
    panel.show_state("Hints used: 1 click.")
    assert panel.state.isVisible()
    panel.show_state("")
    assert not panel.state.isVisible()
