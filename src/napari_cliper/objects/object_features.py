"""Features of objects: size, shape and colour, and the mean patch features of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import ref

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..labels.numbers import mapped
from .object_set import Numbers, Objects

if TYPE_CHECKING:
    from ..segmentation import ImageEmbedding

Rows = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ObjectFeatures:
    """Features of the objects of an image, in the order of their numbers.

    Parameters
    ----------
    embedding : weak reference to ImageEmbedding
        What they were measured in.
    numbers : (Y, X) int32 array
    ids : (N,) array of int
    properties : (N, 12) float64 array
        See `object_properties`.
    patches : (N, D) float64 array
        Mean patch features.
    """

    embedding: ref[ImageEmbedding]
    numbers: Numbers
    ids: NDArray[np.int64]
    properties: Rows
    patches: Rows


def object_features(
    embedding: ImageEmbedding, objects: Objects, earlier: ObjectFeatures | None = None
) -> ObjectFeatures:
    """Measure objects in an image and its features.

    Parameters
    ----------
    embedding : ImageEmbedding
    objects : Objects
        Of the size of the image.
    earlier : ObjectFeatures, optional
        Features of earlier objects. Those of objects with the same pixels are used again if they
        are of the same embedding.
    """
    numbers, ids = objects.numbers, objects.ids
    fits = (
        earlier is not None
        and earlier.embedding() is embedding
        and earlier.numbers.shape == numbers.shape
    )
    if earlier is None or not fits:
        return ObjectFeatures(ref(embedding), numbers, ids, *_measured(embedding, objects))
    if earlier.numbers is numbers:
        return earlier
    known = ~objects.differing(earlier.numbers)
    properties = np.empty((len(ids), earlier.properties.shape[1]))
    patches = np.empty((len(ids), earlier.patches.shape[1]))
    before = np.searchsorted(earlier.ids, ids[known])
    properties[known], patches[known] = earlier.properties[before], earlier.patches[before]
    if not known.all():
        properties[~known], patches[~known] = _measured(embedding, objects, ~known)
    return ObjectFeatures(ref(embedding), numbers, ids, properties, patches)


def _measured(
    embedding: ImageEmbedding, objects: Objects, chosen: NDArray[np.bool_] | None = None
) -> tuple[Rows, Rows]:
    """Properties and mean patch features of all objects, or of some of them."""
    numbers, ids, areas = objects.numbers, objects.ids, objects.areas
    pixels = embedding.image.pixels
    height, width = numbers.shape
    top = left = 0
    if chosen is not None:
        ids, areas = ids[chosen], areas[chosen]
        own = mapped(numbers, objects.ids, chosen)
        rows, columns = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
        # One pixel more, so that a boundary can be told from the border of the image.
        top, left = (max(int(one[0]) - 1, 0) for one in (rows, columns))
        box = slice(top, rows[-1] + 2), slice(left, columns[-1] + 2)
        numbers, pixels = np.where(own[box], numbers[box], 0), pixels[box]
    count = len(ids)
    y, x = np.nonzero(numbers)
    index = mapped(numbers[y, x], ids, np.arange(count, dtype=np.int32))
    properties = object_properties(numbers, index, count, pixels)
    from ..segmentation import patch_features  # noqa: PLC0415 - loads PyTorch

    planes = patch_features(embedding)
    down, across = planes.shape[1:]
    cells = ((y + top) * down // height) * across + (x + left) * across // width
    shares = sparse.csr_array((1 / areas[index], (index, cells)), shape=(count, down * across))
    patches: Rows = shares @ planes.flatten(1).T.double().cpu().numpy()
    return properties, patches


def object_properties(
    numbers: Numbers, index: NDArray[np.integer], count: int, pixels: NDArray[np.uint8]
) -> Rows:
    """Measure size, shape and colour of objects.

    Parameters
    ----------
    numbers : (Y, X) int32 array
    index : (P,) array of int
        The row, 0 to count - 1, of each pixel with a number, in the order of the pixels.
    count : int
    pixels : (Y, X, 3) uint8 array

    Returns
    -------
    (count, 12) float64 array
        Logarithms of the area, boundary and axes in pixels, eccentricity, extent (0 to 1), and mean
        and standard deviation of each colour (0 to 255).
    """

    def total(values: NDArray[np.generic] | None = None) -> Rows:
        return np.bincount(index, values, minlength=count).astype(np.float64)

    y, x = (axis.astype(np.float64) for axis in np.nonzero(numbers))
    area = total()
    first, stop = np.full((2, count), np.inf), np.full((2, count), -np.inf)
    centred = []
    for at, axis in enumerate((y, x)):
        np.minimum.at(first[at], index, axis)
        np.maximum.at(stop[at], index, axis)
        centred.append(axis - (total(axis) / area)[index])
    yy, xx, xy = (
        total(one * other) / area
        for one, other in ((centred[0],) * 2, (centred[1],) * 2, (centred[0], centred[1]))
    )
    middle, spread = (yy + xx) / 2 + 1 / 12, np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    major, minor = middle + spread, np.maximum(middle - spread, 0)
    boxes = np.prod(stop - first + 1, axis=0)
    columns = [
        *(np.log1p(one) for one in (area, total(_sides(numbers)))),
        *(np.log1p(4 * np.sqrt(one)) for one in (major, minor)),
        np.sqrt(1 - minor / major),
        area / boxes,
    ]
    of_objects = pixels[numbers > 0]
    for channel in range(of_objects.shape[1]):
        values = of_objects[:, channel].astype(np.float64)
        mean = total(values) / area
        columns += [mean, np.sqrt(total((values - mean[index]) ** 2) / area)]
    return np.stack(columns, axis=1)


def _sides(numbers: Numbers) -> NDArray[np.uint8]:
    """Return how many of the four sides of each pixel border another object or none, (P,)."""
    sides = np.zeros(numbers.shape, np.uint8)
    for axis in (0, 1):
        one, other = (np.moveaxis(array, axis, 0) for array in (numbers, sides))
        differ = one[1:] != one[:-1]
        other[1:] += differ
        other[:-1] += differ
    return sides[numbers > 0]
