"""Learn the classes of objects from those that a person has named.

Three sources are compared on the named objects:

- the scores of the run (words, and prototypes of other images): how many named objects they get
  right, or how many of the objects that are most similar to them get the same class. The second
  counts where a person names only objects with a wrong class: all others may be right;
- the network's patch features: how many get the class of the most similar other named object;
- properties of the objects (size, shape, colour): the same.

Randomised trees of the properties always count. The class with the highest score counts by the log
odds that it is right, so that words without meaning count nothing and words that agree with the
named objects outweigh the trees. The most similar features count in the same way, but only where
they are better than the scores and the properties by more than chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.special import log_softmax

TREES = 100
SEED = 0
FLOOR = 0.1
"""Probability that is added to each class of the trees, so that none is ruled out."""
WITHOUT_EXAMPLE = 0.04
"""Probability of a class without a named object, which the trees do not know."""
SIMILAR = 3
"""How many objects that are similar to a named one are compared with it."""
BEYOND_CHANCE = 1.5
"""Standard deviations by which features must be better to be used."""

Rows = NDArray[np.float64]


def probabilities(
    winners: NDArray[np.integer],
    properties: Rows,
    features: Rows,
    named: NDArray[np.integer],
    classes: int,
) -> Rows:
    """Return how probable each class of each object is.

    Parameters
    ----------
    winners : (N,) array of int
        The class with the highest score, from 0.
    properties : (N, F) array
        See `object_features.object_properties`.
    features : (N, D) array
        Mean patch features.
    named : (N,) array of int
        The class that a person gave, from 0; -1 for the others. At least one is given.
    classes : int

    Returns
    -------
    (N, classes) float64 array
        Rows sum to 1.
    """
    # Importing it takes a second, and most runs name no object.
    from sklearn.ensemble import ExtraTreesClassifier  # noqa: PLC0415

    known = np.flatnonzero(named >= 0)
    truth = named[known]
    rows = np.arange(len(named))
    trees = ExtraTreesClassifier(TREES, random_state=SEED).fit(properties[known], truth)
    found = np.full((len(named), classes), WITHOUT_EXAMPLE)
    found[:, trees.classes_] = trees.predict_proba(properties)
    logits = np.log(found + FLOOR)
    right = (winners[known] == truth).astype(np.float64)
    sizes, patches = _unit(properties), _unit(_normalised(features))
    similar = (_similar_right(one, winners, named) for one in (sizes, patches))
    agreed = max((right, *similar), key=np.sum)
    logits[rows, winners] += _log_odds(agreed, classes)
    # A single object of a class does not tell how well others of the class are found.
    judged = np.bincount(truth, minlength=classes)[truth] > 1
    if judged.any():
        alike = _nearest_right(patches, known, truth)[judged]
        plain = max(agreed[judged], _nearest_right(sizes, known, truth)[judged], key=np.sum)
        gain = alike - plain
        if gain.sum() > BEYOND_CHANCE * np.sqrt(np.abs(gain).sum()):
            logits[rows, _nearest(patches, patches[known], truth)] += _log_odds(alike, classes)
    probable: Rows = np.exp(log_softmax(logits, axis=1))
    return probable


def _log_odds(right: Rows, classes: int) -> float:
    """Return the weight of a vote from its hits on objects of known class; 0 or more."""
    hits = float(right.sum())
    odds = (hits + 0.5) / (len(right) - hits + 0.5)
    return max(float(np.log(odds * max(classes - 1, 1))), 0.0)


def _unit(columns: NDArray[np.floating]) -> Rows:
    """Columns with mean 0 and standard deviation 1."""
    spread: Rows = (columns - columns.mean(axis=0)) / (columns.std(axis=0) + 1e-6)
    return spread


def _normalised(rows: Rows) -> Rows:
    """Rows of length 1."""
    lengths: Rows = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows / lengths


def _similar_right(points: Rows, winners: NDArray[np.integer], named: NDArray[np.integer]) -> Rows:
    """Share of the objects similar to each named one whose highest score is that of its class."""
    known, others = np.flatnonzero(named >= 0), np.flatnonzero(named < 0)
    if len(others) < SIMILAR:
        return np.zeros(len(known))
    similar = cKDTree(points[others]).query(points[known], SIMILAR)[1]
    share: Rows = (winners[others[similar]] == named[known, None]).mean(axis=1)
    return share


def _nearest(points: Rows, examples: Rows, truth: NDArray[np.integer]) -> NDArray[np.integer]:
    """The class of the nearest example of each point."""
    found: NDArray[np.integer] = truth[cKDTree(examples).query(points)[1]]
    return found


def _nearest_right(points: Rows, known: NDArray[np.integer], truth: NDArray[np.integer]) -> Rows:
    """Whether each named object has the class of the nearest other one, 0 or 1."""
    examples = points[known]
    away = cdist(examples, examples)
    np.fill_diagonal(away, np.inf)
    found: Rows = (truth[away.argmin(axis=1)] == truth).astype(np.float64)
    return found
