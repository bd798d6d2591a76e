"""Accepted pixels follow hints, and painted ones never."""

from __future__ import annotations

import numpy as np
import pytest
from hint_strokes import annotation, paint, predicted

from napari_cliper.annotation.edit_mask import ACCEPTED
from napari_cliper.annotation.user_hints import BACKGROUND

pytestmark = pytest.mark.one_binding


def test_accepted_pixels_follow_a_click_and_its_undo_and_painted_ones_never(result, settle):
    """A person sees at once what a click changes, also where they have accepted."""
    result.annotation_panel.accept_button.click()
    settle(result)
    mine = annotation(result)
    paint(result, 2, [(5, 5)])
    settle(result)
    before, marks = mine.layer.data.copy(), mine.edits.edit_mask.copy()
    steps = len(mine.layer._undo_history)
    rows, columns = np.nonzero((before > 0) & (marks == ACCEPTED))
    at = len(rows) // 2
    clicks = result.correction_controller.click_controller
    clicks.click_at((rows[at], columns[at]), BACKGROUND)
    settle(result)
    after = mine.layer.data.copy()
    changed = after != before
    assert changed[rows[at], columns[at]]
    assert (marks[changed] == ACCEPTED).all()
    np.testing.assert_array_equal(mine.edits.edit_mask, marks)
    np.testing.assert_array_equal(after[changed], predicted(result).data[changed])
    assert len(mine.layer._undo_history) == steps
    assert "accepted pixels with them" in result.status_panel.message.text()
    clicks.all[0].undo()
    settle(result)
    np.testing.assert_array_equal(mine.layer.data, before)


def test_accepted_pixels_stay_where_that_is_wanted_and_thresholds_move_none(result, settle):
    result.annotation_panel.accept_button.click()
    settle(result)
    mine = annotation(result)
    before = mine.layer.data.copy()
    result.threshold_panel.background_slider.setValue(0.9)
    settle(result)
    np.testing.assert_array_equal(mine.layer.data, before)
    result.threshold_panel.background_default.click()
    settle(result)
    result.annotation_panel.accepted_follow.setChecked(False)
    rows, columns = np.nonzero(before)
    at = len(rows) // 2
    clicks = result.correction_controller.click_controller
    clicks.click_at((rows[at], columns[at]), BACKGROUND)
    settle(result)
    assert (predicted(result).data != before).any()
    np.testing.assert_array_equal(mine.layer.data, before)


def test_what_a_click_changed_flashes_in_its_colours(result, settle, qtbot):
    annotation(result)
    before = predicted(result).data.copy()
    rows, columns = np.nonzero(before)
    active = result.viewer.layers.selection.active
    clicks = result.correction_controller.click_controller
    clicks.click_at((rows[0], columns[0]), "fibre")
    flash = []
    result.viewer.layers.events.inserted.connect(lambda event: flash.append(event.value))
    settle(result)
    qtbot.waitUntil(lambda: result.idle)  # it is shown a moment after the labels
    shown = [layer for layer in flash if layer.name == "changed"]
    assert len(shown) == 1
    changed = before != predicted(result).data
    np.testing.assert_array_equal(shown[0].data > 0, changed & (predicted(result).data > 0))
    assert result.viewer.layers.selection.active is active
    qtbot.waitUntil(lambda: not shown[0].visible, timeout=3000)
    assert f"{np.count_nonzero(changed):,} pixels changed" in result.status_panel.message.text()
