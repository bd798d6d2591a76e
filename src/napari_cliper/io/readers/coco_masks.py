"""Decode the masks of COCO annotations, polygons and run-length codes, to runs of pixels.

pycocotools draws the polygons. Run-length codes are decoded here, because pycocotools reads past
the end of a damaged one.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

Runs = NDArray[np.int64]
"""Lengths of runs in column order; background and foreground alternate, background first."""


def pixels_of(runs: Runs) -> NDArray[np.int64]:
    """Indices, in column order, of the foreground pixels."""
    ends = np.cumsum(runs)
    starts, lengths = (ends - runs)[1::2], runs[1::2]
    before = np.cumsum(lengths) - lengths
    pixels: NDArray[np.int64] = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
    return pixels


def runs_of(segmentation: Any, shape: tuple[int, int]) -> Runs:
    """Return the runs of an annotation's segmentation: polygons, or a run-length code.

    Raises
    ------
    ValueError, TypeError, KeyError, OverflowError
        For a segmentation that cannot be drawn in an image of this shape.
    """
    if not segmentation:
        raise ValueError("it has no segmentation (a bounding box alone cannot be drawn)")
    if isinstance(segmentation, list):
        segmentation = _drawn(segmentation, shape)
    size, counts = segmentation["size"], segmentation["counts"]
    if list(size) != list(shape):
        raise ValueError(f"its size is {size}, but that of the image {list(shape)}")
    if isinstance(counts, str | bytes):
        counts = _decoded(counts)
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        raise ValueError("the length of a run is not an integer of 0 or more")
    if sum(counts) != shape[0] * shape[1]:
        raise ValueError(f"its runs cover {sum(counts)} pixels of {shape[0] * shape[1]}")
    return np.array(counts, dtype=np.int64)


def _drawn(polygons: Sequence[Any], shape: tuple[int, int]) -> dict[str, Any]:
    """The run-length code of polygons; at least one must have three points."""
    farthest = 2 * max(shape)
    rings = []
    for polygon in polygons:
        points = np.array(polygon, dtype=np.float64)
        if (
            points.ndim != 1
            or len(points) % 2
            or not all(isinstance(one, int | float) for one in polygon)
        ):
            raise ValueError("a polygon is not a list of x, y, x, y, ...")
        if not (np.abs(points) <= farthest).all():  # pycocotools visits each point of an edge
            raise ValueError("a polygon lies far outside the image")
        if len(points) >= 6:
            rings.append(points.tolist())
    tool: Any = import_module("pycocotools.mask")  # has no type hints
    if not rings:
        raise ValueError("none of its polygons has three points")
    code: dict[str, Any] = tool.merge(tool.frPyObjects(rings, *shape))
    return code


def _decoded(text: str | bytes) -> list[int]:
    """The runs of a compressed run-length code, as defined in pycocotools' maskApi.c.

    Each number is stored in characters of 5 bits, lowest bits first. Bit 6 is set if more
    characters follow; bit 5 of the last character is the sign. From the third number on, the
    difference to the number two before is stored.
    """
    counts: list[int] = []
    value = shift = 0
    for byte in text.encode("ascii") if isinstance(text, str) else text:
        bits = byte - 48
        if not 0 <= bits < 64 or shift > 35:
            raise ValueError("its code is damaged")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its code ends too early")
    return counts
