"""Keep the numbers of objects when labels are split again, in whole or in part."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..labels.numbers import mapped
from .object_set import Numbers, Objects, next_numbers, objects_of, shared_pixels
from .splitting import SplitSettings, split, split_planes

REACH = 96
"""Margin around a region, in pixels, in which labels are split too, so that objects are whole."""


def keep_numbers(objects: Objects, numbers: Numbers, highest: int = 0) -> Objects:
    """Return objects with the numbers of earlier ones where they are the same.

    Parameters
    ----------
    objects : Objects
    numbers : int32 array
        Earlier numbers, in the shape of the objects.
    highest : int
        The highest number ever used, if it is no longer in `numbers`.

    Returns
    -------
    Objects
        An object that shares more than half of its pixels with an earlier one, counting the
        pixels of both (IoU > 0.5), has its number. The others have new ones.

    Raises
    ------
    InvalidInputError
        As `next_numbers`.
    """
    earlier = objects_of(numbers)
    own, other, common = shared_pixels(objects, earlier)
    union = objects.areas[own] + earlier.areas[other] - common
    same = 2 * common > union
    new = np.zeros(len(objects.ids), np.int64)
    new[own[same]] = earlier.ids[other[same]]
    fresh = new == 0
    highest = max(highest, int(earlier.ids.max(initial=0)))
    new[fresh] = next_numbers(highest, int(np.count_nonzero(fresh)))
    order = np.argsort(new)
    return replace(
        objects,
        numbers=mapped(objects.numbers, objects.ids, new.astype(np.int32)),
        ids=new[order],
        labels=objects.labels[order],
        areas=objects.areas[order],
    )


def split_again(
    labels: NDArray[Any],
    earlier: Objects,
    settings: SplitSettings | None = None,
    *,
    edited: Collection[int] = (),
    highest: int = 0,
    spacing: Sequence[float] | None = None,
    planes: bool = False,
) -> Objects:
    """Split changed labels; unchanged objects keep their numbers, and edited ones their pixels.

    Parameters
    ----------
    labels : array of unsigned int
    earlier : Objects
        Of the same shape.
    settings : SplitSettings, optional
    edited : collection of int
        Numbers of earlier objects that stay as they are, whatever the labels are.
    highest : int
        As in `keep_numbers`.
    spacing : sequence of float, optional
        As in `split`.
    planes : bool
        Whether each plane is split on its own.

    Returns
    -------
    Objects
    """
    found = (split_planes if planes else split)(labels, settings, spacing=spacing)
    return keep_edits(found, earlier, edited, highest=highest)


def keep_edits(
    found: Objects,
    earlier: Objects,
    edited: Collection[int] = (),
    *,
    removed: NDArray[np.bool_] | None = None,
    remembered: Numbers | None = None,
    highest: int = 0,
) -> Objects:
    """Return newly found objects; unchanged ones have their earlier numbers, edited ones stay.

    Parameters
    ----------
    found : Objects
    earlier : Objects
        Of the same shape.
    edited : collection of int
        Numbers of earlier objects that stay as they are.
    removed : bool array, optional
        Pixels of deleted objects.
    remembered : int32 array, optional
        Numbers to keep, such as those of `remember`. Default: those of `earlier`.
    highest : int
        As in `keep_numbers`.

    Returns
    -------
    Objects
        Found objects with more than half of their pixels in edited objects or in `removed` are
        left out. The others lose their pixels in edited objects.
    """
    kept = np.isin(earlier.ids, list(edited))
    fixed = mapped(earlier.numbers, earlier.ids, kept)
    blocked = fixed if removed is None else fixed | removed
    if blocked.any():
        inside = np.searchsorted(found.ids, found.numbers[blocked & (found.numbers > 0)])
        covered = np.bincount(inside, minlength=len(found.ids))
        found = found.without(2 * covered > found.areas)
        if fixed.any():
            cut = objects_of(np.where(fixed, np.int32(0), found.numbers), found.label_array())
            found = replace(
                found, numbers=cut.numbers, ids=cut.ids, labels=cut.labels, areas=cut.areas
            )
    highest = max(highest, int(earlier.ids.max(initial=0)))
    before = earlier.numbers if remembered is None else remembered
    found = keep_numbers(found, np.where(fixed, np.int32(0), before), highest)
    if not kept.any():
        return found
    ids = np.concatenate([found.ids, earlier.ids[kept]])
    order = np.argsort(ids)
    return replace(
        found,
        numbers=np.where(fixed, earlier.numbers, found.numbers),
        ids=ids[order],
        labels=np.concatenate([found.labels, earlier.labels[kept]])[order],
        areas=np.concatenate([found.areas, earlier.areas[kept]])[order],
    )


def remember(remembered: Numbers, objects: Objects) -> Numbers:
    """Return remembered numbers with those of the present objects on top.

    An object that disappears for a while, as under a higher threshold, gets its number again.

    Parameters
    ----------
    remembered : int32 array
        Numbers of present and earlier objects.
    objects : Objects
        Of the same shape.
    """
    found = objects.numbers.copy()
    earlier = (found == 0) & (remembered > 0)
    numbers = remembered[earlier]
    numbers[np.isin(numbers, objects.ids)] = 0
    found[earlier] = numbers
    return found


def split_region(
    labels: NDArray[Any],
    region: tuple[slice, ...],
    numbers: Numbers,
    settings: SplitSettings | None = None,
    *,
    highest: int = 0,
) -> Objects:
    """Split the labels of a region only, such as the visible part of a large plane.

    Objects that lie within `REACH` of the region are those of the whole plane. Larger ones are
    cut for the time being.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) array of unsigned int
        Of the whole plane or volume.
    region : tuple of slice
        One for each axis, with start and stop, without step.
    numbers : int32 array
        Earlier numbers of the whole plane or volume.
    settings : SplitSettings, optional
    highest : int
        The highest number in use outside of the region.

    Returns
    -------
    Objects
        Of the region alone: `Objects.numbers` has its shape; areas are in the region.
    """
    settings = settings or SplitSettings()
    around, within = with_reach(region, labels.shape)
    found = split(labels[around], replace(settings, border=True))
    if not settings.border:
        found = found.without(found.at_sides(_outer_sides(around, labels.shape)))
    found = keep_numbers(found, numbers[around], highest)
    inside = objects_of(found.numbers[within])
    labels_inside = found.labels[np.searchsorted(found.ids, inside.ids)]
    return replace(inside, labels=labels_inside, diameters=found.diameters)


def with_reach(
    region: tuple[slice, ...], shape: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return a region with `REACH` around it, inside of an array, and the region within that."""
    around = tuple(
        slice(max(one.start - REACH, 0), min(one.stop + REACH, side))
        for one, side in zip(region, shape, strict=True)
    )
    within = tuple(
        slice(one.start - wide.start, one.stop - wide.start)
        for one, wide in zip(region, around, strict=True)
    )
    return around, within


def _outer_sides(around: tuple[slice, ...], shape: Sequence[int]) -> list[tuple[int, int]]:
    """The sides of a region that are sides of the image."""
    first = [(axis, 0) for axis, one in enumerate(around) if one.start == 0]
    last = [(axis, -1) for axis, one in enumerate(around) if one.stop == shape[axis]]
    return first + last
