"""Predict the labels of a plane from those of another one by colour, edges and texture.

A linear classifier learns from the superpixels of the labelled plane. It does not use positions, so
it tells whether what was at a position is still there. Pixel features have mean 0 and variance 1 on
each plane, so a change of brightness or contrast between planes matters little.

Pure functions. Notation: n superpixels, F features that mean the same on all planes, K labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .affinity import ImageAffinity
from .classifier import LinearClassifier, fit_classifier

PURE = 0.8
"""A superpixel is an example of a label if more than this fraction of its pixels has it."""


@dataclass(frozen=True, eq=False)
class Appearance:
    """What the labels of a plane look like.

    Parameters
    ----------
    labels : (K,) int array
        In ascending order.
    classifier : LinearClassifier
        Of these labels.
    """

    labels: NDArray[np.int64]
    classifier: LinearClassifier

    def predicted(self, affinity: ImageAffinity) -> NDArray[np.int64] | None:
        """Return the most probable label of each pixel of a plane.

        Parameters
        ----------
        affinity : ImageAffinity
            Of the plane.

        Returns
        -------
        (Y, X) int array or None
            None if only one of the two planes has colours: their features differ.
        """
        means = _comparable(affinity)
        if means.shape[1] != self.classifier.weights.shape[1]:
            return None
        best: NDArray[np.int64] = self.labels[self.classifier.logits(means).argmax(axis=1)]
        return best[affinity.regions]


def learn_appearance(labels: NDArray[np.integer[Any]], affinity: ImageAffinity) -> Appearance:
    """Learn what the labels of a plane look like.

    All labels weigh the same. A label that fills no superpixel is learned from the one that has
    most of it.

    Parameters
    ----------
    labels : (Y, X) array of int
    affinity : ImageAffinity
        Of the same plane.
    """
    present, named = np.unique(labels, return_inverse=True)
    count = len(present)
    flat = affinity.regions.ravel().astype(np.int64) * count + named.ravel()
    table = np.bincount(flat, minlength=len(affinity.means) * count).reshape(-1, count)
    shares = table / affinity.sizes[:, None]  # (n, K)
    examples = shares > PURE
    missing = np.flatnonzero(~examples.any(axis=0))
    examples[shares[:, missing].argmax(axis=0), missing] = True
    node, answer = np.nonzero(examples)
    weights = len(node) / count / np.bincount(answer)[answer]
    fitted = fit_classifier(_comparable(affinity)[node], answer, weights)
    return Appearance(present.astype(np.int64), fitted)


def _comparable(affinity: ImageAffinity) -> NDArray[np.float32]:
    """Return the mean features that mean the same in all images, (n, F)."""
    return affinity.means[:, : affinity.features.comparable]
