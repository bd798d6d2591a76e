"""Hints per pixel, from labels, edit masks and clicks."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cliper.annotation.edit_mask import ACCEPTED, CLEANED, OPEN, PAINTED
from napari_cliper.annotation.user_hints import (
    BACKGROUND,
    NO_HINT,
    clicks_in,
    clicks_on,
    confirmed_by,
    hints_of,
)
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.segmentation import OPEN as ENGINE_OPEN

CLASSES = {1: ClassRow("Fibre"), 3: ClassRow("nucleus"), 5: ClassRow("gone")}
NAMES = ["nucleus", "fibre", "bubble"]


def hint_labels(labels, edit_mask, clicks=(), names=NAMES):
    return hints_of(
        np.array(labels, np.uint16), np.array(edit_mask, np.uint8), CLASSES, clicks, names
    )


def test_the_number_for_nothing_is_the_engine_s():
    assert NO_HINT == ENGINE_OPEN


def test_painted_pixels_in_the_numbers_of_the_result():
    found = hint_labels([[1, 3, 0, 1, 3, 0, 1]], [[PAINTED] * 3 + [ACCEPTED, OPEN, OPEN, CLEANED]])
    assert found.hint_labels.tolist() == [[2, 1, 0, -1, -1, -1, -1]]
    assert found.hint_labels.dtype == np.int32
    assert (found.painted, found.clicked, found.left_out) == (3, 0, ())


def test_what_is_not_asked_for_is_left_out_and_named():
    clicks = [("mitochondrion", 0, 3)]
    found = hint_labels([[5, 9, 1, 0]], [[PAINTED] * 3 + [OPEN]], clicks)
    assert found.hint_labels.tolist() == [[-1, -1, 2, -1]]
    assert found.left_out == ("mitochondrion", "gone", "label 9")
    assert (found.painted, found.clicked) == (1, 0)


def test_clicks_and_what_wins_on_one_pixel():
    clicks = [("FIBRE", 0, 0), (BACKGROUND, 0, 1), ("bubble", 0, 2), ("nucleus", 0, 2)]
    found = hint_labels([[3, 0, 0]], [[PAINTED, OPEN, OPEN]], clicks)
    assert found.hint_labels.tolist() == [[1, 0, 1]]  # painted; background; the later click
    assert (found.painted, found.clicked) == (1, 4)


def test_a_class_that_is_called_background_is_a_class():
    found = hint_labels([[0, 0]], [[OPEN, OPEN]], [(BACKGROUND, 0, 0)], ["nucleus", "Background"])
    assert found.hint_labels.tolist() == [[2, -1]]


@pytest.mark.parametrize("labels", [np.zeros((2, 3)), np.full((2, 3), 3)])
def test_nothing_and_everything(labels):
    assert (hint_labels(labels, np.full((2, 3), OPEN)).hint_labels == NO_HINT).all()
    everything = hint_labels(labels, np.full((2, 3), PAINTED))
    assert (everything.hint_labels == (1 if labels.any() else 0)).all()


@pytest.mark.parametrize("record", [None, [], "clicks", {"a": 3}, {"a": ["xy", [None], [1, "2"]]}])
def test_what_is_no_click_is_passed_over(record):
    assert clicks_in(record) == {}


def test_the_clicks_of_a_record():
    record = {"a": [[1, 2.5], [float("nan"), 1]], "b": []}
    assert clicks_in(record) == {"a": [[1.0, 2.5]]}


def test_a_click_is_on_the_pixel_that_holds_it():
    clicks = {"a": [[1.2, 9.6, 20.4], [0, 10, 20]], "b": [[1, 4, 20], [1, 10, 30]]}
    assert clicks_on(clicks, (1,), (5, 20), (10, 10)) == [("a", 5, 0)]
    assert clicks_on({"a": [[-0.4, 0], [-0.6, 0]]}, (), (0, 0), (4, 4)) == [("a", 0, 0)]


def test_confirmed_is_what_is_decided_and_where_a_click_is():
    edit_mask = np.zeros((64, 64), np.uint8)
    edit_mask[0, 0], edit_mask[0, 1] = ACCEPTED, PAINTED
    assert np.count_nonzero(confirmed_by(edit_mask, [])) == 2
    regions = np.repeat(np.arange(64)[:, None], 64, axis=1)
    found = confirmed_by(edit_mask, [("a", 10, 3)], regions)
    assert found[10].all()
    assert np.count_nonzero(found) == 66
    disc = confirmed_by(edit_mask, [("a", 32, 32)])
    assert disc[32, 34]
    assert not disc[32, 35]
