"""Objects of an image as a numbered array and one class per number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import find_objects

from ..labels.numbers import mapped, without_gaps
from ..segmentation import InvalidInputError

Numbers = NDArray[np.int32]
"""The number of each pixel's object; 0 outside of every object."""

HIGHEST = int(np.iinfo(np.int32).max)
"""The highest number that an object can have."""

Side = tuple[int, int]
"""A side of an array: the axis, and 0 for its first or -1 for its last index."""


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of an image or stack.

    Parameters
    ----------
    numbers : (..., Y, X) int32 array
        The number of each pixel's object; 0 outside of every object. Gaps are allowed.
    ids : (N,) int64 array
        The numbers that occur, ascending.
    labels : (N,) uint16 array
        The label of the class of each object; 0 for an object without a class.
    areas : (N,) int64 array
        Size in pixels.
    diameters : mapping of int to float
        Typical diameter by label, in pixels (see `splitting.split`); empty if not estimated.
    smaller, at_border : int
        How many objects were left out for their size, and of the others for touching the border.
    """

    numbers: Numbers
    ids: NDArray[np.int64]
    labels: NDArray[np.uint16]
    areas: NDArray[np.int64]
    diameters: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    smaller: int = 0
    at_border: int = 0

    def class_of(self, number: int) -> int:
        """Return the label of an object's class.

        Raises
        ------
        InvalidInputError
            For a number that no object has.
        """
        index = int(np.searchsorted(self.ids, number))
        if index == len(self.ids) or self.ids[index] != number:
            raise InvalidInputError(f"There is no object {number}.")
        return int(self.labels[index])

    def label_array(self) -> NDArray[np.uint16]:
        """Return the class label of every pixel, in the shape of `numbers`."""
        found: NDArray[np.uint16] = mapped(self.numbers, self.ids, self.labels)
        return found

    def with_labels(self, labels: Mapping[int, int]) -> Objects:
        """Return the objects with other classes.

        Parameters
        ----------
        labels : mapping of int to int
            The new label by object number; objects that it does not name keep theirs.
        """
        new = self.labels.copy()
        for number, label in labels.items():
            self.class_of(number)
            new[np.searchsorted(self.ids, number)] = label
        return replace(self, labels=new)

    def with_numbers(self, numbers: Numbers, box: tuple[slice, ...] = ()) -> Objects:
        """Return the objects of an array with changed pixels; faster than `objects_of`.

        An object that gained pixels gets the class that most of its pixels had; of equal counts,
        the lowest label.

        Parameters
        ----------
        numbers : int32 array
            In the shape of the present one.
        box : tuple of slice, optional
            A part that contains all changes.

        Raises
        ------
        InvalidInputError
            For numbers below 0.
        """
        before, after = self.numbers[box], numbers[box]
        differ = before != after
        given = after[differ]
        if given.size:
            _check_range((int(given.min()), int(given.max())))
        moved = (before[differ].astype(np.int64) << 32) + given
        pairs, counts = np.unique(moved, return_counts=True)
        moves = [
            (*divmod(pair, 1 << 32), n) for pair, n in zip(pairs.tolist(), counts, strict=True)
        ]
        ids = self.ids.tolist()
        areas = dict(zip(ids, self.areas.tolist(), strict=True))
        labels = dict(zip(ids, self.labels.tolist(), strict=True))
        for old, _, count in moves:
            if old:
                areas[old] -= count
        votes: dict[int, Counter[int]] = {}
        for old, new, count in moves:
            if new:
                own = votes.setdefault(new, Counter({labels.get(new, 0): areas.get(new, 0)}))
                own[labels.get(old, 0)] += count
        for number, own in votes.items():
            areas[number] = own.total()
            labels[number] = min((-count, label) for label, count in own.items())[1]
        left = sorted(number for number, area in areas.items() if area)
        return replace(
            self,
            numbers=numbers,
            ids=np.array(left, np.int64),
            labels=np.array([labels[number] for number in left], np.uint16),
            areas=np.array([areas[number] for number in left], np.int64),
        )

    def differing(self, numbers: Numbers) -> NDArray[np.bool_]:
        """Return which objects have other pixels than in another array of the shape, (N,)."""
        differ = self.numbers != numbers
        changed = np.union1d(self.numbers[differ], numbers[differ])
        return np.isin(self.ids, changed)

    def cropped(self, chosen: NDArray[np.bool_]) -> tuple[Objects, tuple[slice, ...]]:
        """Return the objects marked in `chosen`, (N,) bool, at least one, and their bounding box.

        Their `numbers` are those inside of the box.
        """
        own = mapped(self.numbers, self.ids, chosen)
        (box,) = find_objects(own.view(np.uint8))
        numbers = np.where(own[box], self.numbers[box], np.int32(0))
        return replace(self.without(~chosen), numbers=numbers), box

    def counts(self) -> dict[int, int]:
        """Return the number of objects of each label that has one."""
        found, counts = np.unique(self.labels, return_counts=True)
        return dict(zip(found.tolist(), counts.tolist(), strict=True))

    def largest_of(self, label: int) -> int:
        """Return the number of the largest object of a label; 0 if there is none."""
        own = np.flatnonzero(self.labels == label)
        return int(self.ids[own[np.argmax(self.areas[own])]]) if len(own) else 0

    def box_of(self, number: int) -> tuple[slice, ...]:
        """Return the bounding box of an object, a slice for each axis.

        Raises
        ------
        InvalidInputError
            For a number that no object has.
        """
        self.class_of(number)
        (box,) = find_objects((self.numbers == number).view(np.uint8))
        return box

    def without(self, left_out: NDArray[np.bool_]) -> Objects:
        """Return the objects except those marked in `left_out`, (N,) bool."""
        if not left_out.any():
            return self
        return replace(
            self,
            numbers=mapped(
                self.numbers, self.ids, np.where(left_out, 0, self.ids).astype(np.int32)
            ),
            ids=self.ids[~left_out],
            labels=self.labels[~left_out],
            areas=self.areas[~left_out],
        )

    def areas_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the sizes of objects in pixels by their numbers, which all occur."""
        found: NDArray[np.int64] = self.areas[np.searchsorted(self.ids, numbers)]
        return found

    def at_sides(self, sides: Iterable[Side]) -> NDArray[np.bool_]:
        """Return which objects have a pixel at one of the sides of the array, (N,) bool."""
        edges = [np.take(self.numbers, end, axis).ravel() for axis, end in sides]
        found: NDArray[np.bool_] = np.isin(self.ids, np.concatenate([*edges, [0]]))
        return found


def sides_of(ndim: int, axes: int | None = None) -> list[Side]:
    """Return all sides of an array along its last axes.

    Parameters
    ----------
    ndim : int
    axes : int, optional
        How many axes have sides: 2 for planes, 3 for volumes. Default: all.
    """
    first = 0 if axes is None else ndim - axes
    return [(axis, end) for axis in range(first, ndim) for end in (0, -1)]


def next_numbers(highest: int, count: int = 1) -> range:
    """Return the numbers of new objects.

    Parameters
    ----------
    highest : int
        The highest number ever used.
    count : int
        How many objects are new.

    Raises
    ------
    InvalidInputError
        If there are not as many numbers above it.
    """
    if highest + count > HIGHEST:
        raise InvalidInputError(
            f"The highest object number is {highest}, and numbers end at {HIGHEST}. Renumber the "
            "objects from 1, such as with skimage.segmentation.relabel_sequential."
        )
    return range(highest + 1, highest + count + 1)


def objects_of(numbers: NDArray[np.integer], labels: NDArray[Any] | None = None) -> Objects:
    """Describe the objects of a numbered array, with the numbers that it has.

    Parameters
    ----------
    numbers : (..., Y, X) array of int
        0 belongs to no object; numbers up to 2147483647.
    labels : (..., Y, X) array of unsigned int, optional
        Class labels of the pixels. The class of an object is that of most of its pixels; of equal
        counts the lowest label. Without labels, objects have no class.

    Returns
    -------
    Objects

    Raises
    ------
    InvalidInputError
        For numbers below 0 or above 2147483647, and arrays of different shapes.
    """
    if numbers.size:
        _check_range((int(numbers.min()), int(numbers.max())))
    own = numbers.astype(np.int32, copy=False)
    dense, ids, areas = without_gaps(own)
    if labels is None:
        of_object = np.zeros(len(ids), np.uint16)
    else:
        if labels.shape != numbers.shape:
            raise InvalidInputError(
                f"The objects {numbers.shape} and the labels {labels.shape} differ in size."
            )
        inside = dense > 0
        counts = overlaps(dense[inside], labels[inside], len(ids), int(labels.max(initial=0)))
        of_object = np.asarray(counts.argmax(axis=1)).ravel()[1:].astype(np.uint16)
    return Objects(own, ids, of_object, areas)


def _check_range(numbers: Collection[int]) -> None:
    low, high = min(numbers, default=0), max(numbers, default=0)
    if low < 0 or high > HIGHEST:
        raise InvalidInputError(
            f"Object numbers are from {low} to {high}, but only 0 to {HIGHEST} are supported. "
            "Renumber the objects from 1."
        )


def no_objects(shape: tuple[int, ...]) -> Objects:
    """Describe an array without objects; unlike `objects_of`, it reads no pixel."""
    nothing = np.zeros(0, np.int64)
    return Objects(np.zeros(shape, np.int32), nothing, nothing.astype(np.uint16), nothing)


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of equal numbers along the last axis, without 0, in the order of the pixels.

    Parameters
    ----------
    number : (R,) int array
    first : tuple of (R,) int arrays
        The index of the first pixel along each axis.
    length : (R,) int array
    """

    number: NDArray[np.integer]
    first: tuple[NDArray[np.intp], ...]
    length: NDArray[np.intp]


def runs_of(numbers: NDArray[np.integer]) -> Runs:
    """Find the runs of equal numbers along the last axis of an array."""
    starts = np.empty(numbers.shape, bool)
    starts[..., :1] = True
    np.not_equal(numbers[..., 1:], numbers[..., :-1], out=starts[..., 1:])
    begin = np.flatnonzero(starts)
    length = np.diff(begin, append=numbers.size)
    number = numbers.ravel()[begin]
    kept = number > 0
    first = np.unravel_index(begin[kept], numbers.shape)
    return Runs(number[kept], first, length[kept])


def overlaps(
    first: NDArray[np.integer], second: NDArray[np.integer], high: int, other: int
) -> sparse.csr_array:
    """Count the pixels that each pair of numbers of two arrays has in common.

    Parameters
    ----------
    first, second : arrays of int of the same shape
        From 0 to `high` and `other`.
    high, other : int

    Returns
    -------
    (high + 1, other + 1) sparse array of int
    """
    pairs = (first.ravel(), second.ravel())
    ones = np.ones(first.size, np.int32)
    return sparse.coo_array((ones, pairs), shape=(high + 1, other + 1)).tocsr()


def shared_pixels(
    first: Objects, second: Objects
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count the pixels that objects of two sets have in common.

    Parameters
    ----------
    first, second : Objects
        Of the same shape.

    Returns
    -------
    one, other : (P,) int arrays
        Pairs of objects that share a pixel, as indices into `Objects.ids` of each set.
    pixels : (P,) int array
        How many they share.
    """
    both = (first.numbers > 0) & (second.numbers > 0)
    index = [
        mapped(one.numbers[both], one.ids, np.arange(1, len(one.ids) + 1, dtype=np.int32))
        for one in (first, second)
    ]
    found = overlaps(index[0], index[1], len(first.ids), len(second.ids)).tocoo()
    row, column, pixels = (np.asarray(one, np.int64) for one in (found.row, found.col, found.data))
    return row - 1, column - 1, pixels
