"""Undo steps of a napari Labels layer: which part a step changes, and steps of many pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...annotation.edit_history import Box, union

Place = tuple[int | slice, ...]
"""A plane or a part of an array: integers for the first axes, slices for the others."""

BYTES_OF_INDEX = 8


def part_of_step(step: Sequence[Any], shape: Sequence[int]) -> Box | None:
    """Return the smallest box with all pixels of an undo step; None if it is unknown.

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


def part_of(place: Place, part: Box) -> Place:
    """Return a part of a place, whose positions are counted from the corner of the place."""
    numbers = [one for one in place if not isinstance(one, slice)]
    corners = [one.start or 0 for one in place if isinstance(one, slice)]
    corners += [0] * (len(part) - len(corners))
    inner = (
        slice(corner + one.start, corner + one.stop)
        for corner, one in zip(corners, part, strict=True)
    )
    return (*numbers, *inner)


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
        With start and stop of each slice.
    labels : array of int
        The new labels of the place; kept.
    mask : bool array of the same shape
        The pixels that are written; kept.
    refresh : bool
        Draw the layer.
    """
    data = layer.data
    plane = tuple(one for one in place if not isinstance(one, slice))
    box = tuple(one for one in place if isinstance(one, slice))
    whole = data.shape[len(plane) :]
    count = int(np.count_nonzero(mask))
    index: tuple[Any, ...]
    if count == mask.size:
        index, old, new = place, data[place].copy(), labels.astype(data.dtype, copy=False)
    elif count * BYTES_OF_INDEX * data.ndim < math.prod(whole):
        found = (one + part.start for one, part in zip(mask.nonzero(), box, strict=True))
        index = (*(np.full(count, position) for position in plane), *found)
        layer.data_setitem(index, labels[mask], refresh=refresh)
        return
    else:
        if mask.shape == whole:
            chosen = mask
        else:
            chosen = np.zeros(whole, bool)
            chosen[box] = mask
        index, old = (*plane, chosen), data[place][mask]
        new = labels[mask].astype(data.dtype, copy=False)
    # There is no public way to add a step with such an index; `data_setitem` does the same.
    layer._save_history((index, old, new))  # noqa: SLF001
    data[place] = np.where(mask, labels, data[place])
    if refresh:
        layer.refresh()
