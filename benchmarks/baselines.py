"""What other tools do with the same clicks and strokes: a random walker and a pixel classifier."""

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
"""As ilastik has them."""

BETAS = {"random walker": 130, "random walker, tuned": 4000}
"""skimage's own, and the best of six on twenty scenes that are measured nowhere."""


def walked(image: Image, hint_labels: Labels, beta: float) -> Labels:
    """What skimage's random walker makes of clicks.

    The system is solved exactly ('bf'), as the default solver does not converge for many a scene.
    """
    present = np.unique(hint_labels[hint_labels != OPEN])
    if len(present) == 1:  # it needs two to choose from
        return np.full(hint_labels.shape, present[0])
    seeds = np.where(hint_labels == OPEN, 0, np.searchsorted(present, hint_labels) + 1)
    found = random_walker(image, seeds, beta=beta, mode="bf", channel_axis=-1)
    labels: Labels = present[found - 1]
    return labels


def pixel_features(image: Image) -> Features:
    """What a pixel classifier sees of each pixel, (Y, X, F)."""
    features: Features = multiscale_basic_features(image, channel_axis=-1)
    return features


def forest(features: Sequence[Features], hint_labels: Sequence[Labels]) -> RandomForestClassifier:
    """A random forest that has learned what was said of some images."""
    known = [one != OPEN for one in hint_labels]
    seen = np.concatenate([one[mask] for one, mask in zip(features, known, strict=True)])
    labels = np.concatenate([one[mask] for one, mask in zip(hint_labels, known, strict=True)])
    return RandomForestClassifier(TREES, n_jobs=2, random_state=0).fit(seen, labels)


def classified(trees: RandomForestClassifier, features: Features) -> Labels:
    """What a forest says of every pixel, (Y, X)."""
    labels: Labels = trees.predict(features.reshape(-1, features.shape[-1]))
    return labels.reshape(features.shape[:2])
