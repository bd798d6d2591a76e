"""Cleaning: what each tool does to shapes anyone can check, and what none may ever do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk

from napari_cliper.annotation.cleanup import CLEANING
from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import InvalidInputError

fill_holes, remove_specks, smooth, keep_largest, grow, shrink = CLEANING.values()

EIGHT = np.ones((3, 3))


def plane(*rows: str) -> np.ndarray:
    """Labels from text: a digit a pixel, a dot for background."""
    return np.array([[0 if char == "." else int(char) for char in row] for row in rows], np.uint8)


def random_maps() -> Iterator[np.ndarray]:
    """Noise, blobs, a scene, and plain planes, with three labels and more than 8 bits."""
    rng = np.random.default_rng(0)
    for _ in range(3):
        yield rng.integers(0, 4, (23, 31)).astype(np.uint8)
        blobs = ndimage.gaussian_filter(rng.normal(size=(40, 50)), 2.5)
        yield np.digitize(blobs, np.quantile(blobs, [0.4, 0.6, 0.8])).astype(np.uint16)
    yield make_scene((64, 80), 5).labels
    yield np.zeros((6, 7), np.uint8)
    yield np.full((6, 7), 2, np.uint8)
    yield np.array([[1]], np.uint8)
    yield np.array([[0]], np.uint8)
    yield rng.integers(0, 2, (1, 30)).astype(np.uint8)


MAPS = list(random_maps())
AMOUNTS = {"remove specks": (1, 9), "smooth": (1, 4.5), "grow": (1, 3), "shrink": (1, 2.5)}
CASES = [(name, amount) for name in CLEANING for amount in AMOUNTS.get(name, (None,))]


# ---------------------------------------------------------------------- what must always hold


def test_only_free_pixels_of_chosen_classes_change(subtests):
    for number in range(len(MAPS)):
        for name, amount in CASES:
            with subtests.test(number=number, name=name, amount=amount):
                labels = MAPS[number].copy()
                labels.flags.writeable = False
                rng = np.random.default_rng(number)
                where = rng.random(labels.shape) < 0.5
                chosen = {1, 3}
                whole = CLEANING[name](labels, chosen, amount)
                some = CLEANING[name](labels, chosen, amount, where=where)
                for result in (whole, some):
                    assert result.dtype == labels.dtype
                    assert result.shape == labels.shape
                    assert not np.shares_memory(result, labels)
                    # Of a class that was not chosen no pixel is lost.
                    others = ~np.isin(labels, [0, *chosen])
                    np.testing.assert_array_equal(result[others], labels[others])
                    assert set(np.unique(result)) <= {
                        0,
                        *np.unique(labels),
                    }  # none comes from nowhere
                changed = some != labels
                assert not changed[~where].any()


def test_nothing_chosen_or_nothing_free_is_nothing_done(subtests):
    for number in range(len(MAPS)):
        for name, amount in CASES:
            with subtests.test(number=number, name=name, amount=amount):
                labels = MAPS[number]
                np.testing.assert_array_equal(CLEANING[name](labels, (), amount), labels)
                np.testing.assert_array_equal(CLEANING[name](labels, {0, 200}, amount), labels)
                nowhere = np.zeros(labels.shape, bool)
                np.testing.assert_array_equal(
                    CLEANING[name](labels, {1, 2, 3}, amount, where=nowhere), labels
                )


def test_a_second_time_changes_nothing(subtests):
    for number in range(len(MAPS)):
        for chosen in [{1}, {1, 2, 3}]:
            for name in ["fill holes", "remove specks", "keep largest"]:
                with subtests.test(number=number, chosen=chosen, name=name):
                    once = CLEANING[name](MAPS[number], chosen, 12)
                    np.testing.assert_array_equal(CLEANING[name](once, chosen, 12), once)


@pytest.mark.parametrize("name", [name for name in CLEANING if CLEANING[name].amount])
def test_an_amount_of_nothing_changes_nothing(name):
    for labels in MAPS:
        np.testing.assert_array_equal(CLEANING[name](labels, {1, 2, 3}, 0), labels)


def test_mirrored_labels_give_mirrored_results(subtests):
    """No corner of the plane is treated otherwise (ties aside: fills, grows and shrinks)."""
    for number in range(len(MAPS)):
        with subtests.test(number=number):
            labels = MAPS[number]
            for name in ("fill holes", "shrink", "smooth"):
                turned = CLEANING[name](labels[::-1, ::-1], {1, 2, 3})[::-1, ::-1]
                np.testing.assert_array_equal(turned, CLEANING[name](labels, {1, 2, 3}))


# ---------------------------------------------------------------------- holes


def test_a_hole_is_filled_and_a_bay_is_not():
    labels = plane("11111", "1...1", "11111", "1...1", "1.111")
    filled = plane("11111", "11111", "11111", "1...1", "1.111")
    np.testing.assert_array_equal(fill_holes(labels, {1}), filled)


def test_corners_enclose():
    labels = plane("..1..", ".1.1.", "..1..")
    np.testing.assert_array_equal(fill_holes(labels, {1}), plane("..1..", ".111.", "..1.."))


def test_what_stands_in_a_hole_stays():
    labels = plane("1111111", "1.....1", "1.222.1", "1.2.2.1", "1.222.1", "1.....1", "1111111")
    ring = plane("1111111", "1111111", "1122211", "112.211", "1122211", "1111111", "1111111")
    both = ring.copy()
    both[3, 3] = 2
    island = labels.copy()
    island[3, 3] = 2
    np.testing.assert_array_equal(fill_holes(labels, {1}), ring)
    np.testing.assert_array_equal(fill_holes(labels, {1, 2}), both)
    np.testing.assert_array_equal(fill_holes(labels, {2}), island)


def test_two_classes_together_enclose_nothing():
    labels = plane("1122", "1..2", "1122")
    np.testing.assert_array_equal(fill_holes(labels, {1, 2}), labels)


# ---------------------------------------------------------------------- specks


def test_specks_become_what_surrounds_them():
    labels = plane(".......", ".1.2222", "...2122", "...2222")
    clean = plane(".......", "...2222", "...2222", "...2222")
    np.testing.assert_array_equal(remove_specks(labels, {1}, amount=2), clean)
    np.testing.assert_array_equal(remove_specks(labels, {1}, amount=1), labels)


def test_the_size_that_stays_is_the_smallest_allowed():
    labels = plane("11...", ".....", "...11", "....1")
    np.testing.assert_array_equal(remove_specks(labels, {1}, amount=3)[0], np.zeros(5))
    np.testing.assert_array_equal(remove_specks(labels, {1}, amount=3)[2:], labels[2:])
    assert not remove_specks(labels, {1}, amount=4).any()


def test_specks_among_specks_do_not_swap():
    labels = plane("3333333", "3312333", "3333333")
    expected = np.full((3, 7), 3)
    np.testing.assert_array_equal(remove_specks(labels, {1, 2}, amount=2), expected)
    checks = (np.indices((5, 6)).sum(axis=0) % 3 + 1).astype(np.uint8)
    assert not remove_specks(checks, {1, 2, 3}, amount=50).any()


def test_a_speck_behind_specks_gets_what_they_get():
    labels = np.full((9, 9), 3, np.uint8)
    labels[3:6, 3:6] = 1
    labels[4, 4] = 2
    np.testing.assert_array_equal(remove_specks(labels, {1, 2}, amount=9), np.full((9, 9), 3))


def test_a_locked_speck_is_a_surrounding():
    labels = plane("12", "..")
    free = np.array([[True, False], [True, True]])
    kept = remove_specks(labels, {1, 2}, amount=5, where=free)
    assert kept[0].tolist() == [0, 2]


# ---------------------------------------------------------------------- edges


def test_smoothing_takes_bumps_and_leaves_straight_edges():
    labels = np.zeros((40, 40), np.uint8)
    labels[:, 20:] = 1
    np.testing.assert_array_equal(smooth(labels, {1}, amount=6), labels)
    bumpy = labels.copy()
    bumpy[20, 19] = 1
    bumpy[10, 20] = 0
    np.testing.assert_array_equal(smooth(bumpy, {1}, amount=4), labels)


def test_smoothing_is_among_the_chosen_and_background_alone():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (40, 40)).astype(np.uint8)
    result = smooth(labels, {1}, amount=5)
    np.testing.assert_array_equal(result == 2, labels == 2)
    np.testing.assert_array_equal(result == 3, labels == 3)
    edges = [np.count_nonzero(np.diff(np.where(labels > 1, 0, one).astype(int)))
             for one in (labels, result)]  # fmt: skip
    assert edges[1] < edges[0]


def test_smoothing_brings_noisy_labels_nearer_to_the_truth():
    truth = make_scene((128, 160), 5).labels
    rng = np.random.default_rng(0)
    noisy = np.where(rng.random(truth.shape) < 0.15, rng.permuted(truth), truth)
    classes = set(np.unique(truth).tolist()) - {0}
    wrong = np.count_nonzero(smooth(noisy, classes, amount=3) != truth)
    assert wrong < 0.4 * np.count_nonzero(noisy != truth)


# ---------------------------------------------------------------------- largest


def test_the_largest_region_of_each_class_stays():
    labels = plane("11.22", "1...2", "..1..", "22222")
    # The upper 2 is smaller; the 1s touch by a corner: no, they do not.
    clean = plane("11...", "1....", ".....", "22222")
    np.testing.assert_array_equal(keep_largest(labels, {1, 2}), clean)
    np.testing.assert_array_equal(keep_largest(labels, {1})[3], labels[3])


def test_of_equally_large_regions_the_first_stays():
    assert keep_largest(plane("11.11"), {1}).tolist() == [[1, 1, 0, 0, 0]]


def test_one_region_of_each_class_is_left(subtests):
    for number in range(len(MAPS)):
        with subtests.test(number=number):
            labels = keep_largest(MAPS[number], {1, 2, 3})
            for label in (1, 2, 3):
                assert ndimage.label(labels == label, EIGHT)[1] == int(
                    (MAPS[number] == label).any()
                )


# ---------------------------------------------------------------------- growing and shrinking


def test_growth_is_straight_and_round():
    labels = np.zeros((21, 21), np.uint16)
    labels[10, 10] = 700
    grown = grow(labels, {700}, amount=5)
    y, x = np.indices(labels.shape)
    np.testing.assert_array_equal(grown == 700, np.hypot(y - 10, x - 10) <= 5)


def test_classes_that_meet_share_the_way():
    labels = np.zeros((5, 20), np.uint8)
    labels[:, 0], labels[:, 19] = 1, 2
    grown = grow(labels, {1, 2}, amount=30)
    np.testing.assert_array_equal(grown, np.repeat([1, 2], 10) * np.ones((5, 1)))


def test_growth_stops_at_other_classes_and_does_not_leap_over_them():
    labels = plane("1.3...", "1.3...", "1.3...")
    np.testing.assert_array_equal(grow(labels, {1}, amount=5), plane("113...", "113...", "113..."))
    # Nor over pixels that may not change.
    free = np.ones((1, 6), bool)
    free[0, 2] = False
    assert grow(plane("1....."), {1}, amount=5, where=free).tolist() == [[1, 1, 0, 0, 0, 0]]


@pytest.mark.parametrize("pixels", [1, 2.5, 6])
def test_grown_and_shrunk_holds_the_shape_it_was(pixels):
    labels = np.zeros((80, 90), np.uint8)
    labels[disk((40, 30), 12)] = 1
    labels[20:50, 60:70] = 2
    back = shrink(grow(labels, {1, 2}, amount=pixels), {1, 2}, amount=pixels)
    np.testing.assert_array_equal(back[labels > 0], labels[labels > 0])
    assert np.count_nonzero(back) <= 1.1 * np.count_nonzero(labels)


def test_shrinking_takes_the_edge_to_all_sides_but_the_border():
    labels = plane("1111.", "1111.", "1122.", "1122.")
    np.testing.assert_array_equal(
        shrink(labels, {1}, amount=1), plane("111..", "11...", "1.22.", "1.22.")
    )
    np.testing.assert_array_equal(shrink(np.full((4, 4), 1, np.uint8), {1}, amount=2), 1)


# ---------------------------------------------------------------------- input


@pytest.mark.parametrize("name", CLEANING)
def test_wrong_input_is_refused_in_words(name):
    tool, labels = CLEANING[name], np.zeros((4, 5), np.uint8)
    with pytest.raises(InvalidInputError, match="plane by plane"):
        tool(np.zeros((2, 4, 5), np.uint8), {1})
    with pytest.raises(InvalidInputError, match="int64"):
        tool(np.zeros((4, 5), np.int64), {1})
    with pytest.raises(InvalidInputError, match="no label 256"):
        tool(labels, {1, 256})
    with pytest.raises(InvalidInputError, match=r"\(5, 4\).*\(4, 5\)"):
        tool(labels, {1}, where=np.ones((5, 4), bool))
    if tool.amount is not None:
        for amount in (-1, float("nan")):
            with pytest.raises(InvalidInputError, match="0 or more"):
                tool(labels, {1}, amount)


@pytest.mark.parametrize("name", CLEANING)
def test_the_table_says_what_an_interface_needs(name):
    tool = CLEANING[name]
    assert tool.words
    assert tool.help.endswith(".")
    if tool.amount is None:
        return
    assert tool.amount.default >= tool.amount.least
    labels = make_scene((64, 80), 5).labels
    chosen = set(range(1, int(labels.max()) + 1))
    expected = tool(labels, chosen, tool.amount.default)
    np.testing.assert_array_equal(tool(labels, chosen), expected)
    # The least amount does something to a map of single pixels and edges.
    noisy = np.random.default_rng(0).integers(0, 3, (30, 30)).astype(np.uint8)
    assert (tool(noisy, {1, 2}, tool.amount.least) != noisy).any()
