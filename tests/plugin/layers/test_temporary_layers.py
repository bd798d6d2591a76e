"""Layers that are shown for a moment."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from napari.layers import Labels, Points
from qtpy.QtCore import QObject

from napari_cliper.plugin.layers import temporary_layers
from napari_cliper.plugin.layers.temporary_layers import TemporaryLayer

pytestmark = pytest.mark.one_binding


def labels(value: int, side: int = 8) -> Labels:
    return Labels(np.full((side, side), value), name="changed")


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((8, 8)), name="image")
    return viewer


def test_a_series_shows_one_layer_again(viewer, qtbot):
    image = viewer.layers["image"]
    added = []
    viewer.layers.events.inserted.connect(lambda event: added.append(event.value))
    passing = TemporaryLayer(QObject(viewer.window._qt_window), viewer, 20)
    passing.show(labels(1))
    qtbot.waitUntil(lambda: not added[0].visible)
    viewer.add_labels(np.zeros((8, 8), int), name="above")
    viewer.layers.selection.active = image
    passing.show(labels(2))
    assert [layer.name for layer in added] == ["changed", "above"]
    assert added[0].visible
    assert viewer.layers[-1] is added[0]
    np.testing.assert_array_equal(added[0].data, 2)
    assert viewer.layers.selection.active is image
    passing.clear()
    assert added[0] not in viewer.layers


@pytest.mark.parametrize("other", [labels(1, side=4), Points([(1, 1)], name="next place")])
def test_another_kind_or_size_replaces_it(viewer, other):
    passing = TemporaryLayer(QObject(viewer.window._qt_window), viewer, 1000)
    passing.show(labels(1))
    passing.show(other)
    assert [layer.name for layer in viewer.layers] == ["image", other.name]
    passing.clear()


def test_it_is_removed_when_nothing_follows(viewer, qtbot, monkeypatch):
    monkeypatch.setattr(temporary_layers, "KEPT", 20)
    passing = TemporaryLayer(QObject(viewer.window._qt_window), viewer, 10)
    passing.show(labels(1))
    qtbot.waitUntil(lambda: len(viewer.layers) == 1)


def test_a_layer_that_the_user_removed_is_shown_anew(viewer):
    passing = TemporaryLayer(QObject(viewer.window._qt_window), viewer, 1000)
    passing.show(labels(1))
    viewer.layers.remove("changed")
    passing.show(labels(2))
    np.testing.assert_array_equal(viewer.layers["changed"].data, 2)
    passing.clear()


def test_what_others_left_out_of_garbage_collections_stays_out(viewer):
    passing = TemporaryLayer(QObject(viewer.window._qt_window), viewer, 1000)
    gc.freeze()
    passing.show(labels(1))
    passing.clear()
    assert gc.get_freeze_count() > len(gc.get_objects())
