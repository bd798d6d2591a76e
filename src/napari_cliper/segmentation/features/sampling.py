"""Samples of the pixels of large images and of stacks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contrast import PERCENTILES, Limits

SAMPLED_PIXELS = 1 << 24
"""Pixels from which the contrast of a larger image is taken."""

SAMPLED_PLANES = 8
"""Planes of a stack from which percentiles are taken."""

SAMPLED_BLOCKS = 8
"""Rows and columns of the blocks of pixels that are sampled."""


def sample_of(source: Any) -> NDArray[Any]:
    """Return all pixels of a plane, or those of blocks that are spread evenly over a large one.

    Parameters
    ----------
    source : (Y, X) or (Y, X, C) array
        Of any library.
    """
    height, width = source.shape[:2]
    if height * width <= SAMPLED_PIXELS:
        return np.asarray(source[:])
    side = math.isqrt(SAMPLED_PIXELS) // SAMPLED_BLOCKS

    def cuts(length: int) -> list[slice]:
        count = min(SAMPLED_BLOCKS, max(length // side, 1))
        step = (length - side) / max(count - 1, 1)
        return [slice(int(i * step), int(i * step) + side) for i in range(count)]

    rows = [[np.asarray(source[y, x]) for x in cuts(width)] for y in cuts(height)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


def percentile_limits(
    planes: Sequence[Any], percentiles: tuple[float, float] = PERCENTILES
) -> Limits:
    """Return two percentiles of the planes of a stack, the second one higher than the first.

    Parameters
    ----------
    planes : sequence of (Y, X) arrays
        Of any library; a sample of their pixels is read. NaN and infinity are left out.
    percentiles : (float, float)
        0 to 100.

    Returns
    -------
    (float, float)
        Minimum and maximum where the percentiles are equal; ``(v, v + 1)`` for constant planes.
    """
    chosen = np.linspace(0, len(planes) - 1, min(len(planes), SAMPLED_PLANES))
    values = np.concatenate([sample_of(planes[int(i)]).ravel() for i in chosen])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = map(float, np.percentile(values, percentiles))
    if low == high:
        low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low, low + 1)
