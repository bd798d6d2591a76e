"""A person's edits of a prediction are never replaced."""

from __future__ import annotations

import numpy as np
import pytest
from dock_views import labels_of, message

pytestmark = pytest.mark.one_binding


def paint(layer, value=7):
    layer.selected_label = value
    layer.paint((5, 5), value)


def test_the_first_edit_freezes_and_the_next_result_is_a_new_layer(dock, run, qtbot):
    run(dock)
    mine = labels_of(dock)
    paint(mine)
    assert "no longer changes" in message(dock)
    kept = mine.data.copy()
    dock.threshold_panel.background_slider.setValue(0.9)
    qtbot.waitUntil(lambda: dock.result.idle, timeout=10_000)
    np.testing.assert_array_equal(mine.data, kept)
    run(dock)
    np.testing.assert_array_equal(mine.data, kept)
    assert labels_of(dock) is not mine
    assert mine in dock.viewer.layers


def test_undo_brings_back_only_what_was_before_the_edit(dock, run, qtbot):
    run(dock)
    layer = labels_of(dock)
    dock.threshold_panel.background_slider.setValue(0.8)
    qtbot.waitUntil(lambda: dock.result.idle, timeout=10_000)
    before = layer.data.copy()
    paint(layer)
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_replacing_the_data_freezes_too(dock, run):
    run(dock)
    layer = labels_of(dock)
    layer.data = np.zeros_like(layer.data)
    run(dock)
    assert not layer.data.any()
