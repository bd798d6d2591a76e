"""Split class labels into objects: connected regions, and touching objects within them.

A region is split at its necks. The distance of each pixel to the outside of its region
has a maximum in the middle of each roundish part. Parts are the basins of these maxima, as in a
watershed. Neighbouring parts are joined again if the neck between them is hardly narrower than the
smaller part, as with h-maxima whose h grows with the part. The remaining parts are the objects.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure

from ..labels.imported_labels import as_labels
from ..labels.numbers import mapped
from ..labels.regions import connected_regions
from ..segmentation import InvalidInputError
from .object_set import Objects, runs_of, sides_of

SMOOTHING = 1.0
"""Standard deviation of the Gaussian for the distances, in pixels."""

NECK = 0.4
"""Parts are joined if the distances drop by less than this many pixels between them ..."""

RELATIVE_NECK = 0.06
"""... or by less than this share of the distance in the middle of the smaller part."""

ELLIPSE = 0.98
"""A region that fills this share of the ellipse with the same second moments has no neck."""

Box = tuple[slice, ...]


@dataclass(frozen=True)
class SplitSettings:
    """How labels are split into objects.

    Parameters
    ----------
    touching : bool
        Whether touching objects of a class are split. False: objects are the connected regions.
    smallest : int
        Objects with fewer pixels are left out.
    border : bool
        Whether objects that touch the border of the image are objects too.
    diameters : mapping of int to float
        By label, the diameter of objects in pixels. Parts narrower than half of it are not split
        off. Labels without an entry have no such limit.

    Raises
    ------
    InvalidInputError
        For a smallest size below 1 and for a diameter that is not positive.
    """

    touching: bool = True
    smallest: int = 1
    border: bool = True
    diameters: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Check the values."""
        if self.smallest < 1:
            raise InvalidInputError(f"The smallest size is {self.smallest}. Give 1 pixel or more.")
        for label, diameter in self.diameters.items():
            if not (math.isfinite(diameter) and diameter > 0):
                raise InvalidInputError(
                    f"The diameter of label {label} is {diameter}. Give a positive number."
                )


def split(
    labels: NDArray[Any],
    settings: SplitSettings | None = None,
    *,
    spacing: Sequence[float] | None = None,
) -> Objects:
    """Split the class labels of a plane or volume into objects.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) array of unsigned int
        0 belongs to no object. Different labels are different objects, also where they touch.
    settings : SplitSettings, optional
    spacing : sequence of float, optional
        Pixel size along each axis, such as that of a volume with thick slices. Default: all equal.

    Returns
    -------
    Objects
        Numbered from 1 in the order of their first pixels. `Objects.diameters` is, by label, the
        median diameter of the largest circle (sphere) in an object, in pixels of the finest axis.

    Raises
    ------
    InvalidInputError
        For another number of dimensions, labels that are not integers from 0 to 65535, or a spacing
        that does not fit.
    """
    settings = settings or SplitSettings()
    if labels.ndim not in (2, 3):
        raise InvalidInputError(
            f"Labels with {labels.ndim} dimensions cannot be split as one. Use split_planes."
        )
    if labels.dtype not in (np.bool_, np.uint8, np.uint16):
        labels = as_labels(labels, "The array")
    steps = _steps(spacing, labels.ndim)
    regions = connected_regions(labels)
    numbers = regions.numbers.astype(np.int32, copy=False)
    boxes, of_region = ndimage.find_objects(numbers), regions.labels.astype(np.uint16, copy=False)
    objects, radii = _apart(numbers, boxes, of_region, settings, steps)
    left_out = objects.areas < settings.smallest
    smaller, at_border = int(np.count_nonzero(left_out)), 0
    if not settings.border:
        left_out |= objects.at_sides(sides_of(labels.ndim))
        at_border = int(np.count_nonzero(left_out)) - smaller
    radii = radii[~left_out]
    objects = objects.without(left_out)
    diameters = {
        label: 2 * float(np.median(radii[objects.labels == label]))
        for label in np.unique(objects.labels).tolist()
    }
    return replace(
        _renumbered(objects),
        diameters=MappingProxyType(diameters),
        smaller=smaller,
        at_border=at_border,
    )


def split_planes(
    labels: NDArray[Any],
    settings: SplitSettings | None = None,
    *,
    spacing: Sequence[float] | None = None,
) -> Objects:
    """Split each plane of a stack on its own; see `split`.

    Parameters
    ----------
    labels : (..., Y, X) array of unsigned int
    settings : SplitSettings, optional
    spacing : sequence of two float, optional
        Pixel size along Y and X.

    Returns
    -------
    Objects
        Numbered from 1 through all planes. `Objects.diameters` is the mean over the planes,
        weighted with their numbers of objects.
    """
    numbers = np.zeros(labels.shape, np.int32)
    found: list[Objects] = []
    highest = 0
    for index in np.ndindex(labels.shape[:-2]):
        one = split(labels[index], settings, spacing=spacing)
        numbers[index] = np.where(one.numbers > 0, one.numbers + highest, 0)
        highest += len(one.ids)
        found.append(one)
    total: dict[int, int] = {}
    width: dict[int, float] = {}
    for one in found:
        for label, count in one.counts().items():
            total[label] = total.get(label, 0) + count
            width[label] = width.get(label, 0.0) + count * one.diameters[label]
    empty = [np.zeros(0, np.uint16)]
    return Objects(
        numbers,
        np.arange(1, highest + 1, dtype=np.int64),
        np.concatenate([*(one.labels for one in found), *empty]),
        np.concatenate([*(one.areas for one in found), np.zeros(0, np.int64)]),
        MappingProxyType({label: width[label] / total[label] for label in sorted(total)}),
    )


def _steps(spacing: Sequence[float] | None, ndim: int) -> tuple[float, ...]:
    """The pixel size along each axis in units of the smallest one."""
    if spacing is None:
        return (1.0,) * ndim
    if len(spacing) != ndim or not all(math.isfinite(one) and one > 0 for one in spacing):
        raise InvalidInputError(
            f"The pixel size is {tuple(spacing)}. Give {ndim} positive numbers, one for each axis."
        )
    return tuple(one / min(spacing) for one in spacing)


def _renumbered(objects: Objects) -> Objects:
    """Number the objects from 1 in the order of their first pixels."""
    runs = runs_of(objects.numbers)
    seen, first = np.unique(runs.number, return_index=True)
    order = np.argsort(first[np.searchsorted(seen, objects.ids)], kind="stable")
    count = len(order)
    new = np.empty(count, np.int32)
    new[order] = np.arange(1, count + 1)
    return Objects(
        mapped(objects.numbers, objects.ids, new),
        np.arange(1, count + 1, dtype=np.int64),
        objects.labels[order],
        objects.areas[order],
    )


# ---------------------------------------------------------------------- regions apart


def _apart(
    numbers: NDArray[np.int32],
    boxes: Sequence[Box],
    of_region: NDArray[np.uint16],
    settings: SplitSettings,
    steps: tuple[float, ...],
) -> tuple[Objects, NDArray[np.float64]]:
    """The objects of all regions, in the order of regions, and the largest radius in each."""
    moments = _moments(numbers, len(boxes))
    areas = moments[1:, 0].astype(np.int64)
    radii = _radius_of_ellipse(moments[1:], steps)
    count = len(boxes)
    if not settings.touching or not count:
        return Objects(numbers, np.arange(1, count + 1), of_region, areas), radii
    new = numbers.copy()
    extra_labels: list[int] = []
    extra_areas: list[int] = []
    extra_radii: list[float] = []
    with_necks = np.flatnonzero(_filled(moments[1:]) < ELLIPSE)
    for index in with_necks.tolist():
        around = tuple(
            slice(max(one.start - 1, 0), min(one.stop + 1, side))
            for one, side in zip(boxes[index], numbers.shape, strict=True)
        )
        mask = numbers[around] == index + 1
        label = int(of_region[index])
        parts = _parts(mask, steps, settings.diameters.get(label, 0.0))
        radii[index] = parts.radii[0]
        if parts.of_pixel is None:
            continue
        areas[index] = parts.areas[0]
        new_numbers = np.arange(len(parts.areas) + 1, dtype=np.int32) + (
            count + len(extra_areas) - 1
        )
        new_numbers[:2] = 0, index + 1
        np.copyto(new[around], new_numbers[parts.of_pixel], where=mask)
        extra_labels += [label] * (len(parts.areas) - 1)
        extra_areas += parts.areas[1:]
        extra_radii += parts.radii[1:]
    total = count + len(extra_areas)
    objects = Objects(
        new,
        np.arange(1, total + 1),
        np.concatenate([of_region, np.array(extra_labels, np.uint16)]),
        np.concatenate([areas, np.array(extra_areas, np.int64)]),
    )
    return objects, np.concatenate([radii, np.array(extra_radii, np.float64)])


@dataclass(frozen=True, eq=False)
class _Parts:
    """The parts of a region.

    Attributes
    ----------
    of_pixel : array of int, optional
        The part of each pixel, from 1; 0 outside of the region. None if there is only one part.
    areas : list of int
    radii : list of float
        The distance to the outside in the middle of each part.
    """

    of_pixel: NDArray[np.int32] | None
    areas: list[int]
    radii: list[float]


def _parts(mask: NDArray[np.bool_], steps: tuple[float, ...], diameter: float) -> _Parts:
    """Take one region apart."""
    distances = ndimage.distance_transform_edt(mask, sampling=steps).astype(np.float32)
    if mask.all():  # a region that fills the image has no outside
        distances[...] = 1.0
    heights = ndimage.gaussian_filter(distances, [SMOOTHING / step for step in steps])
    tops = _climb(heights, mask)
    is_top = mask & (tops == np.arange(mask.size, dtype=tops.dtype).reshape(mask.shape))
    # Neighbouring maxima are equal, so that they are one.
    numbered, count = measure.label(is_top, connectivity=mask.ndim, return_num=True)
    at_top = np.flatnonzero(is_top)
    basin_of_top = numbered.ravel()[at_top]
    deepest = np.zeros(count + 1, np.float32)
    np.maximum.at(deepest, basin_of_top, distances.ravel()[at_top])
    if count == 1:
        return _Parts(None, [], [float(deepest[1])])
    basins = np.where(mask, numbered.ravel()[tops], 0).astype(np.int32)
    peaks = np.zeros(count + 1, np.float32)
    peaks[basin_of_top] = heights.ravel()[at_top]
    part_of_basin = _joined(peaks.tolist(), _necks(basins, heights), diameter)
    last = int(part_of_basin.max())
    radii = np.zeros(last + 1, np.float32)
    np.maximum.at(radii, part_of_basin, deepest)
    if last == 1:
        return _Parts(None, [], [float(radii[1])])
    of_pixel = part_of_basin[basins]
    return _Parts(of_pixel, np.bincount(of_pixel.ravel()).tolist()[1:], radii.tolist()[1:])


def _neighbours(ndim: int) -> list[tuple[int, ...]]:
    """The offsets to all pixels that share a side, an edge or a corner."""
    return [one for one in itertools.product((-1, 0, 1), repeat=ndim) if any(one)]


def _pair(offset: Sequence[int], shape: Sequence[int]) -> tuple[Box, Box]:
    """The pixels that have a neighbour at an offset, and those neighbours."""
    here = tuple(
        slice(max(0, -one), side - max(0, one)) for one, side in zip(offset, shape, strict=True)
    )
    there = tuple(
        slice(max(0, one), side - max(0, -one)) for one, side in zip(offset, shape, strict=True)
    )
    return here, there


def _climb(heights: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.integer]:
    """The flat index of the maximum that each pixel of the mask reaches by steepest ascent.

    Basins are those of a watershed with all maxima as markers, in linear time.
    """
    inside = np.where(mask, heights, np.float32(-1))
    best = inside.copy()
    small = np.int32 if mask.size < np.iinfo(np.int32).max else np.int64
    index: NDArray[Any] = np.arange(mask.size, dtype=small).reshape(mask.shape)
    above: NDArray[Any] = index.copy()
    for offset in _neighbours(mask.ndim):
        here, there = _pair(offset, mask.shape)
        higher = inside[there] > best[here]
        np.copyto(best[here], inside[there], where=higher)
        np.copyto(above[here], index[there], where=higher)
    while True:
        further: NDArray[Any] = np.take(above, above)
        if np.array_equal(further, above):
            return above
        above = further


def _necks(basins: NDArray[np.int32], heights: NDArray[np.float32]) -> list[tuple[int, int, float]]:
    """Pairs of neighbouring basins with the height of the pass between them, highest first."""
    lows, highs, passes = [], [], []
    for offset in _neighbours(basins.ndim):
        if offset < (0,) * basins.ndim:
            continue  # each pair of pixels once
        here, there = _pair(offset, basins.shape)
        one, other = basins[here], basins[there]
        meet = np.nonzero((one != other) & (one > 0) & (other > 0))
        first, second = one[meet], other[meet]
        lows.append(np.minimum(first, second))
        highs.append(np.maximum(first, second))
        passes.append(np.minimum(heights[here][meet], heights[there][meet]))
    low, high, neck = np.concatenate(lows), np.concatenate(highs), np.concatenate(passes)
    order = np.lexsort((high, low, -neck))
    low, high, neck = low[order], high[order], neck[order]
    _, first_seen = np.unique(
        low.astype(np.int64) * (int(high.max(initial=0)) + 1) + high, return_index=True
    )
    kept = np.sort(first_seen)
    return list(zip(low[kept].tolist(), high[kept].tolist(), neck[kept].tolist(), strict=True))


def _joined(
    peaks: list[float], necks: Sequence[tuple[int, int, float]], diameter: float
) -> NDArray[np.int32]:
    """The part of each basin, from 1; 0 for the number 0.

    Parameters
    ----------
    peaks : list of float
        Height of the maximum of each basin, by number.
    necks : sequence of (int, int, float)
        Pairs of neighbouring basins and the height of the pass between them, highest first.
    diameter : float
        Parts narrower than half of it are joined to a neighbour.
    """
    parents = list(range(len(peaks)))

    def root(basin: int) -> int:
        while parents[basin] != basin:
            parents[basin] = parents[parents[basin]]
            basin = parents[basin]
        return basin

    for one, other, neck in necks:
        low, high = sorted((root(one), root(other)), key=peaks.__getitem__)
        peak = peaks[low]
        if peak - neck < max(NECK, RELATIVE_NECK * peak) or 4 * peak < diameter:
            parents[low] = high
    roots = [root(basin) for basin in range(len(parents))]
    return np.unique(roots, return_inverse=True)[1].astype(np.int32)


# ---------------------------------------------------------------------- moments


def _moments(numbers: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """Sums over the pixels of each number: 1, each coordinate, each product of two coordinates.

    Returns
    -------
    (count + 1, 1 + D + D (D + 1) / 2) float64 array
    """
    runs = runs_of(numbers)
    length = runs.length.astype(np.float64)
    first = runs.first[-1].astype(np.float64)
    places = [axis.astype(np.float64) for axis in runs.first[:-1]]
    places.append(first + (length - 1) / 2)  # the mean of a run along the last axis
    last = numbers.ndim - 1
    sums = [length, *(length * one for one in places)]
    for a, b in itertools.combinations_with_replacement(range(numbers.ndim), 2):
        product = length * places[a] * places[b]
        if a == b == last:
            product += (length**3 - length) / 12
        sums.append(product)
    return np.stack([np.bincount(runs.number, one, count + 1) for one in sums], axis=1)


def _dimensions(moments: NDArray[np.float64]) -> int:
    return {6: 2, 10: 3}[moments.shape[1]]


def _covariances(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """The covariance of the pixels as small squares (cubes) of side 1, (N, D, D)."""
    ndim = _dimensions(moments)
    area = moments[:, 0]
    means = moments[:, 1 : ndim + 1] / area[:, None]
    found = np.empty((len(moments), ndim, ndim))
    pairs = itertools.combinations_with_replacement(range(ndim), 2)
    for column, (a, b) in enumerate(pairs, ndim + 1):
        value = moments[:, column] / area - means[:, a] * means[:, b] + (a == b) / 12
        found[:, a, b] = found[:, b, a] = value
    return found


def _filled(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the ellipse (ellipsoid) with the same second moments that is filled: 0 to 1."""
    ndim = _dimensions(moments)
    spread = np.sqrt(np.maximum(np.linalg.det(_covariances(moments)), 1e-12))
    unit = {2: math.pi * 4, 3: 4 / 3 * math.pi * 5**1.5}[ndim]
    filled: NDArray[np.float64] = moments[:, 0] / (unit * spread)
    return filled


def _radius_of_ellipse(
    moments: NDArray[np.float64], steps: tuple[float, ...]
) -> NDArray[np.float64]:
    """The shortest half axis of the ellipse with the same second moments."""
    scale = np.array(steps)
    covariances = _covariances(moments) * scale[:, None] * scale
    shortest = np.linalg.eigvalsh(covariances)[:, 0] if len(moments) else np.zeros(0)
    radii: NDArray[np.float64] = np.sqrt((len(steps) + 2) * np.maximum(shortest, 0.0))
    return radii
