"""Undo steps of a napari Labels layer: which part a step changes, and steps of many pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...annotation.edit_history import Box, union

Place = tuple[int | slice, ...]
"""A plane of an array, or a part of the plane: integers, then the slices of rows and columns."""

BYTES_OF_INDEX = 8


def part_of_step(step: Sequence[Any], shape: Sequence[int]) -> Box | None:
    """Return the smallest box with all pixels of an undo step; None if it cannot be told.

    Parameters
    ----------
    step : sequence
        What `Labels.events.paint` carries: changes that begin with a numpy index of the pixels.
    shape : sequence of int
        Of the layer's data.
    """
    boxes = []
    for index, *_ in step:
        if not isinstance(index, tuple) or len(index) != len(shape):
            return None
        parts = [_bounds(part, size) for part, size in zip(index, shape, strict=True)]
        boxes.append(tuple(slice(low, high) for low, high in parts))
    return union(boxes) if boxes else None


def _bounds(part: Any, size: int) -> tuple[int, int]:
    """Return the lowest position that an index selects on one axis, and the highest plus 1."""
    if isinstance(part, slice):
        low, high, _ = part.indices(size)
        return low, high
    positions = np.asarray(part)
    if positions.dtype == bool or not positions.size or positions.min() < 0:
        return 0, size
    return int(positions.min()), int(positions.max()) + 1


def smallest_part(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Return the rows and columns of the smallest part with all pixels of a mask; None if empty."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not rows.size:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def part_of(place: Place, part: tuple[slice, slice]) -> Place:
    """Return a part of a place: rows and columns that are counted from its corner."""
    corners = [(one.start or 0) if isinstance(one, slice) else 0 for one in place[-2:]]
    inner = (
        slice(corner + one.start, corner + one.stop)
        for corner, one in zip(corners, part, strict=True)
    )
    return (*place[:-2], *inner)


def write_step(
    layer: Labels,
    place: Place,
    labels: NDArray[np.integer],
    mask: NDArray[np.bool_],
    *,
    refresh: bool,
) -> None:
    """Write labels into a layer as one undo step.

    `Labels.data_setitem` writes few pixels. It takes an index of 8 bytes for each pixel and axis:
    many pixels are written, and kept for undo, as a part of the array or as a mask.

    Parameters
    ----------
    layer : Labels
        With a numpy array as data.
    place : tuple
        Integers, then the slices of rows and columns, with start and stop.
    labels : (Y, X) array of int
        The new labels of the place.
    mask : (Y, X) bool array
        The pixels that are written.
    refresh : bool
        Draw the layer.
    """
    data = layer.data
    plane = place[:-2]
    rows, columns = (part for part in place if isinstance(part, slice))
    count = int(np.count_nonzero(mask))
    index: tuple[Any, ...]
    if count == mask.size:
        index = place
        new = labels.astype(data.dtype)
    elif count * BYTES_OF_INDEX * data.ndim < data.shape[-2] * data.shape[-1]:
        starts = (rows.start, columns.start)
        found = (one + start for one, start in zip(mask.nonzero(), starts, strict=True))
        index = (*(np.full(count, position) for position in plane), *found)
        layer.data_setitem(index, labels[mask], refresh=refresh)
        return
    else:
        whole = np.zeros(data.shape[-2:], bool)
        whole[rows, columns] = mask
        index = (*plane, whole)
        new = labels[mask].astype(data.dtype)
    # There is no public way to add a step with such an index; `data_setitem` does the same.
    layer._save_history((index, np.array(data[index]), new))  # noqa: SLF001
    data[index] = new
    if refresh:
        layer.refresh()
