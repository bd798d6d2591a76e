"""Planes that hints change: their labels and their uncertainty."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cliper.segmentation.labelling.label_rule import COMPETING_BACKGROUND, LabelRule
from napari_cliper.segmentation.labelling.uncertainty import (
    ScorePlanes,
    corrected_labels,
    most_uncertain,
    uncertainty,
    wrong_by,
)
from napari_cliper.segmentation.propagation.label_propagation import OPEN, Shift

SHAPE = (5, 7)
REGIONS = np.arange(35, dtype=np.int32).reshape(SHAPE) % 4


def rule(planes, threshold, own=None):
    """CLIPer's rule where there is no plane of background words; `own` by label."""
    levels = np.full(planes.total + 1, threshold, float)
    for label, value in (own or {}).items():
        levels[label] = value
    return LabelRule(levels, background_competes=planes.background is None)


@pytest.fixture
def planes():
    classes = np.random.default_rng(0).random((3, *SHAPE), np.float32)
    return ScorePlanes((0, 2, 4), tuple(classes), None, shape=SHAPE, total=6)


def shifted(hint_labels=None) -> Shift:
    by_region = torch.randn(6, 4, generator=torch.Generator().manual_seed(2)) / 5
    return Shift(
        by_region, REGIONS, np.full(SHAPE, OPEN, np.int32) if hint_labels is None else hint_labels
    )


def stacked(planes, shift, threshold) -> np.ndarray:
    """Background, then each class, (7, Y, X); what has no plane is far below."""
    every = np.full((7, *SHAPE), -9.0)
    every[0] = threshold
    if planes.background is not None:
        every[0] = np.maximum(threshold, planes.background)
    for index, plane in zip(planes.chosen, planes.classes, strict=True):
        gain = 0 if shift is None else shift.by_region[index].numpy()[REGIONS]
        every[index + 1] = plane + gain
    return every


def test_labels_are_the_highest_plane(planes):
    shift = shifted()
    found = corrected_labels(planes, shift, rule(planes, 0.4))
    np.testing.assert_array_equal(found, stacked(planes, shift, 0.4).argmax(axis=0))


def test_the_background_words_compete(planes):
    rest = np.random.default_rng(5).random(SHAPE, np.float32)
    with_rest = ScorePlanes(planes.chosen, planes.classes, rest, SHAPE, 6)
    shift = shifted()
    found = corrected_labels(with_rest, shift, rule(with_rest, 0.1))
    np.testing.assert_array_equal(found, stacked(with_rest, shift, 0.1).argmax(axis=0))


@pytest.mark.parametrize("threshold", [0.4, 0.0])
def test_wrong_by(planes, threshold):
    hint_labels = np.full(SHAPE, OPEN, np.int32)
    hint_labels[0, :5], hint_labels[3, 3] = (0, 1, 3, 5, 1), 3
    floor = threshold or COMPETING_BACKGROUND
    every = stacked(planes, None, floor)
    rows, columns = np.nonzero(hint_labels != OPEN)
    own = every[hint_labels[rows, columns], rows, columns]
    expected = every[:, rows, columns].max(axis=0) - own
    found = wrong_by(planes, hint_labels, rule(planes, threshold))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_where_no_class_competes_the_background_is_not_its_square(planes):
    """Hints take scores beyond (3 + 5^0.5) / 2, where (1 - score)^2 is the larger again."""
    shift = Shift(torch.full((6, 4), 3.0), REGIONS, np.full(SHAPE, OPEN, np.int32))
    assert corrected_labels(planes, shift, rule(planes, 0)).all()


def test_hinted_pixels_keep_their_class(planes):
    hint_labels = np.full(SHAPE, OPEN, np.int32)
    hint_labels[2, 2:4] = 5, 0
    found = corrected_labels(planes, shifted(hint_labels), rule(planes, 0.1))
    assert found[2, 2:4].tolist() == [5, 0]


def test_a_class_has_to_reach_its_own_threshold(planes):
    """Its pixels are wrong by what they lack, and doubtful near it."""
    own = rule(planes, 0.1, {3: 0.9})
    hint_labels = np.full(SHAPE, OPEN, np.int32)
    best = np.argmax(planes.classes, axis=0)  # class 2 is the second plane
    value = planes.classes[1]
    row, column = np.argwhere((best == 1) & (value < 0.9))[0]
    hint_labels[row, column] = 3
    lacking = float(wrong_by(planes, hint_labels, own))
    assert lacking == pytest.approx(0.9 - value[row, column])
    hint_labels[row, column] = 0
    assert float(wrong_by(planes, hint_labels, own)) == 0
    assert float(wrong_by(planes, hint_labels, rule(planes, 0.9, {3: 0.1}))) > 0
    none = Shift(torch.zeros(6, 4), REGIONS, np.full(SHAPE, OPEN, np.int32))
    labels = corrected_labels(planes, none, own)
    assert (labels[(best == 1) & (value < 0.9)] == 0).all()
    uncertain = uncertainty([planes], none, own)[row, column]
    second = max(value[row, column], 0)
    assert uncertain == pytest.approx(1 - (0.9 - second) / (0.9 + second), abs=1e-5)


def test_uncertainty_is_the_share_between_the_two_best(planes):
    hint_labels = np.full(SHAPE, OPEN, np.int32)
    hint_labels[1, 1] = 1
    shift = shifted(hint_labels)
    second, first = np.sort(np.maximum(stacked(planes, shift, 0.4), 0), axis=0)[-2:]
    expected = 1 - (first - second) / (first + second)
    expected[1, 1] = 0
    found = uncertainty([planes], shift, rule(planes, 0.4))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_uncertainty_of_parts_is_that_of_all(planes):
    every = uncertainty([planes], None, rule(planes, 0.4))
    parts = [planes.weighted({index: 1}) for index in planes.chosen]
    np.testing.assert_array_equal(uncertainty(parts, None, rule(planes, 0.4)), every)


def test_most_uncertain_goes_from_place_to_place():
    uncertain = np.zeros((200, 240), np.float32)
    uncertain[20:50, 30:60], uncertain[120:150, 150:190], uncertain[160:190, 10:40] = 0.9, 0.7, 1.0
    confirmed = np.zeros(uncertain.shape, bool)
    confirmed[155:, :50] = True
    found = most_uncertain(uncertain, confirmed)
    assert len(found) >= 2
    (row, column), (next_row, next_column) = found[:2]
    assert (20 <= row < 50, 30 <= column < 60) == (True, True)
    assert (120 <= next_row < 150, 150 <= next_column < 190) == (True, True)
    assert not any(confirmed[place] for place in found)


def test_where_all_is_sure_there_is_nothing_to_see():
    assert most_uncertain(np.zeros((30, 30), np.float32), np.zeros((30, 30), bool)) == []
    assert most_uncertain(np.ones((30, 30), np.float32), np.ones((30, 30), bool)) == []
