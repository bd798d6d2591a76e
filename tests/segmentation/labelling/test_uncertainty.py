"""How near the two best score planes are to each other."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cliper.segmentation.labelling.label_rule import LabelRule
from napari_cliper.segmentation.labelling.uncertainty import (
    ScorePlanes,
    most_uncertain,
    uncertainty,
)

SHAPE = (5, 7)


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


def stacked(planes, threshold) -> np.ndarray:
    """Background, then each class, (7, Y, X); what has no plane is far below."""
    every = np.full((7, *SHAPE), -9.0)
    every[0] = threshold
    if planes.background is not None:
        every[0] = np.maximum(threshold, planes.background)
    for index, plane in zip(planes.chosen, planes.classes, strict=True):
        every[index + 1] = plane
    return every


def test_a_class_that_does_not_reach_its_own_threshold_is_uncertain_near_it(planes):
    own = rule(planes, 0.1, {3: 0.9})
    best = np.argmax(planes.classes, axis=0)  # class 2 is the second plane
    value = planes.classes[1]
    row, column = np.argwhere((best == 1) & (value < 0.9))[0]
    second = value[row, column]
    expected = 1 - (0.9 - second) / (0.9 + second)
    assert uncertainty([planes], own)[row, column] == pytest.approx(expected, abs=1e-5)


def test_uncertainty_is_the_share_between_the_two_best(planes):
    second, first = np.sort(np.maximum(stacked(planes, 0.4), 0), axis=0)[-2:]
    found = uncertainty([planes], rule(planes, 0.4))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 1 - (first - second) / (first + second), atol=1e-5)


def test_uncertainty_of_parts_is_that_of_all(planes):
    every = uncertainty([planes], rule(planes, 0.4))
    parts = [planes.weighted({index: 1}) for index in planes.chosen]
    np.testing.assert_array_equal(uncertainty(parts, rule(planes, 0.4)), every)


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
