"""Link the objects of planes or frames, so that an object keeps its number from one to the next.

Objects of neighbouring planes are matched by their overlap: the pairs with the highest sum of IoU
are found with `scipy.optimize.linear_sum_assignment`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from ..labels.numbers import mapped
from ..segmentation import InvalidInputError
from .object_set import Objects, next_numbers, objects_of, shared_pixels

LEAST_OVERLAP = 0.1
"""Lowest IoU of two objects that are linked."""

COVERED = 0.5
"""An object comes from another one that covers at least this share of it."""


@dataclass(frozen=True)
class Split:
    """An object that becomes several objects in the next plane.

    Parameters
    ----------
    plane : int
        Index of the plane before the split.
    number : int
        Number of the object.
    into : tuple of int
        Numbers of the objects in the next plane, ascending.
    """

    plane: int
    number: int
    into: tuple[int, ...]


@dataclass(frozen=True)
class Merge:
    """Several objects that become one object in the next plane.

    Parameters
    ----------
    plane : int
        Index of the plane before the merge.
    numbers : tuple of int
        Numbers of the objects, ascending.
    into : int
        Number of the object in the next plane.
    """

    plane: int
    numbers: tuple[int, ...]
    into: int


@dataclass(frozen=True, eq=False)
class LinkedObjects:
    """Objects with one number through all planes.

    Parameters
    ----------
    objects : Objects
        Of the whole stack.
    splits : tuple of Split
    merges : tuple of Merge
        In the order of the planes.
    """

    objects: Objects
    splits: tuple[Split, ...]
    merges: tuple[Merge, ...]


def link(
    objects: Objects, highest: int = 0, check: Callable[[], object] = lambda: None
) -> LinkedObjects:
    """Give objects of successive planes the same number where they overlap.

    Parameters
    ----------
    objects : Objects
        Of a stack; each plane or volume along the first axis, such as time or depth, has its own
        objects.
    highest : int
        The highest number ever used, if no present object has it.
    check : callable
        Called before each plane; may raise an error to stop.

    Returns
    -------
    LinkedObjects
        A linked object has the number that it had in its first plane, and the class of most of its
        pixels. Of the parts of a split object, the one with the highest overlap keeps the number;
        merged objects have the number of the one with the highest overlap.

    Raises
    ------
    InvalidInputError
        For an array without a leading axis, and as `object_set.next_numbers`.
    """
    if objects.numbers.ndim < 3:
        raise InvalidInputError(
            f"Objects with {objects.numbers.ndim} dimensions cannot be linked. Give a stack of "
            "planes, such as one through time or depth."
        )
    linked = np.zeros_like(objects.numbers)
    splits: list[Split] = []
    merges: list[Merge] = []
    chosen = LinkedNumbers(max(highest, int(objects.ids.max(initial=0))))
    before: Objects | None = None
    for index, plane in enumerate(objects.numbers):
        check()
        now = objects_of(plane)
        pairs = None if before is None else _overlaps_of(before, now)
        if before is None or pairs is None:
            numbers = chosen.numbers_of(now, {})
        else:
            assigned = {
                other: int(before.ids[one]) for one, other in _assigned(pairs, len(before.ids))
            }
            numbers = chosen.numbers_of(now, assigned)
            splits += _splits(index - 1, pairs, before.ids, numbers)
            merges += _merges(index - 1, pairs, before.ids, numbers)
        linked[index] = mapped(plane, now.ids, numbers.astype(np.int32))
        before = objects_of(linked[index])
    found = objects_of(linked, objects.label_array())
    return LinkedObjects(found, tuple(splits), tuple(merges))


class LinkedNumbers:
    """The numbers of objects plane by plane: linked ones, own ones, and new ones.

    Parameters
    ----------
    highest : int
        New numbers are above it.
    """

    def __init__(self, highest: int) -> None:
        self._highest = highest
        self._used: set[int] = set()

    def numbers_of(self, plane: Objects, linked: Mapping[int, int]) -> NDArray[np.int64]:
        """Return the numbers of the objects of the next plane, (N,).

        Parameters
        ----------
        plane : Objects
        linked : mapping of int to int
            The number of each linked object, by its index in `plane`. The others keep their
            number if no object of an earlier plane has it.
        """
        self._used |= set(linked.values())
        numbers = np.zeros(len(plane.ids), np.int64)
        for index, own in enumerate(plane.ids.tolist()):
            number = linked.get(index, own)
            if index not in linked and own in self._used:
                (number,) = next_numbers(self._highest)
                self._highest = number
            numbers[index] = number
            self._used.add(number)
        return numbers


@dataclass(frozen=True, eq=False)
class _Overlaps:
    """Pairs of objects of two planes that share a pixel, as indices, and how much they share.

    Attributes
    ----------
    before, now : (P,) int arrays
    iou : (P,) float array
    of_before, of_now : (P,) float arrays
        Shared pixels as a share of each object.
    """

    before: NDArray[np.int64]
    now: NDArray[np.int64]
    iou: NDArray[np.float64]
    of_before: NDArray[np.float64]
    of_now: NDArray[np.float64]


def _overlaps_of(before: Objects, now: Objects) -> _Overlaps:
    one, other, shared = shared_pixels(before, now)
    first, second = before.areas[one], now.areas[other]
    return _Overlaps(
        one, other, shared / (first + second - shared), shared / first, shared / second
    )


def _assigned(pairs: _Overlaps, count: int) -> Iterator[tuple[int, int]]:
    """The pairs that are linked, by the assignment within each group of overlapping objects."""
    good = pairs.iou >= LEAST_OVERLAP
    one, other, iou = pairs.before[good], pairs.now[good], pairs.iou[good]
    if not len(one):
        return
    size = count + int(other.max()) + 1
    graph = sparse.coo_array((np.ones(len(one)), (one, count + other)), shape=(size, size))
    _, group_of = sparse.csgraph.connected_components(graph, directed=False)
    group = group_of[one]
    order = np.argsort(group, kind="stable")
    bounds = np.flatnonzero(np.diff(group[order])) + 1
    for members in np.split(order, bounds):
        rows, row_of = np.unique(one[members], return_inverse=True)
        columns, column_of = np.unique(other[members], return_inverse=True)
        table = np.zeros((len(rows), len(columns)))
        table[row_of, column_of] = iou[members]
        for row, column in zip(*linear_sum_assignment(table, maximize=True), strict=True):
            if table[row, column] > 0:
                yield int(rows[row]), int(columns[column])


def _splits(
    plane: int, pairs: _Overlaps, before: NDArray[np.int64], now: NDArray[np.int64]
) -> Iterator[Split]:
    inside = pairs.of_now > COVERED
    for number, parts in _several(before[pairs.before[inside]], now[pairs.now[inside]]):
        yield Split(plane, number, parts)


def _merges(
    plane: int, pairs: _Overlaps, before: NDArray[np.int64], now: NDArray[np.int64]
) -> Iterator[Merge]:
    inside = pairs.of_before > COVERED
    for number, parts in _several(now[pairs.now[inside]], before[pairs.before[inside]]):
        yield Merge(plane, parts, number)


def _several(
    wholes: NDArray[np.int64], parts: NDArray[np.int64]
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Each whole with more than one part, and its parts."""
    found, counts = np.unique(wholes, return_counts=True)
    for whole in found[counts > 1].tolist():
        yield whole, tuple(sorted(parts[wholes == whole].tolist()))
