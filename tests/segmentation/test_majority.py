"""The most frequent label of each mask."""

from __future__ import annotations

import numpy as np

from napari_cliper.segmentation import majority
from napari_cliper.segmentation.majority import majority_of_masks, most_frequent


def test_most_frequent(monkeypatch):
    rng = np.random.default_rng(0)
    groups, values = rng.integers(0, 30, 400) * 7, rng.integers(0, 5, 400)
    expected = [np.bincount(values[groups == one]).argmax() for one in np.unique(groups)]
    for cells in (majority._TABLE, 0):  # with a table of counts, and with sorting
        monkeypatch.setattr(majority, "_TABLE", cells)
        found, winners = most_frequent(groups, values)
        np.testing.assert_array_equal(found, np.unique(groups))
        np.testing.assert_array_equal(winners, expected)
        assert [one.size for one in most_frequent(groups[:0], values[:0])] == [0, 0]


def test_majority_of_masks():
    labels = np.array([[1, 1, 2, 0], [3, 2, 2, 0], [3, 1, 2, 2]], np.uint8)
    masks = np.array([[0, 0, 0, 9], [5, 5, 5, 9], [5, 5, 5, 9]])
    expected = np.array([[1, 1, 2, 0], [2, 2, 2, 0], [2, 2, 2, 0]], np.uint8)
    found = majority_of_masks(labels, masks)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    expected[0] = [1, 1, 1, 0]  # where every pixel is in a mask, each mask has its vote
    np.testing.assert_array_equal(majority_of_masks(labels, masks + 3), expected)
    tie = majority_of_masks(np.array([[2, 1, 1, 2, 3]]), np.array([[4, 4, 4, 4, 0]]))
    np.testing.assert_array_equal(tie, [[1, 1, 1, 1, 3]])
