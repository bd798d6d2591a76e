"""The uncertainty of labels. Pure functions.

Both labelling rules compare score planes, one per class and one for the background. The difference
between the two highest planes gives the uncertainty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.feature import peak_local_max

from .label_rule import LabelRule, label_dtype

UNCERTAIN = 0.2
"""Lowest uncertainty of a place that is offered for review."""


_NOTHING = np.zeros((), np.float32)


@dataclass(frozen=True, eq=False)
class ScorePlanes:
    """The score planes that are compared at every pixel.

    Parameters
    ----------
    chosen : tuple of int
        Indices of the classes with a plane; all others are 0 everywhere.
    classes : sequence of C (Y, X) float32 arrays
        Scores, in the order of `chosen`.
    background : (Y, X) float32 array or None
        Probability of the background words; None for CLIPer.
    shape : (int, int)
        (Y, X).
    total : int
        Number of all classes.
    """

    chosen: tuple[int, ...]
    classes: Sequence[NDArray[np.float32]]
    background: NDArray[np.float32] | None
    shape: tuple[int, int]
    total: int

    def weighted(self, weights: Mapping[int, float]) -> ScorePlanes:
        """Return some of the planes, multiplied by the weight of their class."""
        planes = []
        for index, weight in weights.items():
            plane = self.classes[self.chosen.index(index)] if weight else _NOTHING
            planes.append(plane if weight == 1 else np.broadcast_to(plane * weight, self.shape))
        return replace(self, chosen=tuple(weights), classes=planes)


def uncertainty(parts: Iterable[ScorePlanes], rule: LabelRule) -> NDArray[np.float32]:
    """Return how close the two highest scores are at every pixel, the background included.

    Parameters
    ----------
    parts : iterable of ScorePlanes
        At least one. Many classes can be given in several parts to save memory.
    rule : LabelRule

    Returns
    -------
    (Y, X) float32 array
        1 - (first - second) / (first + second), in [0, 1].
    """
    every = iter(parts)
    planes = next(every)
    first, second, lower = np.zeros((3, *planes.shape), np.float32)
    label = np.zeros(planes.shape, label_dtype(planes.total))
    for part in chain((planes,), every):
        for index, plane in zip(part.chosen, part.classes, strict=True):
            label[plane > first] = index + 1
            np.minimum(first, plane, out=lower)
            np.maximum(second, lower, out=second)
            np.maximum(first, plane, out=first)
    floor = rule.background_scores[label]
    if planes.background is not None:
        np.maximum(floor, planes.background, out=floor)
    np.maximum(second, np.minimum(first, floor), out=second)
    np.maximum(first, floor, out=first)
    uncertainty: NDArray[np.float32] = second / np.maximum(first + second, np.float32(1e-6))
    np.clip(2 * uncertainty, 0, 1, out=uncertainty)
    return uncertainty


def most_uncertain(
    uncertainty: NDArray[np.floating], confirmed: NDArray[np.bool_], count: int = 30
) -> list[tuple[int, int]]:
    """Return the most uncertain places: centres of uncertain regions without confirmed pixels.

    Parameters
    ----------
    uncertainty : (Y, X) float array
        See `uncertainty`.
    confirmed : (Y, X) bool array
    count : int
        At most so many.

    Returns
    -------
    list of (int, int)
        Row and column, the most uncertain first; apart from each other.
    """
    side = min(uncertainty.shape)
    open_uncertainty = np.where(confirmed, 0, uncertainty)
    # A region counts, not a pixel: a thin seam between two classes is uncertain everywhere.
    smooth = gaussian_filter(open_uncertainty, side / 64, mode="constant")
    peaks = peak_local_max(
        np.where(confirmed, 0, smooth),
        min_distance=max(side // 16, 1),
        threshold_abs=UNCERTAIN,
        exclude_border=False,
        num_peaks=count,
    )
    return [(int(row), int(column)) for row, column in peaks]
