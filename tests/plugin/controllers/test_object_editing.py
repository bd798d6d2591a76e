"""The tools of the page Objects, by real presses of the mouse on the canvas of a real window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from canvas_mouse import at, canvas_of, drag_over
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_cliper.annotation.class_change import ClassChange
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.plugin import shortcuts
from napari_cliper.plugin.controllers.objects import ObjectsController
from napari_cliper.plugin.layers.labelled_layer import labelled_of_layer
from napari_cliper.plugin.object_measures import measured

A, B = (slice(10, 30), slice(10, 30)), (slice(10, 30), slice(34, 54))
C, D = (slice(50, 70), slice(10, 50)), (slice(80, 86), slice(100, 106))
"""Painted objects, which get the numbers 1 to 4; A and B are pollen, C and D red blood cells."""

JOB = (lambda _: None, lambda: False)  # takes progress, and never stops


@pytest.fixture
def page(dock, laptop, qtbot):
    """The dock at the page Objects, with four painted objects."""
    mine = dock.annotation_controller.begin(dock.viewer.layers["scene"], "scene")
    for row in dock.classes_panel.value():
        mine.number_of(row)
    for label, place in ((1, A), (1, B), (2, C), (2, D)):
        mine.rewrite(place, np.full_like(mine.edits.labels[place], label))
    dock.frame.go_to("objects")
    laptop()
    dock.viewer.reset_view()
    settle(dock, qtbot)
    return dock


def controller(dock):
    return next(one for one in dock.controllers if isinstance(one, ObjectsController))


def settle(dock, qtbot):
    qtbot.waitUntil(lambda: controller(dock).idle, timeout=20_000)
    QApplication.processEvents()


def click(dock, qtbot, *pixel):
    QTest.mouseClick(canvas_of(dock), Qt.MouseButton.LeftButton, pos=at(dock, pixel))
    settle(dock, qtbot)


def drag(dock, qtbot, start, end):
    drag_over(dock, start, end)
    settle(dock, qtbot)


def take(dock, qtbot, tool):
    qtbot.mouseClick(dock.panels["objects"].tools.buttons[tool], Qt.MouseButton.LeftButton)
    assert dock.panels["objects"].tools.value() == tool


def choose(dock, name):
    table = dock.panels["objects"].table
    rows = [table.item(row, 1).text() for row in range(table.rowCount())]
    table.setCurrentCell(rows.index(name), 1)


def numbers(dock):
    return dock.viewer.layers["scene objects"].data


def sizes(dock):
    """Pixels by number, as the layer shows them."""
    found, counts = np.unique(numbers(dock), return_counts=True)
    return {int(n): int(c) for n, c in zip(found, counts, strict=True) if n}


def feature(dock, number, name):
    table = dock.viewer.layers["scene objects"].features
    return table.loc[table["index"] == number, name].item()


def said(dock):
    return dock.status_panel.message.text()


def test_objects_are_merged_cut_deleted_and_survive_a_new_splitting(page, qtbot):
    dock, panel = page, page.panels["objects"]
    assert sizes(dock) == {1: 400, 2: 400, 3: 800, 4: 36}
    active = dock.viewer.layers.selection.active
    first = measured(controller(dock).made, None, *JOB)
    take(dock, qtbot, "merge")
    assert "Click two objects" in panel.hint.text()
    assert dock.viewer.cursor.style == "cross"
    click(dock, qtbot, 2, 120)
    assert "no object there" in said(dock)
    click(dock, qtbot, 20, 20)
    assert "Object 1 (pollen grain): now click" in said(dock)
    click(dock, qtbot, 20, 40)
    assert sizes(dock) == {1: 800, 3: 800, 4: 36}
    assert "Merged 2 objects into object 1" in said(dock)
    made = controller(dock).made
    anew = measured(made, None, *JOB).columns
    pd.testing.assert_frame_equal(
        pd.DataFrame(measured(made, first, *JOB).columns), pd.DataFrame(anew)
    )
    assert anew["area [pixel]"] == [800, 800, 36]
    assert feature(dock, 1, "edited")
    qtbot.mouseClick(panel.undo_button, Qt.MouseButton.LeftButton)
    settle(dock, qtbot)
    assert sizes(dock) == {1: 400, 2: 400, 3: 800, 4: 36}
    drag(dock, qtbot, (25, 46), (20, 20))
    assert sizes(dock) == {2: 800, 3: 800, 4: 36}
    assert panel.table.item(0, 2).text() == "1"

    take(dock, qtbot, "cut")
    drag(dock, qtbot, (75, 20), (78, 40))
    assert "divides no object" in said(dock)
    drag(dock, qtbot, (45, 24), (75, 24))
    assert "Cut 1 object into 2" in said(dock)
    after_cut = sizes(dock)
    assert set(after_cut) == {2, 3, 4, 5}
    assert after_cut[3] > after_cut[5] > 200
    assert after_cut[3] + after_cut[5] == 800

    take(dock, qtbot, "delete")
    drag(dock, qtbot, (78, 98), (88, 104))
    assert "completely in the rectangle" in said(dock)
    drag(dock, qtbot, (76, 96), (90, 110))
    assert "Deleted 1 object." in said(dock)
    assert set(sizes(dock)) == {2, 3, 5}

    choose(dock, "fibre")
    take(dock, qtbot, "class")
    assert "make it fibre" in panel.hint.text()
    click(dock, qtbot, 20, 40)
    assert feature(dock, 2, "class") == "fibre"
    assert [panel.table.item(row, 2).text() for row in range(4)] == ["0", "2", "0", "1"]
    edited = numbers(dock).copy()

    mine = dock.annotation_controller.of(dock.viewer.layers["scene"])
    ring = mine.edits.labels.copy()
    ring[9:31, 9:55] = 1  # around A and B, as by a lower threshold
    ring[49:71, 9:51] = 2
    ring[79:87, 99:107] = 2
    ring[80:90, 60:70] = 3  # a new one
    mine.rewrite((slice(None), slice(None)), ring)
    settle(dock, qtbot)
    now = numbers(dock)
    assert (now[edited > 0] == edited[edited > 0]).all()
    assert set(sizes(dock)) == {2, 3, 5, 6}
    assert sizes(dock)[6] == 100
    assert "3 edited" in panel.summary.text()

    layer = dock.viewer.layers["scene objects"]
    for key, fibres in ((shortcuts.UNDO, "0"), (shortcuts.REDO, "1")):
        layer.keymap[coerce_keybinding(key)](layer)
        settle(dock, qtbot)
        assert panel.table.item(3, 2).text() == fibres
    window = dock.viewer.window._qt_window
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(canvas_of(dock), Qt.Key.Key_Escape)
    assert panel.tools.value() is None
    assert dock.viewer.layers.selection.active is active
    for _ in range(4):
        panel.undo_button.click()
        settle(dock, qtbot)
    assert not panel.undo_button.isEnabled()
    assert (numbers(dock)[D] == 4).all()
    assert sizes(dock)[3] == 22 * 42


@pytest.mark.one_binding
def test_new_objects_are_drawn_with_the_brush(page, qtbot):
    dock, panel = page, page.panels["objects"]
    choose(dock, "bacterium")
    take(dock, qtbot, "draw")
    layer = dock.viewer.layers["scene objects"]
    layer.brush_size = 5
    drag(dock, qtbot, (40, 90), (40, 100))
    assert "Drew object 5 (bacterium)" in said(dock)
    first = sizes(dock)[5]
    assert first > 40
    drag(dock, qtbot, (38, 95), (50, 95))  # touches it
    assert sizes(dock)[5] > first + 20
    drag(dock, qtbot, (70, 70), (70, 80))
    assert feature(dock, 6, "class") == "bacterium"
    assert panel.table.item(2, 1).text() == "bacterium"
    assert panel.table.item(2, 2).text() == "2"
    panel.undo_button.click()
    panel.undo_button.click()
    settle(dock, qtbot)
    assert sizes(dock)[5] == first
    assert 6 not in sizes(dock)
    layer.mode = "erase"  # with napari's own tool
    assert panel.tools.value() == "draw"
    drag(dock, qtbot, (60, 5), (60, 60))
    assert 700 > sizes(dock)[3] > 500
    settle(dock, qtbot)
    assert 700 > sizes(dock)[3] > 500
    dock.frame.go_to("correct")
    assert not layer.visible
    assert panel.tools.value() is None
    qtbot.mouseClick(dock.corrections_panel.tools.buttons["brush"], Qt.MouseButton.LeftButton)
    dock.frame.go_to("objects")
    take(dock, qtbot, "delete")
    assert dock.corrections_panel.tools.value() is None
    click(dock, qtbot, 20, 20)
    assert 1 not in sizes(dock)


@pytest.mark.one_binding
def test_edits_are_saved_with_the_annotation_and_follow_a_renamed_class(page, qtbot):
    dock, panel = page, page.panels["objects"]
    choose(dock, "fibre")
    take(dock, qtbot, "class")
    click(dock, qtbot, 20, 40)
    take(dock, qtbot, "delete")
    click(dock, qtbot, 83, 103)
    panel.smallest.setValue(5)
    settle(dock, qtbot)
    qtbot.waitUntil(lambda: dock.idle, timeout=20_000)
    (project,) = dock.autosave.projects
    state = project.peek(project.images[0].name)
    image = dock.viewer.layers["scene"]
    exported = dock.annotation_controller.of(image).gathered()().with_separate()
    layer = dock.viewer.layers["scene objects"]
    saved_layer = labelled_of_layer(*layer.as_layer_data_tuple()[:2], "layer")
    for one in (exported, saved_layer):
        assert np.array_equal(one.instances, numbers(dock))
        assert {one.classes[label].name for label in np.unique(one.labels[B])} == {"fibre"}
        assert {one.classes[label].name for label in np.unique(one.labels[A])} == {"pollen grain"}
    dock.viewer.layers.remove(dock.annotation_controller.of(image).layer)
    dock.viewer.layers.remove(dock.viewer.layers["scene objects"])
    dock.annotation_controller.begin(image, "scene", state)
    dock.classes_panel.setValue(
        [replace(row, name="thread") if row.name == "fibre" else row
         for row in dock.classes_panel.value()]
    )  # fmt: skip
    dock.annotation_controller.change_class(ClassChange("fibre", ClassRow("thread")))
    panel.show_switch.setChecked(True)
    dock.frame.go_to("find")
    dock.frame.go_to("objects")
    settle(dock, qtbot)
    assert set(sizes(dock)) == {1, 2, 3}
    assert feature(dock, 2, "class") == "thread"
    assert feature(dock, 2, "edited")
    assert panel.smallest.value() == 5


@pytest.mark.one_binding
def test_edits_of_a_prediction_are_saved_too(dock, run, laptop, qtbot):
    run(dock)
    dock.frame.go_to("objects")
    laptop()
    dock.viewer.reset_view()
    settle(dock, qtbot)
    assert dock.annotation_controller.all == ()
    before = sizes(dock)
    largest = max(before, key=before.get)
    where = np.argwhere(numbers(dock) == largest)
    take(dock, qtbot, "delete")
    click(dock, qtbot, *where[len(where) // 2])
    assert set(before) - set(sizes(dock)) == {largest}
    (annotation,) = dock.annotation_controller.all
    assert not annotation.blank
    assert dock.panels["objects"].tools.value() == "delete"
    slider = dock.threshold_panel.background_slider
    slider.setValue(slider.value() + 0.02)
    qtbot.waitUntil(lambda: dock.idle, timeout=20_000)
    assert largest not in sizes(dock)


@pytest.mark.usefixtures("colour_sam")
@pytest.mark.one_binding
def test_an_outline_of_the_model_becomes_an_object(dock, laptop, qtbot):
    image = np.zeros((96, 128, 3), np.uint8)
    red = (slice(20, 40), slice(70, 110))
    image[red] = 200, 30, 30
    dock.viewer.layers["scene"].data = image
    mine = dock.annotation_controller.begin(dock.viewer.layers["scene"], "scene")
    label = mine.number_of(dock.classes_panel.value()[0])
    mine.rewrite(D, np.full((6, 6), label, np.uint16))
    before = mine.edits.labels.copy()
    dock.frame.go_to("objects")
    laptop()
    dock.viewer.reset_view()
    settle(dock, qtbot)
    panel = dock.panels["objects"]
    choose(dock, "pollen grain")
    take(dock, qtbot, "outline")
    assert dock.corrections_panel.tools.value() is None
    assert "drag a box around it" in panel.object_state.text.text()
    click(dock, qtbot, 30, 90)
    qtbot.waitUntil(lambda: dock.idle, timeout=20_000)
    assert "Outline 1 of" in panel.object_state.text.text()
    dock.viewer.keymap[coerce_keybinding(shortcuts.KEEP_OUTLINE)](dock.viewer)
    settle(dock, qtbot)
    found, truth = numbers(dock) == 2, np.zeros(image.shape[:2], bool)
    truth[red] = True
    assert (found & truth).sum() / (found | truth).sum() > 0.85
    assert feature(dock, 2, "class") == "pollen grain"
    assert np.array_equal(mine.edits.labels, before)
    take(dock, qtbot, "delete")
    assert panel.object_state.isHidden()
    assert not dock.object_tool.active


def test_a_stroke_is_kept_while_objects_are_made(page, qtbot):
    dock = page
    choose(dock, "bacterium")
    take(dock, qtbot, "draw")
    layer = dock.viewer.layers["scene objects"]
    layer.brush_size = 5
    QTest.mousePress(canvas_of(dock), Qt.MouseButton.LeftButton, pos=at(dock, (40, 90)))
    QTest.mouseMove(canvas_of(dock), at(dock, (40, 100)))
    drawn = numbers(dock) == 5
    assert drawn.sum() > 40
    mine = dock.annotation_controller.of(dock.viewer.layers["scene"])
    mine.rewrite(D, np.zeros((6, 6), np.uint16))
    settle(dock, qtbot)
    assert (numbers(dock)[drawn] == 5).all()
    shown = controller(dock).layer_of(controller(dock).made.seen.choice)
    part, other = (slice(0, 40), slice(0, 60)), np.full((40, 60), 9, np.int32)
    shown.show_part(controller(dock).made.seen.choice, part, other)
    end = at(dock, (40, 100))
    QTest.mouseRelease(canvas_of(dock), Qt.MouseButton.LeftButton, pos=end)
    settle(dock, qtbot)
    assert set(sizes(dock)) == {1, 2, 3, 5}
    assert sizes(dock)[5] >= drawn.sum()
    assert controller(dock).made.plane.edited.edited == {5}

    layer.mode = "pan_zoom"
    before = numbers(dock).copy()
    shown.show_part(controller(dock).made.seen.choice, part, other)
    assert 9 in sizes(dock)
    layer.mode = "erase"  # with napari's own tool
    assert np.array_equal(numbers(dock), before)
