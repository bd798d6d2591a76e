"""The camera goes to the places where the prediction is least certain."""

from __future__ import annotations

import numpy as np
import pytest
from hint_strokes import SCENE, annotation, predicted
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAbstractButton, QLabel

from napari_cliper.annotation.edit_mask import PAINTED
from napari_cliper.annotation.user_hints import BACKGROUND
from napari_cliper.plugin import shortcuts

pytestmark = pytest.mark.one_binding


def look(dock, settle):
    dock.corrections_panel.next_button.click()
    settle(dock)
    return dock.status_panel.message.text()


def camera(dock):
    return np.array(dock.viewer.scene.camera.center[-2:])


def test_buttons_say_why_they_are_grey(dock):
    panel = dock.corrections_panel
    for widget in (panel.next_button, panel.uncertainty):
        assert not widget.isEnabled()
        assert "Press Run" in widget.toolTip()
    assert panel.tools.buttons["click"].isEnabled()
    dock.correction_controller.next_uncertain()
    assert "Press Run" in dock.status_panel.message.text()
    dock.viewer.layers.clear()
    assert not panel.tools.buttons["click"].isEnabled()
    assert panel.tools.buttons["click"].toolTip()


def test_the_camera_goes_from_place_to_place_and_starts_again(result, settle):
    shown, centers = [], []
    shown.append(look(result, settle))
    places = list(result.correction_controller.uncertain_places.places)
    assert len(places) > 2
    centers.append(camera(result))
    while len(centers) <= len(places):
        shown.append(look(result, settle))
        centers.append(camera(result))
    np.testing.assert_allclose(centers[:-1], places)
    np.testing.assert_allclose(centers[-1], places[0])
    assert shown[0].startswith(f"Uncertain place 1 of {len(places)}. There, Q accepts")
    assert "the last one" in shown[len(places) - 1]
    assert shown[-1] == shown[0]


def test_decided_places_are_passed_over(result, settle):
    look(result, settle)
    first = result.correction_controller.uncertain_places.places[0]
    mine = annotation(result)
    mine.layer.brush_size = 15
    mine.layer.paint(first, 0)  # nothing was there: erasing leaves no mark
    mine.layer.paint(first, 1)
    settle(result)
    look(result, settle)
    assert first not in result.correction_controller.uncertain_places.places
    edit_mask = mine.state().edit_mask
    assert all(
        edit_mask[place] == 0 for place in result.correction_controller.uncertain_places.places
    )
    result.annotation_panel.rule.setCurrentIndex(1)
    result.annotation_panel.accept_button.click()
    settle(result)
    assert look(result, settle).startswith("No uncertain place is left")


def test_a_key_goes_to_the_next_uncertain_place_and_one_rejects_what_is_there(result, settle):
    before = camera(result)
    pressed = result.viewer.keymap[coerce_keybinding(shortcuts.NEXT_UNCERTAIN)]
    assert pressed.__name__  # napari asks for it when a key is really pressed
    pressed(result.viewer)
    settle(result)
    assert not np.allclose(camera(result), before)
    place = result.correction_controller.uncertain_places.places[0]
    np.testing.assert_allclose(result.viewer.cursor.position, place)  # W, Q, H and G work there
    rows, columns = np.nonzero(predicted(result).data)
    at = len(rows) // 2
    result.viewer.cursor.position = rows[at], columns[at]
    reject = result.viewer.keymap[coerce_keybinding(shortcuts.REJECT_REGION)]
    reject(result.viewer)
    settle(result)
    assert predicted(result).data[rows[at], columns[at]] == 0
    clicks = result.correction_controller.click_controller.all[0]
    assert clicks.clicks() == {"background": [[rows[at], columns[at]]]}
    clicks.undo()
    settle(result)
    assert predicted(result).data[rows[at], columns[at]] > 0
    result.viewer.cursor.position = -50, -50
    for key in (shortcuts.REJECT_REGION, shortcuts.CLICK, shortcuts.PAINT):
        result.status_panel.show_message("")
        result.viewer.keymap[coerce_keybinding(key)](result.viewer)
        assert "not over scene" in result.status_panel.message.text()


def test_keys_move_the_cursor_and_click_and_paint_under_it(result, settle):
    viewer, scene = result.viewer, result.viewer.layers["scene"]
    scene.scale = scene.scale * 3
    scene.translate = (100, -50)
    viewer.reset_view()
    viewer.cursor.position = -1e6, 0

    def press(key, times=1):
        for _ in range(times):
            viewer.keymap[coerce_keybinding(key)](viewer)
        settle(result)

    press("Shift-Left")
    middle = np.array(viewer.scene.camera.center[-2:])
    np.testing.assert_allclose(viewer.cursor.position, middle)  # it was out of sight
    press("Shift-Down", 3)
    press("Shift-Right", 2)
    down, right = np.array(viewer.cursor.position) - middle
    assert down > 0
    np.testing.assert_allclose(right, down * 2 / 3)
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], middle)
    mark = viewer.layers[-1]
    pixel = np.round(scene.world_to_data(viewer.cursor.position))
    np.testing.assert_allclose(mark.data, [pixel])
    result.corrections_panel.spread.setChecked(False)
    names = [row.name for row in result.classes_panel.value()]
    result.tool_controller.choose(names[1])
    press(shortcuts.CLICK)
    clicks = result.correction_controller.click_controller.all[0]
    assert clicks.clicks() == {names[1]: [pixel.tolist()]}
    result.tool_controller.choose(names[0])
    press(shortcuts.PAINT)
    at = tuple(pixel.astype(int))
    mine = annotation(result)
    assert mine.classes[int(mine.layer.data[at])].name == names[0]
    assert mine.state().edit_mask[at] == PAINTED
    result.tool_controller.choose(BACKGROUND)
    press(shortcuts.PAINT)
    assert mine.layer.data[at] == 0
    press("Shift-Up", 40)
    assert viewer.scene.camera.center[-2] < middle[0]  # the camera follows


def test_no_key_of_ours_opens_a_menu_or_presses_a_button(result):
    """Qt gives a letter after "&" to a button or menu before the canvas hears of it."""
    window = result.viewer.window._qt_window
    texts = [action.text() for action in window.menuBar().actions()]
    for kind in (QAbstractButton, QLabel):
        texts += [
            one.text() for one in result.findChildren(kind) if not one.text().startswith("&Run")
        ]
    marked = {QKeySequence.mnemonic(text).toString() for text in texts} - {""}
    assert "Alt+F" in marked
    ours = {str(key) for key in result.viewer.keymap}
    assert "Alt+A" in ours
    assert not ours & marked


def test_places_of_a_stack_and_in_3d(dock, run, settle):
    image = np.stack([SCENE.image[::-1], SCENE.image])
    dock.viewer.layers.clear()
    dock.viewer.add_image(image, name="scene", rgb=True, scale=(3, 0.5, 0.5))
    dock.viewer.dims.set_point(0, 3)
    run(dock)
    settle(dock)
    assert dock.shown.choice.plane == (1,)
    dock.viewer.dims.set_point(0, 0)
    assert "no result for" in dock.corrections_panel.next_button.toolTip()
    dock.viewer.dims.set_point(0, 3)
    assert look(dock, settle).startswith("Uncertain place 1 of ")
    assert dock.viewer.dims.point[0] == 3
    np.testing.assert_allclose(
        camera(dock), np.array(dock.correction_controller.uncertain_places.places[0]) / 2
    )
    dock.viewer.dims.ndisplay = 3
    assert "2-D view" in dock.corrections_panel.next_button.toolTip()
