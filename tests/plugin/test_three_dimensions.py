"""A stack in napari's 3-D view, and the 3-D brush."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from napari_cliper.annotation.edit_mask import PAINTED
from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin.controllers.objects import ObjectsController

pytestmark = pytest.mark.one_binding


@pytest.fixture
def stack(dock, run, settle):
    """The dock beside a stack of four scenes, of which plane 1 was run."""
    dock.viewer.layers.clear()
    scenes = [make_scene((64, 80), 1_000_008 + number).image for number in range(4)]
    dock.viewer.add_image(np.stack(scenes), name="stack", rgb=True, axis_labels=("z", "y", "x"))
    dock.viewer.dims.set_point(0, 1)
    run(dock)
    settle(dock)
    return dock


def from_menu(dock, text):
    """Choose the entry of the menu beside Run that begins with a text."""
    dock.run_panel.menu.aboutToShow.emit()
    (action,) = [one for one in dock.run_panel.menu.actions() if one.text().startswith(text)]
    action.trigger()


def test_in_3d_results_are_seen_and_what_needs_a_plane_says_so_in_the_foot(stack, settle, qtbot):
    dock = stack
    dock.annotation_panel.accept_button.click()
    dock.frame.go_to("objects")
    objects = next(one for one in dock.controllers if isinstance(one, ObjectsController))
    wait = partial(qtbot.waitUntil, lambda: dock.idle and objects.idle, timeout=30_000)
    wait()
    drawn_on = dock.viewer.layers["stack objects"]
    assert "decided" in dock.annotation_panel.done.format()
    dock.viewer.dims.ndisplay = 3
    settle(dock)
    wait()
    drawn_on.mode = "paint"
    assert drawn_on.mode == "pan_zoom"  # nothing would take what is drawn
    assert dock.annotation_panel.done.format() == ""
    for name in ("stack annotation", "stack prediction", "stack objects"):
        layer = dock.viewer.layers[name]
        assert layer.visible
        assert layer.data[1].any()
        assert not layer.data[[0, 2, 3]].any()
    correction = dock.correction_controller
    for act in (
        dock.run,
        dock.annotation_controller.accept,
        dock.key_cursor.click,
        dock.key_cursor.paint,
        partial(dock.key_cursor.move, 0, 1),
        correction.next_uncertain,
        correction.click_controller.click,
        dock.all_planes.accept,
        partial(from_menu, dock, "All planes of z (4)"),
        partial(from_menu, dock, "Propagate to the next planes of z"),
        objects.undo,
        objects.redo,
    ):
        dock.status_panel.message.setText("")
        act()
        settle(dock)
        assert "in 3-D" in dock.status_panel.message.text(), act
        assert "Go back to the 2-D view" in dock.status_panel.message.text(), act
    assert len(dock.viewer.layers) == 4
    assert "in 3-D" in dock.annotation_panel.accept_planes.toolTip()
    dock.viewer.dims.ndisplay = 2
    settle(dock)
    wait()
    drawn_on.mode = "paint"
    assert drawn_on.mode == "paint"


def test_a_3d_stroke_paints_all_the_planes_that_it_changes(stack, settle):
    dock = stack
    mine = dock.annotation_controller.begin(dock.viewer.layers["stack"], "stack")
    numbers = [mine.number_of(row) for row in dock.classes_panel.value()]
    layer, edits = mine.layer, mine.edits
    layer.brush_size, layer.n_edit_dimensions = 5, 3
    for ndisplay, label, row in ((2, numbers[0], 20), (3, numbers[1], 40)):
        dock.viewer.dims.ndisplay = ndisplay
        before, mask_before = layer.data.copy(), edits.edit_mask.copy()
        layer.paint((1, row, 30), label)
        settle(dock)
        stroke = layer.data != before
        assert stroke.any(axis=(1, 2)).all()  # planes 0 to 3
        assert (layer.data[stroke] == label).all()
        assert (edits.edit_mask[stroke] == PAINTED).all()
        np.testing.assert_array_equal(edits.edit_mask[~stroke], mask_before[~stroke])
        layer.undo()
        settle(dock)
        np.testing.assert_array_equal(layer.data, before)
        np.testing.assert_array_equal(edits.edit_mask, mask_before)
        layer.redo()
        settle(dock)
        assert (edits.edit_mask[stroke] == PAINTED).all()
    painted = edits.edit_mask == PAINTED
    drawn = layer.data[painted]
    dock.viewer.dims.ndisplay = 2
    settle(dock)
    dock.annotation_panel.accept_button.click()  # of plane 1
    settle(dock)
    np.testing.assert_array_equal(layer.data[painted], drawn)
    assert (edits.edit_mask[painted] == PAINTED).all()
    assert (edits.edit_mask[[0, 2, 3]] == PAINTED * painted[[0, 2, 3]]).all()
