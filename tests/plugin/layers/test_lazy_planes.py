"""Regions of lazy arrays and pyramids."""

from __future__ import annotations

import numpy as np
import zarr

from napari_cliper.plugin.layers.lazy_planes import LazyPlane, lazy_key, lazy_levels


def test_a_region_is_read_like_an_array_of_its_own():
    stack = np.arange(3 * 40 * 50 * 3, dtype=np.uint16).reshape(3, 40, 50, 3)
    stored = zarr.array(stack, chunks=(1, 16, 16, 3))
    lazy = LazyPlane(stored, (2,), (slice(5, 25), slice(10, 40)))
    expected = stack[2, 5:25, 10:40]
    assert (lazy.shape, lazy.ndim, lazy.size) == (expected.shape, 3, expected.size)
    assert lazy.dtype == np.uint16
    np.testing.assert_array_equal(np.asarray(lazy), expected)
    for index in (..., slice(None), slice(3, 9), (slice(2, 30), slice(None)), (slice(4), slice(5))):
        np.testing.assert_array_equal(lazy[index], expected[index])


def test_regions_of_a_pyramid_cover_the_same_part_at_every_level():
    levels = [np.zeros((4, 101, 67)), np.zeros((4, 51, 34)), np.zeros((4, 25, 17))]
    coarse_planes = np.zeros((2, 25, 17))  # another number of planes
    found = lazy_levels([*levels, coarse_planes], (1,), (slice(20, 60), slice(0, 67)))
    assert [one.shape for one in found.levels] == [(40, 67), (21, 34), (11, 17)]
    again = lazy_levels(levels, (1,), (slice(20, 60), slice(0, 67)))
    assert lazy_key(found) == lazy_key(again)
    assert hash(lazy_key(found)) == hash(lazy_key(again))
    others = (
        lazy_levels(levels, (2,), (slice(20, 60), slice(0, 67))),
        lazy_levels(levels, (1,), (slice(20, 61), slice(0, 67))),
        lazy_levels([one.copy() for one in levels], (1,), (slice(20, 60), slice(0, 67))),
    )
    assert all(lazy_key(other) != lazy_key(found) for other in others)
    assert lazy_key(levels[0]) is None
