"""Counts, density and typical sizes of the objects of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..labels.units import known_unit
from .object_set import Objects


@dataclass(frozen=True)
class ClassSummary:
    """The objects of a class.

    Parameters
    ----------
    count : int
    median_area : float
        Area, or volume, in pixels; 0 without an object.
    density : float or None
        Objects per mm^2, or mm^3; None if the size of a pixel is not known as a length.
    """

    count: int
    median_area: float
    density: float | None


def class_summaries(
    objects: Objects,
    labels: Sequence[int] = (),
    *,
    pixel_size: Sequence[float] = (),
    units: Sequence[str] = (),
    pixels: int | None = None,
) -> dict[int, ClassSummary]:
    """Summarise the objects of each class.

    Parameters
    ----------
    objects : Objects
        Of a plane or volume.
    labels : sequence of int
        Classes to list even if they have no object.
    pixel_size : sequence of float, optional
        Along each axis.
    units : sequence of str, optional
        Unit of each pixel size, such as ``"micrometer"``.
    pixels : int, optional
        Number of pixels in which objects were searched, for the density. Default: all.

    Returns
    -------
    dict of int to ClassSummary
        By label, ascending.
    """
    lengths = [known_unit(unit, "space") for unit in units]
    extent = 0.0
    if len(lengths) == len(pixel_size) == objects.numbers.ndim and all(lengths):
        sides = [
            size * unit.size * 1000  # in mm
            for size, unit in zip(pixel_size, lengths, strict=True)
            if unit is not None
        ]
        extent = float(np.prod(sides)) * (objects.numbers.size if pixels is None else pixels)
    found = {}
    for label in sorted({*labels, *objects.labels.tolist()}):
        areas = objects.areas[objects.labels == label]
        found[label] = ClassSummary(
            count=len(areas),
            median_area=float(np.median(areas)) if len(areas) else 0.0,
            density=len(areas) / extent if extent else None,
        )
    return found


def usual_smallest(objects: Objects) -> int:
    """Return the smallest size that leaves out specks but no class of small objects.

    A twentieth of the area that is typical for a class: half of its pixels are in objects of at
    least this area, so that many specks hardly change it. Of several classes, the one whose
    objects are smallest counts.

    Parameters
    ----------
    objects : Objects
        Of a plane or volume, specks included.

    Returns
    -------
    int
        In pixels, at least 1.
    """
    typical = []
    for label in np.unique(objects.labels):
        areas = np.sort(objects.areas[objects.labels == label])
        up_to = np.cumsum(areas)
        typical.append(int(areas[np.searchsorted(up_to, up_to[-1] / 2)]))
    return max(1, min(typical, default=0) // 20)
