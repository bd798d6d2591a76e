"""How well labels agree with the ground truth of a scene."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def confusion_matrix(truth: NDArray[Any], labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Count pixels by their true and their given label.

    Parameters
    ----------
    truth, labels : (Y, X) array of int
        0 to `classes`.

    Returns
    -------
    (classes + 1, classes + 1) int64 array
        Row: true label; column: given label.
    """
    count = classes + 1
    pairs = truth.astype(np.int64).ravel() * count + labels.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def class_iou(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union of each label; NaN for one that is not in the ground truth."""
    hit = np.diag(confusion).astype(np.float64)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hit
    there = confusion.sum(axis=1) > 0
    iou: NDArray[np.float64] = np.divide(hit, union, out=np.full(len(hit), np.nan), where=there)
    return iou


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """The mean over the labels that occur in the ground truth."""
    return float(np.nanmean(class_iou(confusion)))
