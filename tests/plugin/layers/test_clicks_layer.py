"""Clicks: a Points layer over an image, kept with its annotation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.layers import Image
from PIL import Image as Picture
from qtpy.QtCore import Qt

from napari_cliper.demo.scenes import make_scene
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.plugin.layers.clicks_layer import (
    BACKGROUND,
    BACKGROUND_COLOUR,
    UNKNOWN_COLOUR,
    ClicksLayer,
)

ROWS = [ClassRow("nucleus", colour=(255, 0, 0)), ClassRow("Fibre", colour=(0, 255, 0))]
RED, GREEN, BLUE = (1.0, 0, 0, 1), (0, 1.0, 0, 1), (0, 0, 1.0, 1)


@pytest.fixture
def stack():
    """Clicks of an RGB stack that is scaled and moved."""
    image = Image(np.zeros((3, 40, 50, 3), np.uint8), scale=(4, 0.5, 0.5), translate=(1, 2, 3))
    clicks = ClicksLayer(image, "stack")
    clicks.show_classes(ROWS)
    return clicks


def colours(clicks):
    return [tuple(row) for row in np.round(clicks.layer.face_color, 3).tolist()]


def predicted(dock):
    return dock.shown.predictions["refined"].layer


def annotation(dock):
    return dock.annotation_controller.of(dock.viewer.layers["scene"])


# ---------------------------------------------------------------------- the layer


def test_a_click_has_the_chosen_class_its_colour_and_its_plane(stack):
    told = []
    stack.changed.connect(lambda: told.append(stack.clicks()))
    for name, point in (("nucleus", (0, 5, 6)), (BACKGROUND, (1, 7, 8.2)), ("Fibre", (2, 9, 9))):
        stack.choose(name)
        stack.layer.add(point)
    assert len(told) == 3
    assert told[-1] == {
        "nucleus": [[0.0, 5.0, 6.0]],
        BACKGROUND: [[1.0, 7.0, 8.2]],
        "Fibre": [[2.0, 9.0, 9.0]],
    }
    assert json.loads(json.dumps(told[-1])) == told[-1]
    assert colours(stack) == [RED, BACKGROUND_COLOUR, GREEN]
    assert list(stack.layer.features["class"]) == ["nucleus", BACKGROUND, "Fibre"]
    np.testing.assert_allclose(stack.layer.data_to_world((1, 10, 10)), (5, 7, 8))
    assert stack.layer.name == "stack clicks"


def test_choosing_a_class_changes_no_click_that_is_there(stack):
    stack.choose("nucleus")
    stack.layer.add((0, 5, 6))  # napari selects what was added
    stack.choose("Fibre")
    assert stack.clicks() == {"nucleus": [[0, 5, 6]]}
    assert colours(stack) == [RED]


def test_the_colours_of_the_table_are_followed(stack):
    for name in ("nucleus", "gone"):
        stack.choose(name)
        stack.layer.add((0, 5, 6))
    stack.show_classes([ClassRow("Nucleus", colour=(0, 0, 255))])
    assert colours(stack) == [BLUE, UNKNOWN_COLOUR]
    stack.layer.selected_data = {0}
    stack.layer.current_face_color = "green"  # by hand, which napari keeps for that point
    stack.show_classes(ROWS)
    assert colours(stack) == [RED, UNKNOWN_COLOUR]


def test_taking_back_moving_and_another_class_are_told(stack):
    stack.choose("nucleus")
    stack.layer.add([(0, 5, 6), (0, 7, 8)])
    told = []
    stack.changed.connect(lambda: told.append(stack.clicks()))
    stack.layer.features = {"class": ["Fibre", "nucleus"]}
    assert told[-1] == {"Fibre": [[0, 5, 6]], "nucleus": [[0, 7, 8]]}
    stack.layer.data = [(0, 10, 12), (0, 7, 8)]
    assert told[-1]["Fibre"] == [[0, 10, 12]]
    stack.layer.selected_data = {0}
    stack.layer.remove_selected()
    assert told[-1] == {"nucleus": [[0, 7, 8]]}
    stack.layer.data = np.empty((0, 3))
    assert told[-1] == {}


def test_selecting_a_point_chooses_its_class(stack):
    stack.choose("nucleus")
    stack.layer.add((0, 5, 6))
    stack.choose("Fibre")
    told = []
    stack.chosen_changed.connect(told.append)
    stack.layer.selected_data = {0}
    assert stack.chosen == told[-1] == "nucleus"


def test_begins_with_what_was_kept(stack):
    stack.choose("nucleus")
    stack.layer.add([(0, 5, 6), (2, 7, 8)])
    kept = stack.clicks()
    again = ClicksLayer(stack.image, "stack", {**kept, "broken": [[1, 2]]})
    again.show_classes(ROWS)
    assert again.clicks() == kept
    assert colours(again) == [RED, RED]


# ---------------------------------------------------------------------- in the dock


@pytest.fixture
def result(dock, run, settle):
    """The dock after a run, its image ready for corrections."""
    run(dock)
    settle(dock)
    return dock


def click_controller(dock):
    """The layer, after the button was pressed."""
    dock.corrections_panel.tools.buttons["click"].click()
    return dock.correction_controller.click_controller.all[0]


def click(dock, name, *points):
    clicks = click_controller(dock)
    dock.correction_controller.click_controller.choose(name)
    for point in points:
        clicks.layer.add(point)
    return clicks


@pytest.mark.one_binding
def test_the_button_makes_one_layer_ready_to_click(dock):
    clicks = click_controller(dock)
    assert dock.viewer.layers.selection.active is clicks.layer
    assert clicks.layer.mode == "add"
    assert dock.viewer.layers[-1] is clicks.layer
    assert "scene annotation" in dock.viewer.layers
    assert clicks.chosen == dock.corrections_panel.value().chosen == "pollen grain"
    dock.viewer.layers.selection.active = dock.viewer.layers["scene"]
    click_controller(dock)
    assert len(dock.correction_controller.click_controller.all) == 1
    assert dock.viewer.layers.selection.active is clicks.layer


@pytest.mark.one_binding
def test_rows_keys_and_the_palette_choose_the_class(dock):
    clicks = click_controller(dock)
    dock.classes_panel.selected.emit(2)
    assert clicks.chosen == dock.corrections_panel.value().chosen == "red blood cell"
    dock.brush.brush_step(1)
    assert clicks.chosen == dock.corrections_panel.value().chosen == "bacterium"
    dock.brush.brush_nth(3)
    assert clicks.chosen == "fibre"
    panel = dock.corrections_panel
    panel.palette_.buttons[BACKGROUND].click()
    assert clicks.chosen == BACKGROUND
    clicks.layer.add((1, 1))
    dock.correction_controller.click_controller.choose("fibre")
    clicks.layer.selected_data = {0}
    assert panel.value().chosen == BACKGROUND


@pytest.mark.one_binding
def test_a_click_changes_the_prediction_and_taking_it_back_too(result, settle):
    before = predicted(result).data.copy()
    rows, columns = np.nonzero(before)
    point = int(rows[len(rows) // 2]), int(columns[len(rows) // 2])
    clicks = click(result, BACKGROUND, point)
    settle(result)
    after = predicted(result).data
    assert after[point] == 0
    assert np.count_nonzero(after != before) > 1
    assert result.corrections_panel.state.text() == "Hints used: 1 click."
    assert annotation(result).clicks == {BACKGROUND: [list(map(float, point))]}
    clicks.layer.remove_selected()
    settle(result)
    np.testing.assert_array_equal(predicted(result).data, before)
    assert annotation(result).clicks == {}


def press(dock, qtbot, key, *, shift=False):
    """Press Ctrl and a key over the canvas."""
    modifiers = Qt.KeyboardModifier.ControlModifier
    if shift:
        modifiers |= Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(dock.viewer.window._qt_viewer.canvas.native, key, modifiers)


@pytest.mark.one_binding
def test_ctrl_z_undoes_the_newest_hint_whichever_layer_is_active(result, qtbot, settle):
    clicks = click(result, BACKGROUND, (3, 3))
    mine = annotation(result)
    mine.number_of(result.shown.rows[0])
    mine.layer.brush_size = 3
    mine.layer.paint((50, 50), 1)
    settle(result)
    clicks.layer.add((60, 60))
    settle(result)
    hinted = predicted(result).data.copy()

    def state():
        settle(result)
        return len(clicks.layer.data), bool(mine.layer.data.any())

    for active in (mine.layer, clicks.layer):
        result.viewer.layers.selection.active = active
        told = [state()]
        for _ in range(4):  # one more than there are
            press(result, qtbot, Qt.Key.Key_Z)
            told.append(state())
        assert told == [(2, True), (1, True), (1, False), (0, False), (0, False)]
        assert annotation(result).clicks == {}
        for _ in range(4):
            press(result, qtbot, Qt.Key.Key_Z, shift=True)
            told.append(state())
        assert told[5:] == [(1, False), (1, True), (2, True), (2, True)]
        assert annotation(result).clicks == {BACKGROUND: [[3.0, 3.0], [60.0, 60.0]]}
        assert clicks.layer.features["class"].tolist() == [BACKGROUND] * 2
    np.testing.assert_array_equal(predicted(result).data, hinted)


@pytest.mark.one_binding
def test_ctrl_z_after_accept_leaves_the_prediction(result, qtbot, settle):
    result.annotation_panel.accept_button.click()
    press(result, qtbot, Qt.Key.Key_Z)
    settle(result)
    assert not annotation(result).layer.data.any()
    assert predicted(result).visible
    assert "was undone" in result.status_panel.message.text()  # not that it was accepted
    press(result, qtbot, Qt.Key.Key_Z, shift=True)
    settle(result)
    assert annotation(result).layer.data.any()
    assert "was redone" in result.status_panel.message.text()


def test_undo_of_moved_and_reassigned_clicks(stack):
    clicks = stack
    clicks.choose("nucleus")
    clicks.layer.add((0, 5, 5))
    clicks.layer.add((0, 9, 9))
    for step in range(5):  # as a drag tells of itself
        clicks.layer.data = [(0, 5, 5), (0, 10 + step, 10)]
    after_drag = clicks.clicks()
    clicks.layer.selected_data = {0}
    clicks.layer.remove_selected()
    clicks.undo()
    assert clicks.clicks() == after_drag
    clicks.undo()
    assert clicks.clicks() == {"nucleus": [[0.0, 5.0, 5.0], [0.0, 9.0, 9.0]]}
    clicks.undo()
    clicks.undo()
    clicks.undo()
    assert clicks.clicks() == {}
    for _ in range(3):
        clicks.redo()
    assert clicks.clicks() == after_drag
    clicks.layer.add((0, 1, 1))
    clicks.redo()  # there is nothing to redo any more
    assert len(clicks.layer.data) == 3


@pytest.mark.one_binding
def test_clicks_stay_active_while_the_image_is_asked_anew(result, qtbot):
    clicks = click(result, BACKGROUND, (3, 3))
    result.run_controller.run(again=True)
    qtbot.waitUntil(lambda: result.job is None, timeout=60_000)
    assert result.viewer.layers.selection.active is clicks.layer
    assert clicks.layer.mode == "add"


@pytest.mark.one_binding
def test_the_table_colours_the_clicks_of_the_dock(dock):
    clicks = click(dock, "fibre", (3, 3))
    rows = [row for row in dock.classes_panel.value() if row.name == "fibre"]
    expected = tuple(np.round(np.array([*rows[0].colour, 255]) / 255, 3).tolist())
    assert colours(clicks) == [expected]
    dock.classes_panel.setValue([ClassRow("fibre", colour=(0, 0, 255))])
    assert colours(clicks) == [BLUE]


@pytest.mark.one_binding
def test_accepting_keeps_the_clicks(result):
    click(result, "fibre", (3, 3))
    result.annotation_panel.accept_button.click()
    state = annotation(result).state()
    assert state.record["clicks"] == {"fibre": [[3.0, 3.0]]}
    assert "model" in json.dumps(state.record)


@pytest.mark.one_binding
def test_removing_the_layer_takes_the_clicks_back(result, settle):
    before = predicted(result).data.copy()
    clicks = click(result, BACKGROUND, *np.argwhere(before > 0)[::200])
    settle(result)
    result.viewer.layers.remove(clicks.layer)
    settle(result)
    assert annotation(result).clicks == {}
    assert "clicks" not in annotation(result).state().record
    np.testing.assert_array_equal(predicted(result).data, before)
    assert click_controller(result).clicks() == {}


@pytest.mark.one_binding
def test_a_click_begins_an_annotation_anew(dock):
    clicks = click(dock, "fibre", (3, 3))
    dock.viewer.layers.remove("scene annotation")
    dock.viewer.layers.selection.active = clicks.layer
    clicks.layer.add((5, 5))
    assert annotation(dock).clicks == {"fibre": [[3.0, 3.0], [5.0, 5.0]]}
    assert dock.viewer.layers.selection.active is clicks.layer


@pytest.mark.one_binding
def test_clicks_of_another_plane_are_no_hints_here(dock, run, settle):
    scene = make_scene((64, 64), 1_000_001).image
    dock.viewer.layers.clear()
    dock.viewer.add_image(np.stack([scene, scene]), name="scene", rgb=True)
    dock.viewer.dims.set_point(0, 0)
    run(dock)
    settle(dock)
    before = predicted(dock).data.copy()
    click(dock, "fibre", (1, 20, 20), (0, 500, 500))
    settle(dock)
    np.testing.assert_array_equal(predicted(dock).data, before)
    click(dock, "fibre", (0, 20, 20))
    settle(dock)
    assert predicted(dock).data[0, 20, 20] == 4
    assert not predicted(dock).data[1].any()


# ---------------------------------------------------------------------- in a project


@pytest.fixture
def project(dock, tmp_path, qtbot):
    """A project of two scenes, the first in the window."""
    pictures = []
    for number in (1, 2):
        pictures.append(tmp_path / f"plate {number}.png")
        Picture.fromarray(make_scene((64, 64), 1_000_000 + number).image).save(pictures[-1])
    dock.project_controller.create(tmp_path / "annotations", pictures)
    there(dock, qtbot, "plate 1")
    return tmp_path / "annotations"


def there(dock, qtbot, name):
    qtbot.waitUntil(
        lambda: dock.project_controller.current == name and dock.project_controller.idle,
        timeout=20_000,
    )
    dock.image_panel.images.setCurrentText(name)


@pytest.mark.usefixtures("project")
@pytest.mark.one_binding
def test_clicks_go_and_come_back_with_their_image(dock, qtbot):
    click(dock, "fibre", (3, 3), (10, 12))
    dock.project_controller.step(1)
    there(dock, qtbot, "plate 2")
    assert not dock.correction_controller.click_controller.all
    assert "plate 1 clicks" not in dock.viewer.layers
    assert dock.annotation_controller.current() is None
    click(dock, BACKGROUND, (4, 4))
    dock.project_controller.step(-1)
    there(dock, qtbot, "plate 1")
    assert dock.correction_controller.click_controller.all[0].clicks() == {
        "fibre": [[3.0, 3.0], [10.0, 12.0]]
    }
    assert dock.viewer.layers["plate 1 clicks"].features["class"].tolist() == ["fibre", "fibre"]


@pytest.mark.one_binding
def test_clicks_survive_closing_and_opening_a_project(dock, project, qtbot):
    click(dock, "fibre", (3, 3))
    assert dock.project_controller.save_now()
    dock.project_controller.open(project)
    there(dock, qtbot, "plate 1")
    assert dock.correction_controller.click_controller.all[0].clicks() == {"fibre": [[3.0, 3.0]]}
    assert dock.project_controller._status["plate 1"] == "started"


@pytest.mark.one_binding
def test_a_window_cleared_of_all_layers_loses_no_click(dock, project, qtbot):
    click(dock, "fibre", (3, 3))
    dock.viewer.layers.clear()
    qtbot.wait(20)
    dock.project_controller.open(project)
    there(dock, qtbot, "plate 1")
    assert dock.correction_controller.click_controller.all[0].clicks() == {"fibre": [[3.0, 3.0]]}


@pytest.mark.one_binding
def test_clicks_taken_back_are_gone_from_the_project(dock, project, qtbot):
    clicks = click(dock, "fibre", (3, 3))
    assert dock.project_controller.save_now()
    dock.viewer.layers.remove(clicks.layer)
    qtbot.wait(20)
    assert dock.project_controller.save_now()
    dock.project_controller.open(project)
    there(dock, qtbot, "plate 1")
    assert not dock.correction_controller.click_controller.all
