"""Edit single objects: merge, cut, delete, add. Each function returns new objects."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, find_objects
from skimage import measure
from skimage.draw import line

from ..labels.numbers import mapped
from ..segmentation import InvalidInputError
from .object_set import Objects, next_numbers

Point = tuple[int, int]
"""Row and column."""


def merge(objects: Objects, numbers: Collection[int]) -> Objects:
    """Make one object of several; it has the number and class of the first.

    Raises
    ------
    InvalidInputError
        For a number that no object has, and for fewer than two objects.
    """
    given = list(dict.fromkeys(numbers))
    if len(given) < 2:
        raise InvalidInputError("Only different objects can be merged. Give two or more.")
    for number in given:
        objects.class_of(number)
    new = np.where(np.isin(objects.ids, given), given[0], objects.ids).astype(np.int32)
    changed = objects.with_numbers(mapped(objects.numbers, objects.ids, new))
    return changed.with_labels({given[0]: objects.class_of(given[0])})


def cut(objects: Objects, start: Point, stop: Point, highest: int = 0) -> Objects:
    """Cut objects of a plane, or of all planes of a volume, along a straight line.

    Parameters
    ----------
    objects : Objects
        (Y, X) or (Z, Y, X).
    start, stop : (int, int)
        Ends of the line. Pixels of the line belong to the nearest part.
    highest : int
        The highest number ever used, if no present object has it.

    Returns
    -------
    Objects
        The largest part of an object that falls apart keeps its number; the others have new ones.
        Objects that the line does not divide are unchanged.

    Raises
    ------
    InvalidInputError
        As `object_set.next_numbers`.
    """
    rows, columns = line(*start, *stop)
    height, width = objects.numbers.shape[-2:]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    # A line of 8-connected pixels does not divide 8-connected regions, so that parts are
    # connected by sides here.
    on_line = np.zeros((height, width), bool)
    on_line[rows[inside], columns[inside]] = True
    numbers = objects.numbers.copy()
    highest = max(highest, int(objects.ids.max(initial=0)))
    hit = np.setdiff1d(objects.numbers[..., rows[inside], columns[inside]], 0)
    order = np.zeros(len(objects.ids), np.int32)
    order[np.searchsorted(objects.ids, hit)] = np.arange(1, len(hit) + 1)
    boxes = find_objects(mapped(objects.numbers, objects.ids, order), len(hit))
    for number, box in zip(hit.tolist(), boxes, strict=True):
        own = numbers[box] == number
        cutting = np.broadcast_to(on_line[box[-2:]], own.shape)
        parts, count = measure.label(own & ~cutting, connectivity=1, return_num=True)
        if count < 2:
            continue
        sizes = np.bincount(parts.ravel())[1:]
        new = next_numbers(highest, count - 1)
        highest += len(new)
        names = np.zeros(count + 1, np.int64)
        names[1:][np.argsort(-sizes, kind="stable")] = [number, *new]
        nearest = _nearest(parts, own & cutting)
        numbers[box][own] = names[np.where(parts > 0, parts, nearest)[own]]
    return objects.with_numbers(numbers)


def _nearest(parts: NDArray[Any], pixels: NDArray[np.bool_]) -> NDArray[Any]:
    """Give pixels without a part the part of the nearest pixel that has one."""
    found = np.zeros_like(parts)
    places = np.nonzero(pixels)
    index = distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
    found[places] = parts[tuple(axis[places] for axis in index)]
    return found


def delete(objects: Objects, numbers: Collection[int]) -> Objects:
    """Return the objects without some of them.

    Raises
    ------
    InvalidInputError
        For a number that no object has.
    """
    for number in numbers:
        objects.class_of(number)
    return objects.without(np.isin(objects.ids, list(numbers)))


def inside_box(objects: Objects, box: tuple[slice, ...]) -> list[int]:
    """Return the numbers of the objects that lie completely in a box, ascending.

    Of a volume, the box may have the rows and columns only.
    """
    planes = (slice(None),) * (objects.numbers.ndim - len(box))
    within, counts = np.unique(objects.numbers[(*planes, *box)], return_counts=True)
    own = np.isin(objects.ids, within)
    whole = objects.areas[own] == counts[within > 0]
    return [int(number) for number in objects.ids[own][whole]]


def add(objects: Objects, mask: NDArray[np.bool_], label: int, highest: int = 0) -> Objects:
    """Add an object with the next free number; it takes pixels of others.

    Parameters
    ----------
    objects : Objects
    mask : bool array
        Its pixels, in the shape of the objects.
    label : int
        Its class; 0 for none.
    highest : int
        The highest number ever used, if no present object has it.

    Raises
    ------
    InvalidInputError
        For a mask without a pixel or of another shape, and as `object_set.next_numbers`.
    """
    if mask.shape != objects.numbers.shape or not mask.any():
        raise InvalidInputError(
            f"The new object is a mask of {mask.shape} with {int(mask.sum())} pixels. Give one of "
            f"{objects.numbers.shape} with at least one pixel."
        )
    (number,) = next_numbers(max(highest, int(objects.ids.max(initial=0))))
    changed = objects.with_numbers(np.where(mask, np.int32(number), objects.numbers))
    return changed.with_labels({number: label})


def numbers_along(objects: Objects, path: Sequence[Point]) -> list[int]:
    """Return the numbers of the objects of a plane along a path of straight lines, in its order.

    Parameters
    ----------
    objects : Objects
        (Y, X).
    path : sequence of (int, int)
        One place or more; they may be outside of the plane.
    """
    height, width = objects.numbers.shape
    found: dict[int, None] = {}
    for start, stop in zip(path, path[1:] or path, strict=False):
        rows, columns = line(*start, *stop)
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        found |= dict.fromkeys(objects.numbers[rows[inside], columns[inside]].tolist())
    return [number for number in found if number]


def touches(objects: Objects, mask: NDArray[np.bool_], number: int) -> bool:
    """Return whether a mask overlaps an object, or touches it by a side or a corner."""
    boxes = find_objects(mask.astype(np.uint8))
    if not boxes:
        return False
    box = tuple(slice(max(one.start - 1, 0), one.stop + 1) for one in boxes[0])
    around = binary_dilation(mask[box], np.ones((3,) * mask.ndim, bool))
    return bool((objects.numbers[box][around] == number).any())


def redraw(objects: Objects, numbers: NDArray[np.int32], label: int) -> Objects:
    """Return the objects of a redrawn array; those with a new number have a class of their own.

    Parameters
    ----------
    objects : Objects
    numbers : int32 array
        In the shape of the objects.
    label : int
        The class of objects whose number no object had; 0 for none.
    """
    found = objects.with_numbers(numbers)
    labels = np.full(len(found.ids), label, np.uint16)
    old = np.isin(found.ids, objects.ids)
    labels[old] = objects.labels[np.searchsorted(objects.ids, found.ids[old])]
    return replace(found, labels=labels)
