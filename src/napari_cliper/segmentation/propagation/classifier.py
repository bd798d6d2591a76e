"""A linear classifier of pixels: multinomial logistic regression. Pure functions.

Notation: P pixels, F features, K labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

STRENGTH = 2.0
"""Weight of one hinted pixel relative to the penalty on large weights."""
STEPS = 60
TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """Scores that are linear in the features.

    Parameters
    ----------
    weights : (K, F) float32 array
    offsets : (K,) float32 array
    """

    weights: NDArray[np.float32]
    offsets: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of P pixels, (P, K); their softmax is the probability."""
        scores: NDArray[np.float32] = features @ self.weights.T + self.offsets
        return scores


def fit_classifier(
    features: NDArray[np.float32], named: NDArray[np.integer], weights: NDArray[np.floating]
) -> LinearClassifier:
    """Fit a multinomial logistic regression with an L2 penalty (L-BFGS).

    Parameters
    ----------
    features : (P, F) float32 array
    named : (P,) array of int
        Label of each pixel, 0 to K - 1; every label occurs.
    weights : (P,) array
        How much each pixel counts.
    """
    count, labels = len(named), int(named.max()) + 1
    points = np.concatenate([features, np.ones((count, 1), np.float32)], axis=1)
    across = np.ascontiguousarray(points.T)  # (F + 1, P)
    target = np.zeros((labels, count), np.float32)
    target[named, np.arange(count)] = 1
    scaled = (STRENGTH * np.asarray(weights)).astype(np.float32)
    shape = labels, points.shape[1]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        table = flat.reshape(shape).astype(np.float32)
        scores = table @ across
        scores -= scores.max(axis=0)
        error = np.exp(scores)
        total = error.sum(axis=0)
        chosen = (scores * target).sum(axis=0) - np.log(total)
        error /= total
        error -= target
        error *= scaled
        slope = error @ points
        slope[:, :-1] += table[:, :-1]
        value = 0.5 * float((table[:, :-1] ** 2).sum()) - float(chosen @ scaled)
        return value, slope.astype(np.float64).ravel()

    found = minimize(
        loss,
        np.zeros(shape[0] * shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": STEPS, "ftol": TOLERANCE},
    )
    table = found.x.reshape(shape).astype(np.float32)
    return LinearClassifier(table[:, :-1], table[:, -1])
