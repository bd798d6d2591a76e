"""What an accept changes, and what it never does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from napari_cliper.annotation.completion import done
from napari_cliper.annotation.edit_mask import ACCEPTED, CLEANED, OPEN, PAINTED
from napari_cliper.annotation.merge import RULES, accept, following, moved_by_hint, region_at
from napari_cliper.segmentation import InvalidInputError

SHAPE = (30, 40)


@pytest.fixture
def random_state():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 4, SHAPE).astype(np.uint16)
    edit_mask = rng.integers(0, 4, SHAPE).astype(np.uint8)
    return labels, edit_mask, rng.integers(0, 4, SHAPE).astype(np.uint8)


CHOSEN = [None, {2}, {1, 3}, {9}, set()]


def test_what_may_not_change_does_not(random_state, subtests):
    for rule in RULES:
        for part in [False, True]:
            for chosen in CHOSEN:
                with subtests.test(rule=rule, part=part, chosen=chosen):
                    labels, edit_mask, prediction = random_state
                    where = np.zeros(SHAPE, bool)
                    where[5:20, 8:30] = True
                    kept = [array.copy() for array in random_state]
                    new, new_edit_mask = accept(
                        labels,
                        edit_mask,
                        prediction,
                        rule,
                        chosen=chosen,
                        where=where if part else None,
                    )
                    for array, before in zip(random_state, kept, strict=True):
                        np.testing.assert_array_equal(array, before)  # no argument is changed
                    assert (new.dtype, new_edit_mask.dtype) == (np.uint16, np.uint8)
                    fixed = np.zeros(SHAPE, bool)
                    if part:
                        fixed |= ~where
                    if rule != "all":
                        fixed |= np.isin(edit_mask, (PAINTED, CLEANED))
                    if rule == "empty":
                        fixed |= labels > 0
                    np.testing.assert_array_equal(new[fixed], labels[fixed])
                    np.testing.assert_array_equal(new_edit_mask[fixed], edit_mask[fixed])
                    free = ~fixed
                    if chosen is None:
                        np.testing.assert_array_equal(new[free], prediction[free])
                        same = (
                            free & np.isin(edit_mask, (PAINTED, CLEANED)) & (labels == prediction)
                        )
                        assert same.any() == (rule == "all")
                        np.testing.assert_array_equal(new_edit_mask[same], edit_mask[same])
                        assert (new_edit_mask[free & ~same] == ACCEPTED).all()
                    else:
                        for label in chosen:  # each is where the prediction has it
                            np.testing.assert_array_equal(
                                new[free] == label, prediction[free] == label
                            )
                        others = (
                            free
                            & ~np.isin(labels, list(chosen))
                            & ~np.isin(prediction, list(chosen))
                        )
                        np.testing.assert_array_equal(new[others], labels[others])
                        np.testing.assert_array_equal(new_edit_mask[others], edit_mask[others])
                        emptied = (
                            free
                            & np.isin(labels, list(chosen))
                            & ~np.isin(prediction, list(chosen))
                        )
                        assert not new[emptied].any()
                        assert (new_edit_mask[emptied] == OPEN).all()


@pytest.mark.parametrize("rule", RULES)
def test_accepting_again_changes_nothing(random_state, rule):
    labels, edit_mask, prediction = random_state
    once = accept(labels, edit_mask, prediction, rule)
    twice = accept(*once, prediction, rule)
    for one, two in zip(once, twice, strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_is_refused(random_state):
    labels, edit_mask, prediction = random_state
    with pytest.raises(InvalidInputError, match="'some'"):
        accept(labels, edit_mask, prediction, "some")
    with pytest.raises(InvalidInputError, match="differ in size"):
        accept(labels, edit_mask, prediction[1:], "all")


def test_accepted_pixels_follow_hints_there_and_back(random_state):
    """Painted pixels never move, and undoing the hints brings every pixel back."""
    labels, edit_mask, before = random_state
    start, rng = labels.copy(), np.random.default_rng(6)
    follows = following(labels, edit_mask, before)
    assert follows.any()
    hints = [before, *(rng.integers(0, 4, SHAPE).astype(np.uint8) for _ in range(3))]
    for old, new in pairwise([*hints, *hints[-2::-1]]):
        moved = moved_by_hint(edit_mask, follows, old, new)
        assert moved.any()
        labels[moved] = new[moved]
        np.testing.assert_array_equal(labels[follows], new[follows])
        np.testing.assert_array_equal(labels[edit_mask != ACCEPTED], start[edit_mask != ACCEPTED])
    np.testing.assert_array_equal(labels, start)


def test_the_region_at_a_pixel_is_scipys(random_state):
    _, _, prediction = random_state
    for row, column in ((3, 4), (20, 31), (29, 39), (0, 0)):
        label = prediction[row, column]
        if not label:
            continue
        pieces, _ = ndimage.label(prediction == label, structure=np.ones((3, 3)))
        np.testing.assert_array_equal(
            region_at(prediction, row, column), pieces == pieces[row, column]
        )


def test_no_region_there():
    labels = np.zeros((5, 5), np.uint8)
    with pytest.raises(InvalidInputError, match="no class there"):
        region_at(labels, 2, 2)
    for row, column in ((-1, 0), (0, 5)):
        with pytest.raises(InvalidInputError, match="outside"):
            region_at(labels, row, column)


# ---------------------------------------------------------------------- counts


def test_counts_of_what_is_done():
    labels, edit_mask = np.zeros(SHAPE, np.uint16), np.zeros(SHAPE, np.uint8)
    prediction = np.zeros(SHAPE, np.uint8)
    prediction[2:6, 2:6] = 1
    prediction[6:9, 6:9] = 1  # touches the first by a corner: one region
    prediction[20:24, 2:6] = 1
    prediction[20:24, 20:24] = 2
    found = done(labels, edit_mask, prediction)
    assert (found.labelled, found.decided, found.classes, found.open_regions) == (0, 0, 0, 3)
    edit_mask[20, 2] = PAINTED  # one painted pixel does not settle a region
    assert done(labels, edit_mask, prediction).open_regions == 3
    labels, edit_mask = accept(labels, edit_mask, prediction, "empty", chosen={2})
    found = done(labels, edit_mask, prediction)
    assert found.open_regions == 2
    assert found.classes == 1
    assert found.labelled == pytest.approx(16 / 1200)
    assert found.decided == pytest.approx(17 / 1200)
    assert done(labels, edit_mask).open_regions == 0
    labels, edit_mask = accept(labels, edit_mask, prediction, "all")
    assert done(labels, edit_mask, prediction).open_regions == 0
    assert done(labels, edit_mask, prediction).decided == 1
