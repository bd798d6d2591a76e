"""Planes and regions of arrays that are read where they are indexed. No Qt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...segmentation import Composite, LazyArray, Pyramid

Sides = tuple[slice, slice]


class LazyPlane(LazyArray):
    """A region of one plane of an array; equal for the same region of the same array.

    Parameters
    ----------
    array : (..., Y, X) or (..., Y, X, C) array
        Of any library, such as dask or zarr.
    plane : tuple of int
        Indices of the leading axes.
    region : (slice, slice)
        Rows and columns.
    """

    def __init__(self, array: Any, plane: tuple[int, ...], region: Sides) -> None:
        self._array, self._plane, self._region = array, plane, region
        sides = tuple(part.stop - part.start for part in region)
        self.shape = (*sides, *(int(n) for n in array.shape[len(plane) + 2 :]))
        self.dtype = np.dtype(array.dtype)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read a part: slices of rows and columns, in pixels of the region."""
        inside = []
        for part, whole in zip(self._parts(index)[:2], self._region, strict=True):
            start, stop, _ = part.indices(whole.stop - whole.start)
            inside.append(slice(whole.start + start, whole.start + stop))
        return np.asarray(self._array[(*self._plane, *inside)])

    def __eq__(self, other: object) -> bool:
        """Whether another one reads the same pixels."""
        return isinstance(other, LazyPlane) and (
            self._array is other._array and self._key == other._key
        )

    def __hash__(self) -> int:
        """Hash of the array's identity, the plane and the region."""
        return hash((id(self._array), self._key))

    @property
    def _key(self) -> tuple[Any, ...]:
        return self._plane, tuple((part.start, part.stop) for part in self._region)


def lazy_levels(levels: Sequence[Any], plane: tuple[int, ...], region: Sides) -> Any:
    """Return a region of a plane as a `LazyPlane`, or as a `Pyramid` of them.

    Parameters
    ----------
    levels : sequence of (..., Y, X) or (..., Y, X, C) arrays
        The largest first.
    plane : tuple of int
        Indices of the leading axes, the same at all levels. Levels with fewer planes are left out.
    region : (slice, slice)
        Rows and columns, in pixels of the largest level.
    """
    axes = len(plane)
    whole = levels[0].shape[: axes + 2]
    planes = []
    for level in levels:
        if tuple(level.shape[:axes]) == tuple(whole[:axes]):
            sides = zip(region, level.shape[axes : axes + 2], whole[axes:], strict=True)
            planes.append(LazyPlane(level, plane, _scaled(list(sides))))
    return planes[0] if len(planes) == 1 else Pyramid(planes)


def lazy_key(image: Any) -> tuple[Any, ...] | None:
    """Return a key that is equal for the same lazy image; None for one in memory."""
    if isinstance(image, LazyPlane):
        return (image,)
    if isinstance(image, Pyramid):
        return tuple(image.levels)
    if isinstance(image, Composite) and any(isinstance(one, LazyPlane) for one in image.planes):
        return (*image.planes, str(image.record))
    return None


def _scaled(sides: list[tuple[slice, int, int]]) -> Sides:
    """A region in pixels of a level, at least one pixel wide."""
    found = []
    for part, have, full in sides:
        start = min(math.floor(part.start * have / full), have - 1)
        stop = max(math.ceil(part.stop * have / full), start + 1)
        found.append(slice(start, min(stop, have)))
    rows, columns = found
    return rows, columns
