"""Layers that are added in short steps."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.interactions import mouse_double_click_callbacks, mouse_press_callbacks
from qtpy.QtCore import QObject

from napari_cliper.plugin.layers.quick_layers import SoonShown, add_unselected, drawn_when_used

pytestmark = pytest.mark.one_binding


def drawings(viewer, layer):
    """What napari has made for the tools of a layer."""
    return viewer.window._qt_viewer.canvas._layer_overlay_to_visual[layer]


def press(layer, position, kind="mouse_press"):
    event = SimpleNamespace(
        type=kind, button=1, position=position, dims_displayed=[0, 1], view_direction=None,
        modifiers=(), handled=False, pos=np.array(position), is_dragging=False, inverted=lambda: 0,
    )  # fmt: skip
    call = mouse_press_callbacks if kind == "mouse_press" else mouse_double_click_callbacks
    call(layer, event)


def test_a_polygon_can_be_drawn_in_a_layer_that_was_made_without_its_outline(make_napari_viewer):
    viewer = make_napari_viewer()
    layer = drawn_when_used(Labels(np.zeros((20, 20), np.uint8)))
    viewer.add_layer(layer)
    assert not drawings(viewer, layer)
    layer.mode = "paint"
    assert len(drawings(viewer, layer)) == 1
    layer.mode = "polygon"
    assert len(drawings(viewer, layer)) == 2
    for corner in ((2, 2), (2, 12), (12, 12), (12, 2)):
        press(layer, corner)
    press(layer, (12, 2), "mouse_double_click")
    assert layer.data[3:12, 3:12].all()
    assert not layer.data[14:].any()
    layer.mode = "pan_zoom"
    layer.mode = "polygon"
    assert len(drawings(viewer, layer)) == 2


def test_layers_are_shown_one_after_the_other(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    one, two, gone, left = (Labels(np.ones((8, 8), int), visible=False) for _ in range(4))
    for layer in (one, two, gone, left):
        viewer.add_layer(layer)
    soon = SoonShown(QObject(viewer.window._qt_window), viewer)
    shown = []
    for layer in (one, gone, left, two):
        soon.show(layer, lambda layer=layer: shown.append((layer, one.visible, two.visible)))
    viewer.layers.remove(gone)
    soon.leave_hidden(left)
    assert not soon.idle
    assert soon.waits(two)
    assert not soon.waits(left)
    assert not one.visible
    qtbot.waitUntil(lambda: soon.idle)
    assert shown == [(one, True, False), (two, True, True)]
    assert not left.visible
    soon.show(left)
    soon.close()
    assert left.visible


def test_a_layer_is_added_and_the_same_layers_stay_selected(make_napari_viewer):
    viewer = make_napari_viewer()
    one, two = (viewer.add_image(np.zeros((8, 8)), name=name) for name in "12")
    viewer.layers.selection = {one, two}
    active = viewer.layers.selection.active
    top, between = (Labels(np.ones((8, 8), int), name=name) for name in ("top", "between"))
    add_unselected(viewer.layers, top)
    add_unselected(viewer.layers, between, 1)
    assert [layer.name for layer in viewer.layers] == ["1", "between", "2", "top"]
    assert set(viewer.layers.selection) == {one, two}
    assert viewer.layers.selection.active is active
    assert viewer.add_image(np.zeros((8, 8))) is viewer.layers.selection.active  # as ever
