"""Smooth the edges between labels along the edges of the image, by a guided filter.

Superpixels end in spikes where the image has noise or texture, and single pixels are mistaken. The
guided filter (He, Sun and Tang, TPAMI 2013) averages the probability of a label over a small window
as a linear function of the lightness: smooth where the image is, sharp where it has an edge.

Pure functions. Notation: K labels, (R, X) a band of rows of the image.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

Part = tuple[slice, slice, slice]

RADIUS = 0.5
"""Of the window, in widths of a superpixel."""
LEAST_RADIUS, MOST_RADIUS = 2, 8
"""In pixels."""
CONTRAST = 0.03
"""Variance of the lightness in a window above which it counts as an edge; that of the whole image
is 1."""
SHARPNESS = 2.0
"""Exponent of the probabilities."""
HALVED = 4
"""From this radius on, the linear functions are fitted at half the resolution (the fast guided
filter: He and Sun, arXiv 1505.00996)."""
BLOCK = 128
"""Side of the squares that are filtered at once; those that have a single label are not."""


def window_radius(pixels: int, superpixels: int) -> int:
    """Return the radius of the filter's window in pixels."""
    width = (pixels / superpixels) ** 0.5
    return int(np.clip(round(RADIUS * width), LEAST_RADIUS, MOST_RADIUS))


def smoothed_best(
    scores: NDArray[np.float32], lightness: NDArray[np.float32], radius: int, rows: slice
) -> NDArray[np.intp]:
    """Return the index of the best label at each pixel, with smooth edges.

    Parameters
    ----------
    scores : (K, R, X) float32 array
        Logarithms of how probable each label is; -inf where it cannot win, but not for all labels.
    lightness : (R, X) float32 array
        With variance 1 over the whole image.
    radius : int
        Of the window, in pixels.
    rows : slice
        Rows of the result. It depends on rows that are at most `reach(radius)` away, and on where
        the squares of `BLOCK` pixels begin: at the first of these rows.

    Returns
    -------
    (rows, X) array of int
    """
    raw = _best(scores)
    found = raw[rows].copy()
    margin, width = reach(radius), raw.shape[1]
    for top, left in product(range(rows.start, rows.stop, BLOCK), range(0, width, BLOCK)):
        bottom, right = min(top + BLOCK, rows.stop), min(left + BLOCK, width)
        above, before = max(top - margin, 0), max(left - margin, 0)
        window = np.s_[above : bottom + margin, before : right + margin]
        present = np.flatnonzero(np.bincount(raw[window].ravel()))
        if len(present) == 1:
            continue
        inner = np.s_[:, top - above : bottom - above, left - before : right - before]
        some = SHARPNESS * scores[present, *window]
        excluded = some[inner] == -np.inf
        smooth = _guided(_softmax(some), lightness[window], radius, inner)
        np.copyto(smooth, -np.inf, where=excluded)
        found[top - rows.start : bottom - rows.start, left:right] = present[_best(smooth)]
    return found


def _best(scores: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the index of the largest of (K, R, X) values; faster than `argmax`."""
    found, most = np.zeros(scores.shape[1:], np.intp), scores[0].copy()
    for index, plane in enumerate(scores[1:], 1):
        found[plane > most] = index
        np.maximum(most, plane, out=most)
    return found


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn (K, Y, X) scores into probabilities, in place; faster than SciPy's."""
    scores -= scores.max(axis=0)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=0)
    return scores


def reach(radius: int) -> int:
    """Return how far away the pixels are that a result depends on; an even number."""
    return 2 * radius + 2


def _guided(
    planes: NDArray[np.float32], guide: NDArray[np.float32], radius: int, inner: Part
) -> NDArray[np.float32]:
    """Return a part of (K, Y, X) planes after the guided filter; they sum to 1 at each pixel."""
    some = planes[1:]
    if radius < HALVED:
        slope, offset = (lines[inner] for lines in _lines(some, guide, radius))
    else:
        lines = _lines(_halved(some), _halved(guide[None])[0], radius // 2)
        slope, offset = (_doubled(values, inner) for values in lines)
    offset += slope * guide[inner[1:]]
    return np.concatenate([1 - offset.sum(axis=0, keepdims=True), offset])


def _lines(
    planes: NDArray[np.float32], guide: NDArray[np.float32], radius: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return slope and offset of the linear functions of the guide, (K, Y, X) each."""
    size = 2 * radius + 1

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        averaged: NDArray[np.float32] = uniform_filter(values, (0, size, size), mode="nearest")
        return averaged

    guide_mean, square_mean = mean(np.stack([guide, guide**2]))
    plane_means, slope = mean(planes), mean(guide * planes)
    slope -= guide_mean * plane_means
    slope /= square_mean - guide_mean**2 + CONTRAST
    plane_means -= slope * guide_mean
    return mean(slope), mean(plane_means)


def _halved(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (K, Y, X) planes at half the resolution, rounded up."""
    odd = [(0, n % 2) for n in planes.shape[1:]]
    if any(more for _, more in odd):
        planes = np.pad(planes, [(0, 0), *odd], mode="edge")
    columns = planes[..., ::2] + planes[..., 1::2]
    halved: NDArray[np.float32] = (columns[:, ::2] + columns[:, 1::2]) * np.float32(0.25)
    return halved


def _doubled(planes: NDArray[np.float32], inner: Part) -> NDArray[np.float32]:
    """Return a part of (K, Y, X) planes at twice the resolution, interpolated bilinearly."""
    first = [max(some.start // 2 - 1, 0) for some in inner[1:]]
    last = [some.stop // 2 + 2 for some in inner[1:]]
    part = planes[:, first[0] : last[0], first[1] : last[1]]
    size = [2 * n for n in part.shape[1:]]
    full = F.interpolate(torch.from_numpy(part)[None], size, mode="bilinear")[0].numpy()
    rows, columns = (
        slice(some.start - 2 * start, some.stop - 2 * start)
        for some, start in zip(inner[1:], first, strict=True)
    )
    doubled: NDArray[np.float32] = full[:, rows, columns]
    return doubled
