"""Objects of several planes as one array, so that they can be split or edited together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..labels.label_class import ClassRow
from .edited_objects import EditedObjects
from .object_set import Objects, objects_of
from .plane_objects import Classes, ObjectsChoice, PlaneObjects


@dataclass(frozen=True, eq=False)
class PlaneLabels:
    """Class labels of a plane.

    Parameters
    ----------
    labels : (Y, X) array of unsigned int
        Of the plane or of a region of it.
    classes : mapping of int to ClassRow
    region : (slice, slice), optional
    """

    labels: NDArray[Any]
    classes: Classes
    region: tuple[slice, slice] | None = None


def split_volume(
    earlier: Sequence[PlaneObjects],
    labels: Sequence[PlaneLabels | None],
    choice: ObjectsChoice,
    *,
    highest: int = 0,
    spacing: Sequence[float] | None = None,
) -> PlaneObjects:
    """Split the labels of planes as one volume; unchanged objects keep numbers, edited ones stay.

    Parameters
    ----------
    earlier : sequence of PlaneObjects
        (Y, X), the objects of each plane so far.
    labels : sequence of PlaneLabels or None
        Of each plane, whose classes may have different labels. A plane without labels keeps what
        its objects cover.
    choice : ObjectsChoice
    highest : int
        The highest number ever used.
    spacing : sequence of float, optional
        Pixel size along Z, Y and X; see `splitting.split`.

    Returns
    -------
    PlaneObjects
        (Z, Y, X); `unstacked` has those of each plane.
    """
    shape = earlier[0].objects.numbers.shape
    known = [
        PlaneLabels(one.objects.label_array(), one.classes) if own is None else own
        for own, one in zip(labels, earlier, strict=True)
    ]
    classes = common_classes([one.classes for one in (*filter(None, labels), *known)])
    label_of = {row.name.casefold(): label for label, row in classes.items()}
    volume = np.zeros((len(known), *shape), np.uint16)
    for plane, one in zip(volume, known, strict=True):
        new = np.zeros(int(one.labels.max(initial=0)) + 1, np.uint16)
        for label, row in one.classes.items():
            if label < len(new):
                new[label] = label_of[row.name.casefold()]
        plane[one.region or ...] = new[one.labels]
    return stacked(earlier).split_again(volume, classes, choice, highest=highest, spacing=spacing)


def volumes_of(leading: Sequence[int], depth: int | None) -> Iterator[list[tuple[int, ...]]]:
    """Yield the indices of the planes of each volume of a stack.

    Parameters
    ----------
    leading : sequence of int
        Lengths of the leading axes.
    depth : int or None
        The axis Z; None for one plane at a time.
    """
    lengths = [1 if axis == depth else length for axis, length in enumerate(leading)]
    for index in np.ndindex(*lengths):
        if depth is None:
            yield [index]
        else:
            yield [(*index[:depth], at, *index[depth + 1 :]) for at in range(leading[depth])]


def common_classes(planes: Sequence[Classes]) -> dict[int, ClassRow]:
    """Return the classes of all planes, each name once; labels of the first plane stay."""
    found = dict(planes[0])
    known = {row.name.casefold() for row in found.values()}
    for classes in planes[1:]:
        for row in classes.values():
            if row.name.casefold() not in known:
                known.add(row.name.casefold())
                found[max(found, default=0) + 1] = row
    return found


def stacked(planes: Sequence[PlaneObjects]) -> PlaneObjects:
    """Return the objects of planes of equal size as those of a volume.

    Parameters
    ----------
    planes : sequence of PlaneObjects
        At least one, (Y, X).

    Returns
    -------
    PlaneObjects
        (P, Y, X). An object with the same number on several planes is one object. It is edited if
        it is edited on one of them, and has the class that was edited, or else that of most pixels.
    """
    classes = common_classes([one.classes for one in planes])
    own = [one.with_classes(classes).edited for one in planes]
    numbers = np.stack([one.objects.numbers for one in own])
    edited = frozenset[int]().union(*(one.edited for one in own))
    every = np.concatenate([one.objects.ids for one in own])
    areas = np.concatenate([one.objects.areas for one in own])
    by_hand = [np.isin(one.objects.ids, list(one.edited)) for one in own]
    votes = np.where(np.concatenate(by_hand), areas + numbers.size, areas)
    ids, of_object = np.unique(every, return_inverse=True)
    labels = np.concatenate([one.objects.labels for one in own])
    objects = Objects(
        numbers,
        ids,
        _most(of_object, labels, votes, len(ids)),
        np.bincount(of_object, areas, len(ids)).astype(np.int64),
        own[0].objects.diameters,
        own[0].objects.smaller,
        own[0].objects.at_border,
    )
    return PlaneObjects(
        EditedObjects(
            objects,
            edited,
            np.stack([one.removed for one in own]),
            np.stack([one.remembered for one in own]),
            max(one.highest for one in own),
        ),
        classes,
    )


def unstacked(volume: PlaneObjects) -> list[PlaneObjects]:
    """Return the objects of each plane of a volume, (Y, X); areas are those in the plane."""
    edited, objects = volume.edited, volume.objects
    found = []
    for numbers, removed, remembered in zip(
        objects.numbers, edited.removed, edited.remembered, strict=True
    ):
        here = objects_of(numbers)
        labels = objects.labels[np.searchsorted(objects.ids, here.ids)]
        own = replace(objects, numbers=numbers, ids=here.ids, labels=labels, areas=here.areas)
        by_hand = edited.edited & {*here.ids.tolist()}
        found.append(
            PlaneObjects(
                EditedObjects(own, by_hand, removed, remembered, edited.highest), volume.classes
            )
        )
    return found


def _most(
    of_object: NDArray[np.intp], labels: NDArray[np.uint16], votes: NDArray[np.int64], count: int
) -> NDArray[np.uint16]:
    """The label with the most votes for each object; of equal ones the lowest."""
    pair = of_object.astype(np.int64) * (1 << 16) + labels
    pairs, index = np.unique(pair, return_inverse=True)
    total = np.bincount(index, votes, len(pairs))
    order = np.lexsort((-pairs, total, pairs >> 16))
    found = np.zeros(count, np.uint16)
    found[pairs[order] >> 16] = pairs[order] & 0xFFFF  # the last of each object wins
    return found
