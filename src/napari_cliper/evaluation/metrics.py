"""Figures of agreement between label maps and ground truth. Pure functions.

Sources: the confusion matrix and what follows from it as in the PASCAL VOC challenge
(Everingham et al., IJCV 2010); the boundary score is BF of Csurka, Larlus and Perronnin, "What
is a good evaluation measure for semantic segmentation?", BMVC 2013, whose tolerance is 0.75 % of
the image's diagonal. What the paper leaves open is said at `boundary_f1`.

Notation: C labels, label 0 (background) included; (Y, X) the image.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ..segmentation import InvalidInputError

IGNORED = 65535
"""A pixel of the ground truth that counts nowhere. No class has this number."""

TOLERANCE = 0.0075
"""How far a boundary may be off, as a share of the image's diagonal (Csurka et al. 2013)."""


def confusion_matrix(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    count: int,
    ignore: Collection[int] = (IGNORED,),
) -> NDArray[np.int64]:
    """Count pixels by their true and their given label.

    Parameters
    ----------
    truth, predicted : (Y, X) array of int
        0 to `count` - 1.
    count : int
        C.
    ignore : collection of int
        Values of the truth whose pixels are not counted.

    Returns
    -------
    (C, C) int64 array
        Row: true label; column: given label.

    Raises
    ------
    InvalidInputError
        For arrays of different size and labels that are neither below `count` nor ignored.
    """
    if truth.shape != predicted.shape:
        raise InvalidInputError(
            f"The ground truth {truth.shape} and the labels {predicted.shape} differ in size."
        )
    kept = ~np.isin(truth, list(ignore))
    rows, columns = truth[kept].astype(np.int64), predicted[kept].astype(np.int64)
    for what, values in (("ground truth", rows), ("labels", columns)):
        if values.size and not (values.min() >= 0 and values.max() < count):
            wrong = int(values.min()) if values.min() < 0 else int(values.max())
            raise InvalidInputError(
                f"The {what} hold the number {wrong}, but there are only the labels 0 to "
                f"{count - 1}. Add the class, or have the number ignored."
            )
    return np.bincount(rows * count + columns, minlength=count * count).reshape(count, count)


def class_iou(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union of each label.

    Returns
    -------
    (C,) float64 array
        NaN for a label that is neither in the truth nor given; 0 for one that is given without
        being in the truth.
    """
    hit = np.diag(confusion)
    return _ratio(hit, confusion.sum(axis=0) + confusion.sum(axis=1) - hit)


def class_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of each label's true pixels that got it (recall); NaN where it has none."""
    return _ratio(np.diag(confusion), confusion.sum(axis=1))


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """The mean IoU over the labels that occur in the ground truth; NaN where there is none."""
    return _mean(class_iou(confusion)[confusion.sum(axis=1) > 0])


def boundary_f1(
    truth: NDArray[Any], predicted: NDArray[Any], count: int, tolerance: float = TOLERANCE
) -> NDArray[np.float64]:
    """How well the outlines of each label agree in one image.

    A label's outline are its pixels beside (up, down, left, right) another label; the image's
    border is none. Precision is the share of the given outline that lies within the tolerance
    of the true one, recall the converse, and the score their harmonic mean.

    Ignored pixels are where the paper is silent. Many a ground truth has a thin ignored band
    instead of outlines (PASCAL VOC): ignored pixels within the tolerance of others take the
    label of the nearest, so that the outline runs along the middle of the band. Deeper ones
    count nowhere, and what borders on them is no outline.

    Parameters
    ----------
    truth, predicted : (Y, X) array of int
        0 to `count` - 1; `truth` also `IGNORED`.
    count : int
        C.
    tolerance : float
        Share of the image's diagonal.

    Returns
    -------
    (C,) float64 array
        0 to 1. NaN for a label that is not in the truth, and where neither has an outline.
    """
    scores = np.full(count, np.nan)
    reach = tolerance * float(np.hypot(*truth.shape)) + 1e-6  # the search below is exclusive
    ignored = truth == IGNORED
    if ignored.all():
        return scores
    outside = np.zeros(truth.shape, dtype=bool)
    if ignored.any():
        distance, nearest = ndimage.distance_transform_edt(ignored, return_indices=True)
        truth, outside = truth[tuple(nearest)], distance > reach
    true_edge, given_edge = _edges(truth, outside), _edges(predicted, outside)
    for label in np.unique(truth[~outside]):
        true = np.argwhere(true_edge & (truth == label))
        given = np.argwhere(given_edge & (predicted == label))
        if len(true) and len(given):
            precision, recall = _share_near(given, true, reach), _share_near(true, given, reach)
            total = precision + recall
            scores[label] = 2 * precision * recall / total if total else 0.0
        elif len(true) or len(given):
            scores[label] = 0.0
    return scores


def _edges(labels: NDArray[Any], outside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels beside another label, where both lie inside."""
    edge = np.zeros(labels.shape, dtype=bool)
    for low, high in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
    ):
        apart = (labels[low] != labels[high]) & ~outside[low] & ~outside[high]
        edge[low] |= apart
        edge[high] |= apart
    return edge


def _share_near(points: NDArray[Any], others: NDArray[Any], reach: float) -> float:
    """The share of points (N, 2) with one of the others (M, 2) within reach."""
    distance, _ = cKDTree(others).query(points, distance_upper_bound=reach)
    return float(np.isfinite(distance).mean())


@dataclass(frozen=True, eq=False)
class Scores:
    """The figures of one image, or of many together.

    Parameters
    ----------
    confusion : (C, C) int64 array
        Of all pixels together; row: true label, column: given label.
    boundary : (C,) float64 array
        `boundary_f1` of each label, averaged over the images that have one; NaN for none.
    mean_boundary_f1 : float
        The mean over images of each image's mean over its labels; NaN for none.
    """

    confusion: NDArray[np.int64]
    boundary: NDArray[np.float64]
    mean_boundary_f1: float

    @property
    def iou(self) -> NDArray[np.float64]:
        """`class_iou` of each label."""
        return class_iou(self.confusion)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """`class_accuracy` of each label."""
        return class_accuracy(self.confusion)

    @property
    def mean_iou(self) -> float:
        """Over the labels that occur in the ground truth, as published protocols have it."""
        return mean_iou(self.confusion)

    @property
    def mean_iou_found(self) -> float:
        """Over the labels that occur in the ground truth or were given (as in mmsegmentation).

        The same as `mean_iou` as soon as every class occurs; else lower, because a label that
        was given without being there counts as 0.
        """
        return _mean(self.iou)

    @property
    def pixel_accuracy(self) -> float:
        """The share of pixels with the right label."""
        total = int(self.confusion.sum())
        return float(np.trace(self.confusion)) / total if total else float("nan")

    @property
    def mean_accuracy(self) -> float:
        """The mean of `class_accuracy` over the labels that occur in the ground truth."""
        return _mean(self.accuracy)


def image_scores(truth: NDArray[Any], predicted: NDArray[Any], count: int) -> Scores:
    """The figures of one image; parameters as in `boundary_f1`."""
    boundary = boundary_f1(truth, predicted, count)
    return Scores(confusion_matrix(truth, predicted, count), boundary, _mean(boundary))


def together(images: Iterable[Scores], count: int) -> Scores:
    """The figures of many images, pixels of all of them counted together.

    Parameters
    ----------
    images : iterable of Scores
    count : int
        C.
    """
    confusion = np.zeros((count, count), dtype=np.int64)
    total, times = np.zeros(count), np.zeros(count, dtype=np.int64)
    means = []
    for one in images:
        confusion += one.confusion
        there = ~np.isnan(one.boundary)
        total[there] += one.boundary[there]
        times += there
        means.append(one.mean_boundary_f1)
    return Scores(confusion, _ratio(total, times), _mean(np.array(means)))


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """`part` / `whole`, NaN where `whole` is 0."""
    result = np.full(len(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _mean(values: NDArray[np.float64]) -> float:
    """The mean of the values that are numbers; NaN (and no warning) where there is none."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if numbers.size else float("nan")
