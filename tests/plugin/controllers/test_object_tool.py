"""The tool Object, by real presses of the mouse on the canvas of a real window."""

from __future__ import annotations

import numpy as np
import pytest
from canvas_mouse import at, canvas_of, drag_over
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from small_sams import save_onnx, save_random_sam

from napari_cliper.annotation.edit_mask import PAINTED
from napari_cliper.plugin import preferences, shortcuts, ui_text
from napari_cliper.plugin.layers.image_layers import ImageChoice
from napari_cliper.segmentation import REGISTRY, image_affinity

pytestmark = pytest.mark.one_binding

RED, GREEN = (slice(20, 44), slice(70, 110)), (slice(56, 80), slice(8, 40))


def scene():
    """A red rectangle and a green one on black."""
    image = np.zeros((96, 128, 3), np.uint8)
    image[RED], image[GREEN] = (200, 30, 30), (30, 200, 30)
    return image


@pytest.fixture
def objects(dock, colour_sam, laptop, qtbot):
    """The dock at the page Correct, with the scene, and the tool Object held."""
    assert preferences.read().sam == str(colour_sam)
    dock.viewer.layers["scene"].data = scene()
    dock.frame.go_to("correct")
    laptop()
    dock.viewer.reset_view()
    press_tool(dock, qtbot)
    wait(dock, qtbot)
    return dock


def press_tool(dock, qtbot):
    qtbot.mouseClick(dock.corrections_panel.tools.buttons["object"], Qt.MouseButton.LeftButton)


def wait(dock, qtbot):
    qtbot.waitUntil(lambda: dock.object_tool.idle, timeout=20_000)
    QApplication.processEvents()


def click(dock, qtbot, pixel, modifier=Qt.KeyboardModifier.NoModifier):
    QTest.mouseClick(canvas_of(dock), Qt.MouseButton.LeftButton, modifier, at(dock, pixel))
    wait(dock, qtbot)


def drag(dock, qtbot, start, end):
    drag_over(dock, start, end)
    wait(dock, qtbot)


def press_key(dock, key):
    dock.viewer.keymap[coerce_keybinding(key)](dock.viewer)


def shown(dock):
    """The mask of the preview, or None."""
    found = next((one for one in dock.viewer.layers if one.name == ui_text.OUTLINE_LAYER), None)
    return None if found is None else found.data > 0


def overlap(mask, where):
    truth = np.zeros(mask.shape, bool)
    truth[where] = True
    return (mask & truth).sum() / (mask | truth).sum()


def text(dock):
    return dock.corrections_panel.object_state.text.text()


def own_layers(dock):
    names = (ui_text.OUTLINE_LAYER, ui_text.OUTLINE_CLICKS_LAYER, ui_text.OUTLINE_BOX_LAYER)
    return [name for name in names if name in dock.viewer.layers]


def test_a_click_outlines_an_object_and_a_key_paints_it_as_one_undo_step(objects, qtbot):
    active = objects.viewer.layers.selection.active
    centre = tuple(objects.viewer.scene.camera.center)
    click(objects, qtbot, (30, 90))
    assert overlap(shown(objects), RED) > 0.85
    assert objects.viewer.layers.selection.active is active
    assert tuple(objects.viewer.scene.camera.center) == centre
    assert "Outline 1 of 3: pollen grain" in text(objects)
    areas = [shown(objects).sum()]
    for number in (2, 3):
        press_key(objects, shortcuts.NEXT_OUTLINE)
        assert f"Outline {number} of 3" in text(objects)
        areas.append(shown(objects).sum())
    assert areas[1] > areas[0] > areas[2]  # the model's order, as nothing was predicted
    press_key(objects, shortcuts.NEXT_OUTLINE)
    mask = shown(objects)
    assert mask.sum() == areas[0]
    press_key(objects, shortcuts.KEEP_OUTLINE)
    annotation = objects.annotation_controller.current()
    (label,) = (n for n, row in annotation.classes.items() if row.name == "pollen grain")
    assert np.array_equal(annotation.edits.labels, np.where(mask, label, 0))
    assert np.array_equal(annotation.edits.edit_mask == PAINTED, mask)
    assert own_layers(objects) == []
    assert objects.corrections_panel.tools.value() == "object"
    assert f"{mask.sum():,} pixels as pollen grain" in objects.status_panel.message.text()
    annotation.layer.undo()
    annotation.follow()
    assert not annotation.edits.labels.any()
    assert not annotation.edits.edit_mask.any()


def test_clicks_outside_and_a_box_change_the_outline(objects, qtbot):
    shift = Qt.KeyboardModifier.ShiftModifier
    click(objects, qtbot, (30, 90), shift)  # there is nothing yet that it could be outside of
    assert own_layers(objects) == []
    assert objects.status_panel.message.text() == ui_text.NO_OUTLINE
    click(objects, qtbot, (30, 90))
    assert overlap(shown(objects), RED) > 0.85
    click(objects, qtbot, (40, 75), shift)  # of the same colour, so that nothing is left
    assert shown(objects) is None
    assert objects.status_panel.message.text() == ui_text.NOTHING_THERE
    press_tool(objects, qtbot)
    assert own_layers(objects) == []
    press_tool(objects, qtbot)
    centre = tuple(objects.viewer.scene.camera.center)
    drag(objects, qtbot, (54, 6), (82, 42))
    assert tuple(objects.viewer.scene.camera.center) == centre  # the image was not moved
    assert overlap(shown(objects), GREEN) > 0.7
    assert ui_text.OUTLINE_BOX_LAYER in objects.viewer.layers
    palette = objects.corrections_panel.palette_
    qtbot.mouseClick(palette.buttons["fibre"], Qt.MouseButton.LeftButton)
    assert "fibre" in text(objects)
    press_key(objects, shortcuts.KEEP_OUTLINE)
    annotation = objects.annotation_controller.current()
    names = {annotation.classes[n].name for n in np.unique(annotation.edits.labels) if n}
    assert names == {"fibre"}


def test_the_page_fits_a_laptop_whatever_the_tool_says(objects, laptop, qtbot):
    objects.classes_panel.add_words("yeast, bubble, crystal, nucleus")

    def check():
        laptop()
        page = objects.frame.current
        assert objects.width() == 322
        assert page.widget().minimumSizeHint().width() <= page.viewport().width()
        assert page.verticalScrollBar().maximum() == 0, text(objects)

    check()
    click(objects, qtbot, (30, 90))
    check()
    press_key(objects, shortcuts.KEEP_OUTLINE)
    check()
    objects.engine_panel.set_cached(dict.fromkeys(REGISTRY, False))
    preferences.write(sam="sam-vit-base")
    press_tool(objects, qtbot)
    press_tool(objects, qtbot)
    assert "375 MB" in text(objects)
    check()


def test_escape_ends_it_and_nothing_is_left(objects, qtbot):
    before = len(objects.viewer.layers)
    click(objects, qtbot, (30, 90))
    assert len(objects.viewer.layers) == before + 2
    window = objects.viewer.window._qt_window
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(canvas_of(objects), Qt.Key.Key_Escape)
    assert objects.corrections_panel.tools.value() is None
    assert len(objects.viewer.layers) == before
    assert objects.annotation_controller.all == ()
    assert objects.corrections_panel.object_state.isHidden()
    assert objects.corrections_panel.next_button.isVisible()
    click(objects, qtbot, (30, 90))
    assert own_layers(objects) == []


def test_the_outline_that_fits_the_predicted_class_comes_first(objects, run, qtbot, tmp_path):
    """The model prefers a mask that the prediction says is too large."""
    folder = save_onnx(tmp_path / "other", side=128, cells=64, limits="0.02, 0.5, 0.97")
    preferences.write(sam=str(folder))
    press_tool(objects, qtbot)
    run(objects)
    prediction = next(iter(objects.shown.predictions.values()))
    labels = np.zeros((96, 128), np.uint8)
    labels[RED] = 1
    prediction.layer.data[...] = labels
    assert objects.result.seen().labels[30, 90] == 1
    objects.frame.go_to("correct")
    press_tool(objects, qtbot)
    wait(objects, qtbot)
    click(objects, qtbot, (30, 90))
    first = shown(objects)
    press_key(objects, shortcuts.NEXT_OUTLINE)
    others = [shown(objects)]
    press_key(objects, shortcuts.NEXT_OUTLINE)
    others.append(shown(objects))
    assert overlap(first, RED) > max(overlap(mask, RED) for mask in others)


def test_the_same_tile_is_embedded_once_and_the_newest_click_wins(objects, qtbot):
    session = objects.session.objects
    assert session.kept[0] == 1  # before the first click
    bytes_before = session.kept[1]
    for place in ((30, 90), (70, 20)):
        position = at(objects, place)
        QTest.mouseClick(canvas_of(objects), Qt.MouseButton.LeftButton, pos=position)
    wait(objects, qtbot)
    assert session.kept == (1, bytes_before)
    both = shown(objects)
    assert both[30, 90]
    assert both[70, 20]
    objects.session.forget()
    assert session.kept == (0, 0)


def test_without_a_model_it_is_offered_with_size_and_licence(
    dock, laptop, qtbot, tmp_path, monkeypatch
):
    dock.frame.go_to("correct")
    laptop()
    downloaded, row = [], REGISTRY["sam2.1-hiera-tiny"]
    monkeypatch.setattr(
        dock.main_job, "start_told", lambda work, _: downloaded.append(work.args[0])
    )
    dock.engine_panel.set_cached({name: not one.repositories for name, one in REGISTRY.items()})
    press_tool(dock, qtbot)
    assert dock.corrections_panel.tools.value() is None
    for part in ("sam2.1-hiera-tiny", "156 MB", "Apache-2.0"):
        assert part in text(dock)
    get, choose = dock.corrections_panel.object_state.buttons
    assert get.text() == "Download 156 MB"
    assert downloaded == []  # nothing before the press
    qtbot.mouseClick(get, Qt.MouseButton.LeftButton)
    assert downloaded == [[row.name]]
    dock.object_tool.ask_folder = lambda: str(tmp_path / "no model")
    (tmp_path / "no model").mkdir()
    qtbot.mouseClick(choose, Qt.MouseButton.LeftButton)
    wait(dock, qtbot)
    assert "holds no SAM" in dock.status_panel.message.text()
    assert text(dock) == ui_text.SAM_UNUSABLE
    assert dock.corrections_panel.tools.value() is None
    save_random_sam("sam2", tmp_path / "random")
    dock.object_tool.ask_folder = lambda: str(tmp_path / "random")
    (choose,) = dock.corrections_panel.object_state.buttons
    qtbot.mouseClick(choose, Qt.MouseButton.LeftButton)
    wait(dock, qtbot)
    assert dock.corrections_panel.tools.value() == "object"
    assert preferences.read().sam == str(tmp_path / "random")
    click(dock, qtbot, (30, 60))
    assert dock.object_tool._outlined is not None
    dock.viewer.layers.remove("scene")
    assert own_layers(dock) == []


def test_the_tool_is_taken_once_the_model_that_was_offered_is_there(dock, qtbot):
    dock.frame.go_to("correct")
    dock.engine_panel.set_cached(dict.fromkeys(REGISTRY, False))
    press_tool(dock, qtbot)
    assert dock.object_tool.offering
    dock.engine_panel.set_cached({"sam2.1-hiera-tiny": True})
    dock.object_tool._job.request = lambda: None
    dock.state.inputs_changed.emit()
    assert dock.corrections_panel.tools.value() == "object"
    assert not dock.object_tool.offering


def test_corrections_propagate_along_the_features_of_the_model_too(dock, colour_sam, run, settle):
    assert preferences.read().sam == str(colour_sam)
    run(dock)
    settle(dock)
    embedding = dock.shown.outcome.embedding
    affinity = dock.session.affinity(embedding, lambda progress: None, lambda: False)
    without = image_affinity(embedding)
    assert affinity.features.count == without.features.count + 3  # red, green and blue
    preferences.write(sam_corrects=False)
    dock.state.inputs_changed.emit()
    assert dock.session.features_of_corrections is None
    preferences.write(sam_corrects=True, sam="edgetam")
    dock.engine_panel.set_cached({"edgetam": False})
    dock.state.inputs_changed.emit()
    assert dock.session.features_of_corrections is None


def test_a_plane_of_a_stack_gets_its_own_outline(objects, qtbot):
    stack = np.stack([scene(), scene()[:, ::-1]])
    viewer = objects.viewer
    press_tool(objects, qtbot)
    viewer.layers.clear()
    layer = viewer.add_image(stack, name="stack", rgb=True)
    viewer.dims.set_point(0, 1)
    viewer.reset_view()
    press_tool(objects, qtbot)
    wait(objects, qtbot)
    click(objects, qtbot, (30, 127 - 90))
    press_key(objects, shortcuts.KEEP_OUTLINE)
    annotation = objects.annotation_controller.of(layer)
    assert not annotation.edits.labels[0].any()
    assert overlap(annotation.edits.labels[1][:, ::-1] > 0, RED) > 0.85
    click(objects, qtbot, (70, 127 - 20))
    assert own_layers(objects)
    viewer.dims.set_point(0, 0)
    QApplication.processEvents()
    assert own_layers(objects) == []
    assert ImageChoice(layer, "stack", (0,)).shape == (96, 128)
