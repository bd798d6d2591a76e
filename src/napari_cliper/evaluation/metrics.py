"""Metrics that compare label maps with ground truth. Pure functions.

Sources: IoU and accuracies from the confusion matrix as in the PASCAL VOC challenge (Everingham
et al., IJCV 2010); the boundary F1 score is BF of Csurka, Larlus and Perronnin, "What is a good
evaluation measure for semantic segmentation?", BMVC 2013, with a tolerance of 0.75 % of the
image's diagonal. `boundary_f1` describes how ignored pixels, which the paper does not cover, are
treated.

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
"""Label of ignored pixels in the ground truth. No class has this number."""

TOLERANCE = 0.0075
"""Boundary tolerance as a fraction of the image's diagonal (Csurka et al. 2013)."""


def confusion_matrix(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    count: int,
    ignore: Collection[int] = (IGNORED,),
) -> NDArray[np.int64]:
    """Count pixels by true and predicted label.

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
        Row: true label; column: predicted label.

    Raises
    ------
    InvalidInputError
        For arrays of different shapes, and for labels that are not below `count`, unless they
        are ignored.
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
                f"The {what} contain the value {wrong}, but the classes have the labels 0 to "
                f"{count - 1}. Add the class, or ignore this label."
            )
    return np.bincount(rows * count + columns, minlength=count * count).reshape(count, count)


def class_iou(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union of each label.

    Returns
    -------
    (C,) float64 array
        0 to 1. NaN for a label that occurs in neither the truth nor the prediction; 0 for one
        that occurs only in the prediction.
    """
    hit = np.diag(confusion)
    return _ratio(hit, confusion.sum(axis=0) + confusion.sum(axis=1) - hit)


def class_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Recall of each label, (C,) float64, 0 to 1; NaN for a label that is not in the truth."""
    return _ratio(np.diag(confusion), confusion.sum(axis=1))


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """Mean IoU over the labels that occur in the ground truth; NaN if there are none."""
    return _mean(class_iou(confusion)[confusion.sum(axis=1) > 0])


def boundary_f1(
    truth: NDArray[Any], predicted: NDArray[Any], count: int, tolerance: float = TOLERANCE
) -> NDArray[np.float64]:
    """Boundary F1 score of each label in one image.

    The boundary of a label is the set of its pixels that have a 4-neighbour of another label; the
    image border is not a boundary. Precision is the fraction of the predicted boundary within
    the tolerance of the true boundary, recall the converse, and the score their harmonic mean.

    The paper does not cover ignored pixels. Some ground truth has a thin ignored band in place
    of boundaries (PASCAL VOC). Ignored pixels within the tolerance of labelled ones therefore
    take the nearest label, which places the boundary in the middle of the band. Ignored pixels
    farther inside are excluded, and pixels next to them are not boundary pixels.

    Parameters
    ----------
    truth, predicted : (Y, X) array of int
        0 to `count` - 1; `truth` also `IGNORED`.
    count : int
        C.
    tolerance : float
        Fraction of the image's diagonal.

    Returns
    -------
    (C,) float64 array
        0 to 1. NaN for a label that is not in the truth, and for one that has a boundary in
        neither array.
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
    true_edge, predicted_edge = _edges(truth, outside), _edges(predicted, outside)
    for label in np.unique(truth[~outside]):
        true = np.argwhere(true_edge & (truth == label))
        found = np.argwhere(predicted_edge & (predicted == label))
        if len(true) and len(found):
            precision, recall = _share_near(found, true, reach), _share_near(true, found, reach)
            total = precision + recall
            scores[label] = 2 * precision * recall / total if total else 0.0
        elif len(true) or len(found):
            scores[label] = 0.0
    return scores


def _edges(labels: NDArray[Any], outside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mask of the pixels with a 4-neighbour of another label; `outside` pixels are excluded."""
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
    """Fraction of the points (N, 2) that have one of the others (M, 2) within `reach` pixels."""
    distance, _ = cKDTree(others).query(points, distance_upper_bound=reach)
    return float(np.isfinite(distance).mean())


@dataclass(frozen=True, eq=False)
class Scores:
    """Metrics of one image, or of several images combined.

    Parameters
    ----------
    confusion : (C, C) int64 array
        Pixel counts, summed over images; row: true label, column: predicted label.
    boundary : (C,) float64 array
        `boundary_f1` of each label, averaged over the images where it is defined; NaN if none.
    mean_boundary_f1 : float
        Mean over images of each image's mean over its labels; NaN if none.
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
        """Mean IoU over the labels that occur in the ground truth, as in published benchmarks."""
        return mean_iou(self.confusion)

    @property
    def mean_iou_found(self) -> float:
        """Mean IoU over the labels in the ground truth or the prediction (as in mmsegmentation).

        Equal to `mean_iou` if every class occurs in the ground truth; otherwise it may be lower,
        because a label that occurs only in the prediction has an IoU of 0.
        """
        return _mean(self.iou)

    @property
    def pixel_accuracy(self) -> float:
        """Fraction of pixels with the correct label; NaN if there are no pixels."""
        total = int(self.confusion.sum())
        return float(np.trace(self.confusion)) / total if total else float("nan")

    @property
    def mean_accuracy(self) -> float:
        """Mean of `class_accuracy` over the labels that occur in the ground truth."""
        return _mean(self.accuracy)


def image_scores(truth: NDArray[Any], predicted: NDArray[Any], count: int) -> Scores:
    """Compute the metrics of one image; parameters as in `boundary_f1`."""
    boundary = boundary_f1(truth, predicted, count)
    return Scores(confusion_matrix(truth, predicted, count), boundary, _mean(boundary))


def together(images: Iterable[Scores], count: int) -> Scores:
    """Combine the metrics of several images; confusion matrices are summed.

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
    """Divide elementwise; NaN where `whole` is 0."""
    result = np.full(len(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _mean(values: NDArray[np.float64]) -> float:
    """Mean without NaN values; NaN, and no warning, if none are left."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if numbers.size else float("nan")
