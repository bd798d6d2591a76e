"""Outlines: another rasteriser gives the labels back, and the rings are what formats want."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_time import cpu_seconds
from label_maps import HARD, blobs, drawn, filled
from scipy import ndimage

from napari_cliper.labels.outlines import drawn_outlines, find_regions, one_ring, trace

EIGHT = np.ones((3, 3))


def pasted(region, shape):
    mask = np.zeros(shape, bool)
    height, width = region.mask.shape
    mask[region.top : region.top + height, region.left : region.left + width] = region.mask
    return mask


def signed_area(ring):
    x, y = ring.T
    return (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2


def test_regions_are_those_of_scipy_and_in_order(subtests):
    for joined in (False, True):
        for name, labels in HARD.items():
            with subtests.test(joined=joined, labels=name):
                found = find_regions(labels, joined=joined)
                expected = []
                for label in np.unique(labels[labels > 0]):
                    numbered, count = ndimage.label(labels == label, EIGHT)
                    expected += [(label, numbered == number) for number in range(1, count + 1)]
                assert len(found) == len(expected)
                for region, (label, mask) in zip(found, expected, strict=True):
                    assert region.label == label
                    np.testing.assert_array_equal(pasted(region, labels.shape), mask)


def test_filling_gives_exactly_the_region(subtests):
    for joined in (False, True):
        for name, labels in HARD.items():
            with subtests.test(joined=joined, labels=name):
                for region in find_regions(labels, joined=joined):
                    mask = np.zeros(labels.shape, bool)
                    for polygon in region.polygons:
                        part = filled(polygon, labels.shape)
                        assert not (mask & part).any()
                        mask |= part
                    np.testing.assert_array_equal(mask, pasted(region, labels.shape))


def test_rings_are_wound_as_promised_and_without_needless_points(subtests):
    for joined in (False, True):
        for name, labels in HARD.items():
            with subtests.test(joined=joined, labels=name):
                for region in find_regions(labels, joined=joined):
                    if joined:
                        assert len(region.polygons) == 1
                    area = 0.0
                    for outer, *holes in region.polygons:
                        assert signed_area(outer) > 0
                        assert all(signed_area(hole) < 0 for hole in holes)
                        area += signed_area(outer) + sum(map(signed_area, holes))
                        for ring in (outer, *holes):
                            steps = np.roll(ring, -1, axis=0) - ring
                            # Each edge is upright or level, and turns from the one before.
                            assert ((steps != 0).sum(axis=1) == 1).all()
                            assert ((steps != 0) != (np.roll(steps, 1, axis=0) != 0)).all()
                    assert area == region.mask.sum()


def test_rings_that_are_not_joined_never_meet_themselves(subtests):
    for name, labels in HARD.items():
        with subtests.test(labels=name):
            for region in find_regions(labels):
                for polygon in region.polygons:
                    for ring in polygon:
                        assert len(np.unique(ring, axis=0)) == len(ring)


@pytest.mark.parametrize(
    ("name", "apart", "joined"),
    [
        ("diagonal", [0, 0, 0, 0], [0]),
        ("hole", [1], [1]),
        ("holes meet at a corner", [2], [2]),
        ("closed by a corner", [0, 0], [1]),
        ("ring of corners", [0, 0, 0, 0], [1]),
        ("stairs of holes", [4], [4]),
    ],
)
def test_holes_are_counted_as_a_person_would(name, apart, joined):
    for expected, option in ((apart, False), (joined, True)):
        (region,) = find_regions(HARD[name], joined=option)
        assert [len(polygon) - 1 for polygon in region.polygons] == expected


def test_one_ring_encloses_the_region_holes_and_all(subtests):
    for name, labels in HARD.items():
        with subtests.test(labels=name):
            for region in find_regions(labels, joined=True):
                ring = one_ring(region)
                np.testing.assert_array_equal(
                    filled([ring], labels.shape), pasted(region, labels.shape)
                )
                assert signed_area(ring) == region.mask.sum()
                # Every edge, cuts included, runs along pixels of the region.
                padded = np.pad(region.mask, 1)
                local = ring - (region.left, region.top) + 1
                for (x0, y0), (x1, y1) in zip(local, np.roll(local, -1, axis=0), strict=True):
                    assert (x0 == x1) != (y0 == y1)
                    if y0 == y1:
                        assert padded[y0 - 1 : y0 + 1, min(x0, x1) : max(x0, x1)].any(axis=0).all()
                    else:
                        assert padded[min(y0, y1) : max(y0, y1), x0 - 1 : x0 + 1].any(axis=1).all()


def test_a_hole_hangs_on_holes_to_any_depth():
    stripes = np.ones((3, 4001), np.uint8)
    stripes[1, 1::2] = 0
    (region,) = find_regions(stripes, joined=True)
    assert len(region.polygons[0]) == 2001
    np.testing.assert_array_equal(filled([one_ring(region)], stripes.shape), stripes > 0)


def test_ignored_pixels_belong_to_no_region():
    labels = drawn("1111", "1111", "2222")
    ignored = np.zeros(labels.shape, bool)
    ignored[:, 1] = True
    found = find_regions(labels, ignored)
    assert [(region.label, region.mask.sum()) for region in found] == [
        (1, 2),
        (1, 4),
        (2, 1),
        (2, 2),
    ]
    assert labels.tolist() == drawn("1111", "1111", "2222").tolist()


def test_nothing_to_trace():
    assert trace(np.zeros((3, 4), np.int64)) == []


def test_the_time_grows_with_the_area():
    small, large = (blobs(0, (side, side), levels=4, width=12) for side in (1024, 2048))
    assert len(find_regions(large)) > 500
    seconds = [cpu_seconds(lambda one=one: find_regions(one)) for one in (small, large)]
    assert seconds[1] < 10 * seconds[0]  # four times as many pixels and regions


def test_drawn_outlines_are_what_lies_near_another_label():
    rng = np.random.default_rng(11)
    labels = ndimage.zoom(rng.integers(0, 4, (6, 7)), 8, order=0).astype(np.uint8)
    for width in (1, 3):
        found = drawn_outlines(labels, width)
        for row, column in np.ndindex(labels.shape):
            near = labels[
                max(row - width, 0) : row + width + 1, max(column - width, 0) : column + width + 1
            ]
            expected = labels[row, column] if len(np.unique(near)) > 1 else 0
            assert found[row, column] == expected
