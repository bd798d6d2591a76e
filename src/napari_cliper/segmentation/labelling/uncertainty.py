"""Scores at every pixel, moved by evidence: labels again, and where they are doubtful.

Pure functions. Both labelling rules are comparisons of planes, one for each class and one for the
background; evidence moves planes (`spreading`), the difference of the two highest is how sure the
labels are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.feature import peak_local_max
from torch import Tensor

from ..propagation.label_propagation import OPEN, Shift
from .label_rule import LabelArray, LabelRule, label_dtype

UNCERTAIN = 0.2
"""The least uncertainty of a place that is worth a look."""


_NOTHING = np.zeros((), np.float32)


@dataclass(frozen=True, eq=False)
class ScorePlanes:
    """What the labels compare at every pixel.

    Parameters
    ----------
    chosen : tuple of int
        Which classes have a plane; every other one is 0 everywhere.
    classes : sequence of C (Y, X) float32 arrays
        Their scores, in the order of `chosen`.
    background : (Y, X) float32 array or None
        The probability of the background words, for the methods but CLIPer.
    shape : (int, int)
        (Y, X).
    total : int
        T, the number of all classes.
    """

    chosen: tuple[int, ...]
    classes: Sequence[NDArray[np.float32]]
    background: NDArray[np.float32] | None
    shape: tuple[int, int]
    total: int

    def weighted(self, weights: Mapping[int, float]) -> ScorePlanes:
        """Some of the planes, each times what its class counts; 0 is a plane of zeros."""
        planes = []
        for index, weight in weights.items():
            plane = self.classes[self.chosen.index(index)] if weight else _NOTHING
            planes.append(plane if weight == 1 else np.broadcast_to(plane * weight, self.shape))
        return replace(self, chosen=tuple(weights), classes=planes)

    def moved(self, shift: Shift | None) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Each class that can win, and its plane as evidence moves it, (Y, X).

        A plane is good until the next is asked for: making new ones costs more than filling one.
        """
        place = np.empty(self.shape, np.float32)
        for index, plane in zip(self.chosen, self.classes, strict=True):
            yield index, plane if shift is None else np.add(plane, shift.of(index, place), place)


def wrong_by(planes: ScorePlanes, hint_labels: NDArray[np.int32], rule: LabelRule) -> Tensor:
    """How far the best score is above that of what a person said, (P,); 0 where it is the best.

    Parameters
    ----------
    planes : ScorePlanes
    hint_labels : (Y, X) int32 array
        See `spreading.shift_by`; every class that is said has a plane.
    rule : LabelRule
    """
    known = np.nonzero(hint_labels != OPEN)
    named = hint_labels[known]  # (P,)
    best, own = np.zeros((2, len(named)), np.float32)  # own: of what was said
    winner = np.zeros_like(named)
    for index, plane in planes.moved(None):
        values = plane[known]
        winner[values > best] = index + 1
        np.maximum(best, values, out=best)
        np.copyto(own, values, where=named == index + 1)
    floor = rule.background_scores[np.where(named, named, winner)]
    if planes.background is not None:
        np.maximum(floor, planes.background[known], out=floor)
    np.copyto(own, floor, where=named == 0)
    return torch.from_numpy(np.maximum(best, floor) - own).clamp(min=0)


def corrected_labels(planes: ScorePlanes, shift: Shift, rule: LabelRule) -> LabelArray:
    """The labels under evidence, by the rule of the method; what was said stays.

    The parameters are those of `uncertainty`.
    """
    dtype = label_dtype(planes.total)
    value, label = np.zeros(planes.shape, np.float32), np.zeros(planes.shape, dtype)
    better = np.empty(planes.shape, bool)
    for index, plane in planes.moved(shift):
        np.greater(plane, value, out=better)
        np.copyto(label, dtype.type(index + 1), where=better)
        np.maximum(value, plane, out=value)
    label[value < rule.background_scores[label]] = 0
    if planes.background is not None:
        label[planes.background >= value] = 0
    np.copyto(label, shift.hint_labels, casting="unsafe", where=shift.hint_labels != OPEN)
    return label


def uncertainty(
    parts: Iterable[ScorePlanes], shift: Shift | None, rule: LabelRule
) -> NDArray[np.float32]:
    """How near the two best are to each other at every pixel, the background among them.

    Parameters
    ----------
    parts : iterable of ScorePlanes
        At least one. Of many classes some at a time, so that not all are in memory.
    shift : Shift or None
        What evidence moves; where a person said something it is sure.
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
        for index, plane in part.moved(shift):
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
    if shift is not None:
        uncertainty[shift.hint_labels != OPEN] = 0
    return uncertainty


def most_uncertain(
    uncertainty: NDArray[np.floating], confirmed: NDArray[np.bool_], count: int = 30
) -> list[tuple[int, int]]:
    """The places worth a look: centres of doubtful regions that nobody has confirmed.

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
        Row and column, the most doubtful first; apart from each other.
    """
    side = min(uncertainty.shape)
    open_uncertainty = np.where(confirmed, 0, uncertainty)
    # A region counts, not a pixel: a thin seam between two classes is doubtful everywhere.
    smooth = gaussian_filter(open_uncertainty, side / 64, mode="constant")
    peaks = peak_local_max(
        np.where(confirmed, 0, smooth),
        min_distance=max(side // 16, 1),
        threshold_abs=UNCERTAIN,
        exclude_border=False,
        num_peaks=count,
    )
    return [(int(row), int(column)) for row, column in peaks]
