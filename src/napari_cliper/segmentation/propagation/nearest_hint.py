"""A classifier that compares with the nearest hint of each label. Pure functions.

A hint more brings its own label nearer and moves no other, so that results change little with it.

Notation: P pixels with hints, n superpixels, F features, K labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

MOST_POINTS = 1000
"""Hinted pixels that superpixels are compared with, all labels together."""
SOFTNESS = 0.5
"""Difference of the squared distances at which a label is e times as probable as another, in units
of the median squared distance."""


def nearest_hint(
    points: NDArray[np.float32], named: NDArray[np.integer], means: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return how probable each label is in each superpixel, by the nearest hint of each label.

    Parameters
    ----------
    points : (P, F) float32 array
        Features of pixels with hints.
    named : (P,) array of int
        Label of each pixel, 0 to K - 1; every label occurs.
    means : (n, F) float32 array

    Returns
    -------
    (n, K) float32 array
        Rows sum to 1.
    """
    counts = np.bincount(named)
    most = max(MOST_POINTS // len(counts), 1)
    length, across = (means**2).sum(axis=1), -2 * means.T
    squares = np.empty((len(means), len(counts)), np.float32)
    for label, count in enumerate(counts.tolist()):
        some = points[named == label][:: -(-count // most)]
        nearest = ((some**2).sum(axis=1)[:, None] + some @ across).min(axis=0)
        squares[:, label] = np.maximum(length + nearest, 0)
    scale = SOFTNESS * max(float(np.median(squares)), 1e-6)
    probable: NDArray[np.float32] = softmax(-squares / scale, axis=1)
    return probable
