"""How well the walk tells the hints of an image apart, beside the classifier. Pure functions.

Each separate stroke or click is predicted from the others. The walk, and with it the network whose
features it uses, counts less in images where it predicts worse than pixel features.

Notation: H separate hints, n superpixels, m larger ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from skimage.measure import label as numbered

from .affinity import OPEN, ImageAffinity
from .classifier import fit_classifier

FOLDS = 3
LEAST_RELIABILITY = 0.1


def walk_reliability(
    affinity: ImageAffinity, members: sparse.csr_array, named: NDArray[np.intp]
) -> float:
    """Return the ratio of the classifier's errors to the walk's, on hints that they do not know.

    Parameters
    ----------
    affinity : ImageAffinity
    members, named
        Of `separate_hints`.

    Returns
    -------
    float
        From 0.1 to 1. 1 if the walk is as good, and unless two labels have two hints each.
    """
    several = np.bincount(named)[named] > 1
    if len(np.unique(named[several])) < 2:
        return 1.0
    kept = members[several]
    named = np.unique(named[several], return_inverse=True)[1]
    walk = np.count_nonzero(_by_walk(affinity, kept, named) != named)
    classifier = np.count_nonzero(_by_classifier(affinity, kept, named) != named)
    return float(np.clip((classifier + 1) / (walk + 1), LEAST_RELIABILITY, 1))


def separate_hints(
    affinity: ImageAffinity, hint_labels: NDArray[np.int32]
) -> tuple[sparse.csr_array, NDArray[np.intp]]:
    """Return the share of each superpixel in each stroke or click, and the labels.

    Parameters
    ----------
    affinity : ImageAffinity
    hint_labels : (Y, X) int32 array
        `OPEN` for no hint, 0 for background, i + 1 for class i.

    Returns
    -------
    members : (H, n) sparse float32 array
        Rows sum to 1.
    named : (H,) array of int
    """
    rows, columns = np.nonzero(hint_labels != OPEN)
    box = hint_labels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    parts = numbered(box, background=OPEN)[rows - rows.min(), columns - columns.min()]
    parts -= 1  # they are numbered from 1, and each has a pixel
    first = np.empty(parts.max() + 1, np.intp)
    first[parts[::-1]] = np.arange(len(parts))[::-1]
    each = (1 / np.bincount(parts)).astype(np.float32)[parts]  # of each pixel
    places = parts, affinity.regions[rows, columns]
    members = sparse.csr_array((each, places), (len(first), len(affinity.means)))
    return members, hint_labels[rows, columns][first].astype(np.intp)


def _by_walk(
    affinity: ImageAffinity, members: sparse.csr_array, named: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the label of the densest walk from the other hints, (H,)."""
    hint, region = members.nonzero()
    starts = sparse.csr_array(
        (members.data, (hint, affinity.walked[region])), (len(named), len(affinity.reach))
    )
    density = (starts @ affinity.reach.numpy()) @ starts.T  # (H, H): at each hint, from each hint
    np.fill_diagonal(density, 0)
    of_label = named[:, None] == np.arange(named.max() + 1)  # (H, K)
    others = of_label.sum(axis=0) - of_label
    best: NDArray[np.intp] = (density @ of_label / others).argmax(axis=1)
    return best


def _by_classifier(
    affinity: ImageAffinity, members: sparse.csr_array, named: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the label by a classifier that learned from the other folds, (H,)."""
    points = members @ affinity.means
    order = np.argsort(named, kind="stable")
    counts = np.bincount(named)
    fold = np.empty(len(named), np.intp)
    fold[order] = np.concatenate([np.arange(count) for count in counts]) % FOLDS
    found = np.empty_like(named)
    for held in range(FOLDS):
        train, test = fold != held, fold == held
        if test.any():
            left = np.bincount(named[train], minlength=len(counts))
            weights = 1 / left[named[train]]
            classifier = fit_classifier(points[train], named[train], weights * len(left))
            found[test] = classifier.logits(points[test]).argmax(axis=1)
    return found
