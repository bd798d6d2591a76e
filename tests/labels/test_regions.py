"""Connected regions, against SciPy's and against shapes whose sizes are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_cliper.annotation.cleanup import CLEANING
from napari_cliper.annotation.merge import region_at
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.labels.regions import (
    connected_regions,
    extent_of_regions,
    label_counts,
    pixel_area,
)

LABELS = np.array(
    [
        [1, 1, 0, 2, 2, 2],
        [0, 0, 1, 2, 0, 2],
        [3, 0, 0, 0, 0, 0],
        [0, 0, 2, 0, 1, 1],
    ],
    np.uint8,
)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (40, 60)).astype(np.uint16)


def test_regions_are_those_of_scipy():
    for seed in range(3):
        labels = noise(seed)
        found = connected_regions(labels)
        for label in (1, 2, 3):
            _, count = ndimage.label(labels == label, np.ones((3, 3)))
            assert np.count_nonzero(found.labels == label) == count
        assert (np.append(0, found.labels)[found.numbers] == labels).all()
        firsts = [np.flatnonzero(found.numbers == n + 1)[0] for n in range(len(found.labels))]
        assert firsts == sorted(firsts)


def test_each_region_has_its_label():
    assert connected_regions(LABELS).labels.tolist() == [1, 2, 3, 2, 1]
    assert connected_regions(np.zeros((3, 3), np.uint8)).labels.tolist() == []


def test_the_tools_that_clean_and_pick_regions_mean_the_same_regions():
    labels = noise(7)
    found = connected_regions(labels)
    for row, column in ((0, 0), (20, 30), (39, 59), (11, 7)):
        if labels[row, column]:
            same = found.numbers == found.numbers[row, column]
            assert (region_at(labels, row, column) == same).all()
    cleaned = CLEANING["remove specks"](labels, {1, 2, 3}, 5)
    assert np.bincount(connected_regions(cleaned).numbers.ravel()).min() >= 5


def test_the_area_of_a_pixel():
    labels = np.ones((2, 3), np.uint8)

    def area(sizes, units):
        return pixel_area(LabelledImage("a", labels, {}, pixel_size=sizes, units=units))

    assert area((0.5, 0.25), ("um", "micrometer")) == (0.125, "µm²")
    assert area((2.0, 2.0), ("nanometer", "nanometer")) == (4.0, "nm²")
    assert area((500.0, 0.25), ("nm", "micrometer")) == (pytest.approx(0.125), "µm²")
    for sizes, units in (
        ((), ()),
        ((0.5, 0.5), ("pixel", "pixel")),
        ((1.0, 1.0), ("pixel", "micrometer")),
        ((1.0, 1.0), ("second", "second")),
    ):
        assert area(sizes, units) == (1.0, "")


def test_pixels_of_labels_and_the_extent_of_strokes():
    generator = np.random.default_rng(0)
    for dtype, highest in ((np.uint8, 5), (np.uint16, 300)):
        labels = generator.integers(0, highest + 1, (40, 50)).astype(dtype)[::2]
        for count in (3, highest + 1, highest + 4):
            expected = [(labels == label).sum() for label in range(count)]
            np.testing.assert_array_equal(label_counts(labels, count), expected)
    mask = np.zeros((60, 60), bool)
    assert extent_of_regions(mask) == 0
    mask[5:10, 5:25] = mask[30:36, 30:38] = mask[50:53, 3:5] = True
    assert extent_of_regions(mask) == 8  # the median of 20, 8 and 3
