"""Link the objects of the planes of a stack with several axes, with classes and edits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .linking import LinkedObjects, link
from .object_set import Numbers, objects_of
from .plane_objects import PlaneObjects
from .tracking import link_moving

Plane = tuple[int, ...]
"""The indices of a plane along the leading axes of its stack."""


@dataclass(frozen=True)
class LinkEvent:
    """A split or merge of objects from one plane to the next.

    Parameters
    ----------
    kind : {'split', 'merge'}
    plane : tuple of int
        The plane of the object that splits, or that others have merged into.
    number : int
        Of that object.
    parts : tuple of int
        Numbers of the others, and of itself if it keeps its number; ascending.
    """

    kind: Literal["split", "merge"]
    plane: Plane
    number: int
    parts: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class LinkedPlanes:
    """The objects of planes with one number through the stack.

    Parameters
    ----------
    planes : mapping of tuple to PlaneObjects
    new : mapping of tuple to mapping
        For each plane, the new number of each earlier one.
    events : tuple of LinkEvent
        In the order of the planes.
    farthest : float
        The longest distance between frames, in pixels, if moving objects and gaps were linked; else
        0.
    depth : int or None
        The axis along which planes are volumes.
    """

    planes: Mapping[Plane, PlaneObjects]
    new: Mapping[Plane, Mapping[int, int]]
    events: tuple[LinkEvent, ...]
    farthest: float = 0.0
    depth: int | None = None

    @property
    def objects(self) -> int:
        """How many objects there are in all planes together."""
        return len(self._numbers)

    @property
    def linked(self) -> int:
        """How many of them are on more than one plane, or in more than one volume."""
        return sum(planes > 1 for planes in self._numbers.values())

    @property
    def _numbers(self) -> dict[int, int]:
        found: dict[Plane, list[NDArray[np.int64]]] = {}
        for at, one in self.planes.items():
            volume = at if self.depth is None else (*at[: self.depth], *at[self.depth + 1 :])
            found.setdefault(volume, []).append(one.objects.ids)
        every = [np.unique(np.concatenate(ids)) for ids in found.values()]
        numbers, planes = np.unique(np.concatenate([*every, []]), return_counts=True)
        return dict(zip(numbers.tolist(), planes.tolist(), strict=True))


def link_planes(
    planes: Mapping[Plane, PlaneObjects],
    highest: int = 0,
    *,
    moving: bool = False,
    depth: int | None = None,
    check: Callable[[], object] = lambda: None,
) -> LinkedPlanes:
    """Give the objects of a stack the same number from plane to plane.

    Parameters
    ----------
    planes : mapping of tuple to PlaneObjects
        By the indices of the plane, such as ``(t, z)``; all of one size. Planes may be missing.
        Planes are linked along the last axis first; the volumes then along the axis before.
    highest : int
        The highest number ever used, if no present object has it.
    moving : bool
        Whether objects that move up to their median diameter, or are missing for one frame, are
        linked too, by `tracking.link_moving`; only for stacks with one axis.
    depth : int, optional
        The axis along which objects have one number already, because planes were split as one
        volume; the volumes are linked along the other axes.
    check : callable
        Called for each plane; may raise an error to stop.

    Returns
    -------
    LinkedPlanes
        Only numbers differ: pixels, classes and edits stay.

    Raises
    ------
    InvalidInputError
        As `linking.link` and `tracking.link_moving`.
    """
    if depth is not None:
        return _link_volumes(planes, highest, depth, check)
    return _link(planes, highest, None, moving=moving, check=check)


def _link_volumes(
    planes: Mapping[Plane, PlaneObjects],
    highest: int,
    depth: int,
    check: Callable[[], object],
) -> LinkedPlanes:
    """Link volumes; for this, their axis is the last of the leading ones."""
    last = {(*at[:depth], *at[depth + 1 :], at[depth]): one for at, one in planes.items()}
    found = _link(last, highest, len(next(iter(planes))) - 1, moving=False, check=check)

    def back(at: Plane) -> Plane:
        return (*at[:depth], at[-1], *at[depth:-1])

    return LinkedPlanes(
        {back(at): one for at, one in found.planes.items()},
        {back(at): one for at, one in found.new.items()},
        tuple(replace(one, plane=back(one.plane)) for one in found.events),
        depth=depth,
    )


def _link(
    planes: Mapping[Plane, PlaneObjects],
    highest: int,
    depth: int | None,
    *,
    moving: bool,
    check: Callable[[], object],
) -> LinkedPlanes:
    """Link along all axes except that of volumes, the last axis first."""
    leading = tuple(max(one) + 1 for one in zip(*planes, strict=True))
    sides = next(iter(planes.values())).objects.numbers.shape
    numbers = np.zeros((*leading, *sides), np.int32)
    for at, plane in planes.items():
        numbers[at] = plane.objects.numbers
    found: list[LinkEvent] = []
    farthest = 0.0
    for axis in reversed([axis for axis in range(len(leading)) if axis != depth]):
        for first in np.ndindex(leading[:axis]):
            before = numbers[first]
            objects = objects_of(before)
            if moving and len(leading) == 1 and len(objects.ids):
                farthest = 2 * math.sqrt(float(np.median(objects.areas)) / math.pi)
                linked = link_moving(objects, farthest, highest=highest)
            else:
                linked = link(objects, highest, check)
            for index in range(leading[axis]):
                new = _new_numbers(before[index], linked.objects.numbers[index])
                inside = (*first, index)
                found = [_renumbered(one, inside, new) for one in found]
            found += _events(linked, first)
            numbers[first] = linked.objects.numbers
            highest = max(highest, int(linked.objects.ids.max(initial=0)))
    new_by_plane = {}
    after = {}
    for at, plane in planes.items():
        new_by_plane[at] = _new_numbers(plane.objects.numbers, numbers[at])
        after[at] = replace(plane, edited=plane.edited.renumbered(new_by_plane[at]))
    found.sort(key=lambda one: (one.plane, one.number))
    return LinkedPlanes(after, new_by_plane, tuple(found), farthest)


def _new_numbers(before: Numbers, after: Numbers) -> dict[int, int]:
    """The new number of each earlier one."""
    inside = before > 0
    earlier, first = np.unique(before[inside], return_index=True)
    return dict(zip(earlier.tolist(), after[inside][first].tolist(), strict=True))


def _renumbered(event: LinkEvent, inside: Plane, new: Mapping[int, int]) -> LinkEvent:
    """Return an event with the new numbers of its objects."""
    if event.plane[: len(inside)] != inside:
        return event
    parts = tuple(sorted(new.get(one, one) for one in event.parts))
    return replace(event, number=new.get(event.number, event.number), parts=parts)


def _events(linked: LinkedObjects, first: Plane) -> Iterator[LinkEvent]:
    """Splits and merges with the planes of their objects."""
    numbers = linked.objects.numbers

    def plane_of(index: int, number: int) -> Plane:
        pixels = (numbers[index] == number).sum(axis=(-2, -1))
        largest = np.unravel_index(int(np.argmax(pixels)), pixels.shape) if pixels.ndim else ()
        return (*first, index, *map(int, largest))

    for split in linked.splits:
        yield LinkEvent("split", plane_of(split.plane, split.number), split.number, split.into)
    for merge in linked.merges:
        after = next(
            index
            for index in range(merge.plane + 1, len(numbers))
            if (numbers[index] == merge.into).any()
        )
        yield LinkEvent("merge", plane_of(after, merge.into), merge.into, merge.numbers)
