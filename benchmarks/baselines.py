"""Other tools with the same hints: a random walker and a pixel classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.feature import multiscale_basic_features
from skimage.segmentation import random_walker
from sklearn.ensemble import RandomForestClassifier

from napari_cliper.segmentation import OPEN

Labels = NDArray[np.integer[Any]]
Image = NDArray[np.uint8]
Features = NDArray[np.floating[Any]]

TREES = 100
"""Number of trees, as in ilastik."""

BETAS = {"random walker": 130, "random walker, tuned": 4000}
"""scikit-image's default, and the best of six values on twenty other scenes."""


def walked(image: Image, hint_labels: Labels, beta: float) -> Labels:
    """Labels by scikit-image's random walker.

    Solved exactly ('bf'), because the default solver does not converge for many scenes.
    """
    present = np.unique(hint_labels[hint_labels != OPEN])
    if len(present) == 1:  # the random walker needs two
        return np.full(hint_labels.shape, present[0])
    seeds = np.where(hint_labels == OPEN, 0, np.searchsorted(present, hint_labels) + 1)
    found = random_walker(image, seeds, beta=beta, mode="bf", channel_axis=-1)
    labels: Labels = present[found - 1]
    return labels


def pixel_features(image: Image) -> Features:
    """Features of each pixel for the classifier, (Y, X, F)."""
    features: Features = multiscale_basic_features(image, channel_axis=-1)
    return features


def forest(features: Sequence[Features], hint_labels: Sequence[Labels]) -> RandomForestClassifier:
    """A random forest trained on the hints of some images."""
    known = [one != OPEN for one in hint_labels]
    seen = np.concatenate([one[mask] for one, mask in zip(features, known, strict=True)])
    labels = np.concatenate([one[mask] for one, mask in zip(hint_labels, known, strict=True)])
    return RandomForestClassifier(TREES, n_jobs=2, random_state=0).fit(seen, labels)


def classified(trees: RandomForestClassifier, features: Features) -> Labels:
    """Labels of all pixels by a forest, (Y, X)."""
    labels: Labels = trees.predict(features.reshape(-1, features.shape[-1]))
    return labels.reshape(features.shape[:2])
