"""Propagate user hints (strokes and clicks) to the pixels that are like them.

Three estimates are multiplied, each strong where the others are weak:

- a linear classifier of colour, edges and texture (`classifier`), which knows single pixels;
- a harmonic function on the graph of small superpixels (Zhu, Ghahramani and Lafferty, ICML 2003)
  with the nearest hint (`nearest_hint`) as a weak prior, which keeps to edges;
- a random walk with restart between larger superpixels, which knows what belongs together.

The background is everything that is no class, and few hints on it do not show all of it. So it is
taken to be more probable, the less often it was hinted at. A click on the largest mistake should
correct it and change little elsewhere: so a label with more hints than others does not take what is
far from all hints.

How text scores take part is this project's own rule:

- Labels with hints compete with each other. A label without hints keeps its text scores: where it
  is the label by text, it competes with the hinted ones, with superpixels of it as examples.
- Text scores count less where hints contradict them: in superpixels that the walk reaches from
  these hints. Hints that confirm the text scores work against this.
- A hint next to a region to which the text scores already give the hinted class is taken as a
  correction of an edge: text scores count less in its own superpixel only.
- If the text scores find nothing, every class has hints, and there are at least two labels with
  hints, one of these wins everywhere.

Pure functions. Notation: n superpixels, m larger ones, T classes, K labels that compete.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from .affinity import OPEN, ImageAffinity
from .classifier import LinearClassifier, fit_classifier
from .cross_validation import separate_hints, walk_reliability
from .nearest_hint import nearest_hint

WALK, GRAPH, PIXEL = 0.7, 1.0, 0.1
"""Exponents of the three estimates in their product."""
PRIOR = 0.005
"""How strongly the nearest hint pulls at the graph, relative to all similar superpixels."""
BACKGROUND = 1.0
"""Logarithm of how much more probable the background is than a class, by one hint on it. It falls
with the square root of the number of hints."""
BEFORE = 1.0
"""Hints that every hinted label is taken to have had before its first. Far from all hints, the
graph gives each label its share of the hints; so without this, one hint more would change much
there."""
LEVELLED = 0.5
"""Share of the difference between labels in the median superpixel that is removed from the graph,
with one hint on each. There, far from all hints, it tells how well a hint is connected. With more
hints it tells how large labels are: the share falls with the geometric mean of their numbers."""
LEAST = 1e-6
"""Smallest probability of the graph and the walk."""
LEAST_PIXEL = 1e-3
"""The same for the classifier."""

BELIEF = 0.6
"""Weight of the text scores where there are no hints; in units of `ImageAffinity.reach`."""
SURE = 0.5
"""A superpixel has a label by text if at least this fraction of its pixels has it."""

PAINTED, RIM = 0.9, 0.5
"""A superpixel of which less than `RIM` is painted, beside one of which at least `PAINTED` is, says
nothing to others: the rim of an outline that is a little too large is no wrong hint."""
ROUNDING = 1e-4
MOST_PIXELS = 3000
"""Hinted pixels, and superpixels, that the classifier learns from."""
DOUBTED = 0.6
"""Where hints contradict the text scores more than this, a superpixel is no example."""
EXAMPLES = 100
"""Superpixels that stand for a label without hints."""
EXAMPLE_WEIGHT = 0.2
"""Weight of these relative to the hints of a label."""
ACROSS = (2.0, 3.0)
"""The walk is left out if the smallest hinted object is at most the first number times as wide as
its superpixels, and counts in full from the second number on."""

ITERATIONS, RESIDUAL = 100, 1e-4


@dataclass(frozen=True, eq=False)
class Propagated:
    """How well each label fits each superpixel and pixel, by the hints.

    Parameters
    ----------
    labels : (K,) int array
        Labels that compete, 0 for background, i + 1 for class i, in ascending order.
    hinted : (K,) bool array
        Whether a label has hints. The others win only where they are the label by text.
    by_region : (K, n) float32 array
        Logarithm of the graph's and the walk's estimate.
    contradicted : (n,) float32 array
        How much hints speak against the text scores, 0 to 1.
    classifier : LinearClassifier
        Of the K labels, by pixel features.
    affinity : ImageAffinity
    hint_labels : (Y, X) int32 array
        `OPEN` for no hint, 0 for background, i + 1 for class i.
    """

    labels: NDArray[np.int64]
    hinted: NDArray[np.bool_]
    by_region: NDArray[np.float32]
    contradicted: NDArray[np.float32]
    classifier: LinearClassifier
    affinity: ImageAffinity
    hint_labels: NDArray[np.int32]


def propagate(
    affinity: ImageAffinity,
    hint_labels: NDArray[np.int32],
    by_text: NDArray[np.integer],
    classes: int,
) -> Propagated:
    """Estimate how well each label fits each superpixel.

    Parameters
    ----------
    affinity : ImageAffinity
    hint_labels : (Y, X) int32 array
        `OPEN` for no hint, 0 for background, i + 1 for class i. There is at least one hint.
    by_text : (Y, X) array of int
        Labels predicted from the text scores.
    classes : int
        T.
    """
    members, hint = separate_hints(affinity, hint_labels)
    known = _without_rims(affinity, hint_labels)
    node, named = affinity.regions[known], hint_labels[known].astype(np.int64)  # (P,)
    count = len(affinity.means)
    with_hints = np.unique(named)
    shares = _shares(affinity, by_text, classes + 1)  # (n, T + 1)
    votes = _counted(node, named, (count, classes + 1))
    pixels = np.maximum(votes.sum(axis=1), 1)
    votes /= pixels[:, None]  # share of the hints
    agree = np.bincount(node, by_text[known] == named, minlength=count) / pixels
    contradicted = _contradicted(affinity, votes, agree.astype(np.float32), shares)
    examples = _examples(shares, with_hints, votes, contradicted)
    labels = np.union1d(with_hints, list(examples)).astype(np.int64)
    seeds = votes[:, labels]  # (n, K)

    points, answers, weights = _training(
        affinity, known, np.searchsorted(labels, named), labels, examples
    )
    classifier = fit_classifier(points, answers, weights)
    prior = nearest_hint(points, answers, affinity.means)
    for label, nodes in examples.items():
        prior[nodes] = labels == label
    spread = _harmonic(affinity, seeds, prior)
    counts = np.bincount(hint)[with_hints]
    walk = WALK * _walk_weight(affinity, spread, seeds) * walk_reliability(affinity, members, hint)
    walk /= np.sqrt(counts.mean())  # it is coarse: with many hints, the graph knows better
    by_region = GRAPH * np.log(spread) + walk * np.log(_walked(affinity, seeds, labels, examples))
    hinted = np.isin(labels, with_hints)
    free = ~seeds.any(axis=1)
    if free.any():
        by_region[np.ix_(free, hinted)] += _balance(spread[np.ix_(free, hinted)], counts)
    if with_hints[0] == 0:
        by_region[:, 0] += BACKGROUND / np.sqrt(counts[0])
    return Propagated(
        labels,
        hinted,
        np.ascontiguousarray(by_region.T, np.float32),
        contradicted,
        classifier,
        affinity,
        hint_labels,
    )


def _without_rims(
    affinity: ImageAffinity, hint_labels: NDArray[np.int32]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pixels with hints, except in superpixels that a painted area only touches."""
    rows, columns = np.nonzero(hint_labels != OPEN)
    node, named = affinity.regions[rows, columns], hint_labels[rows, columns]
    shares = _counted(node, named, (len(affinity.means), int(named.max()) + 1))
    shares /= affinity.sizes[:, None]
    beside = affinity.touching.astype(np.float32) @ (shares >= PAINTED).astype(np.float32) > 0
    inside = ~(beside & (shares < RIM))[node, named]
    return rows[inside], columns[inside]


def _counted(
    node: NDArray[np.integer], named: NDArray[np.integer], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return how often each pair of a superpixel and a label occurs."""
    pairs = node.astype(np.int64) * shape[1] + named
    counts = np.bincount(pairs, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float32)


# ---------------------------------------------------------------------- labels by text


def _shares(
    affinity: ImageAffinity, labels: NDArray[np.integer], kinds: int
) -> NDArray[np.float32]:
    """Return the fraction of each superpixel's pixels that has each label, (n, kinds)."""
    count = len(affinity.means)
    flat = affinity.regions.ravel().astype(np.int64) * kinds + labels.ravel()
    table = np.bincount(flat, minlength=count * kinds).reshape(count, kinds)
    return (table / affinity.sizes[:, None]).astype(np.float32)


def _examples(
    shares: NDArray[np.float32],
    with_hints: NDArray[np.integer],
    votes: NDArray[np.float32],
    contradicted: NDArray[np.float32],
) -> dict[int, NDArray[np.int64]]:
    """Return superpixels without hints that are examples of their label by text, by label."""
    every_class = np.count_nonzero(with_hints) == shares.shape[1] - 1
    if not shares[:, 1:].any() and (0 in with_hints or (every_class and len(with_hints) > 1)):
        return {}
    free = ~votes.any(axis=1) & (contradicted < DOUBTED)
    found = {}
    for label in np.flatnonzero(shares.any(axis=0)).tolist():
        nodes = np.flatnonzero((shares[:, label] >= SURE) & free)
        if len(nodes):
            found[label] = nodes
        elif label not in with_hints:
            found[label] = np.array([shares[:, label].argmax()])
    return found


def _contradicted(
    affinity: ImageAffinity,
    votes: NDArray[np.float32],
    right: NDArray[np.float32],
    shares: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return how much hints speak against the text scores in each superpixel, (n,), 0 to 1.

    Parameters
    ----------
    affinity : ImageAffinity
    votes : (n, T + 1) float32 array
        Share of each label in the hints of a superpixel; 0 without hints.
    right : (n,) float32 array
        Share of the hints that agree with the text scores.
    shares : (n, T + 1) float32 array
        Share of each label by text.
    """
    wrong = votes.sum(axis=1) - right
    wrong[wrong < ROUNDING] = 0
    near = affinity.touching.astype(np.float32)
    beside = (shares >= SURE).astype(np.float32)
    beside = beside + near @ beside
    beside = (beside + near @ beside) > 0  # at most two steps away
    edge = np.minimum((votes * beside).sum(axis=1), wrong)
    believed = shares / np.maximum(shares.sum(axis=0), 1)
    into = sparse.csr_array(
        (np.ones(len(shares), np.float32), (affinity.walked, np.arange(len(shares)))),
        shape=(len(affinity.reach), len(shares)),
    )
    starts = into @ np.column_stack([wrong - edge, right, believed])
    reached = (affinity.reach.numpy() @ starts)[affinity.walked]
    against, for_ = reached[:, 0], reached[:, 1] + (reached[:, 2:] * shares).sum(axis=1)
    found = against / (against + for_ + BELIEF)
    contradicted: NDArray[np.float32] = np.maximum(found, edge).astype(np.float32)
    return contradicted


# ---------------------------------------------------------------------- the three estimates


def _training(
    affinity: ImageAffinity,
    known: tuple[NDArray[np.intp], ...],
    named: NDArray[np.integer],
    labels: NDArray[np.int64],
    examples: dict[int, NDArray[np.int64]],
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.float64]]:
    """Return features, labels and weights of hinted pixels and of the examples."""
    step = -(-len(named) // MOST_PIXELS)
    order = np.argsort(named, kind="stable")
    first = np.unique(named[order], return_index=True)[1]
    chosen = order[np.union1d(np.arange(0, len(order), step), first)]
    points = [affinity.features.at(known[0][chosen], known[1][chosen])]
    answers = [named[chosen]]
    for label, nodes in examples.items():
        some = nodes[:: -(-len(nodes) // EXAMPLES)]
        points.append(affinity.means[some])
        answers.append(np.full(len(some), np.searchsorted(labels, label)))
    answer = np.concatenate(answers)
    hinted = np.arange(len(answer)) < len(chosen)
    kinds = answer + len(labels) * ~hinted  # hints of a label, and examples of it
    counts = np.bincount(kinds)
    each = len(chosen) / len(labels) * np.where(hinted, 1, EXAMPLE_WEIGHT) / counts[kinds]
    return np.concatenate(points), answer, each


def _harmonic(
    affinity: ImageAffinity, seeds: NDArray[np.float32], prior: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the probability of each label in each superpixel by the graph, (n, K)."""
    root = np.sqrt(affinity.alike.sum(axis=1)).astype(np.float32)
    scaled = sparse.diags_array(1 / root) @ affinity.alike @ sparse.diags_array(1 / root)
    given = seeds.any(axis=1)
    free = np.flatnonzero(~given)
    rows = scaled.tocsr()[free]
    system = (1 + PRIOR) * sparse.eye_array(len(free), dtype=np.float32) - rows[:, free]
    right = PRIOR * root[free, None] * prior[free] + rows[:, given] @ (
        root[given, None] * seeds[given]
    )
    found = seeds.copy()
    found[free] = _solved(system.tocsr(), right) / root[free, None]
    found = np.maximum(found, LEAST)
    probable: NDArray[np.float32] = found / found.sum(axis=1, keepdims=True)
    return probable


def _balance(spread: NDArray[np.float32], counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return what is added to the logarithm of each hinted label, so that one hint changes little.

    Parameters
    ----------
    spread : (n, K) float32 array
        Probability of the hinted labels by the graph, in superpixels without hints.
    counts : (K,) array of int
        Separate hints of each label.
    """
    levelled = LEVELLED / np.exp(np.log(counts).mean())
    balance = (1 - levelled) * np.log1p(BEFORE / counts)
    balance -= levelled * np.median(np.log(spread), axis=0)
    shifts: NDArray[np.float64] = balance - balance.mean()
    return shifts


def _solved(system: sparse.csr_array, right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Solve a symmetric positive definite system for several right-hand sides, (n, K).

    By conjugate gradients. The condition number is at most 2 / `PRIOR`, so few steps are needed.
    """
    found = np.zeros_like(right)
    residual, direction = right.copy(), right.copy()
    square = (residual**2).sum(axis=0)
    enough = RESIDUAL**2 * square
    for _ in range(ITERATIONS):
        if (square <= enough).all():
            break
        image = system @ direction
        step = square / np.maximum((direction * image).sum(axis=0), 1e-30)
        found += step * direction
        residual -= step * image
        new = (residual**2).sum(axis=0)
        direction = residual + new / np.maximum(square, 1e-30) * direction
        square = new
    return found


def _walked(
    affinity: ImageAffinity,
    seeds: NDArray[np.float32],
    labels: NDArray[np.int64],
    examples: dict[int, NDArray[np.int64]],
) -> NDArray[np.float32]:
    """Return the probability of each label in each superpixel by the walk, (n, K)."""
    starts = np.zeros((len(affinity.reach), len(labels)), np.float32)
    for index, label in enumerate(labels.tolist()):
        nodes = np.flatnonzero(seeds[:, index])
        nodes = nodes if len(nodes) else examples[label]
        starts[np.unique(affinity.walked[nodes]), index] = 1
    starts /= np.maximum(starts.sum(axis=0), 1)  # more hints do not mean a larger object
    density = np.maximum(affinity.reach.numpy() @ starts, LEAST)
    found: NDArray[np.float32] = density / density.sum(axis=1, keepdims=True)
    return found[affinity.walked]


def _walk_weight(
    affinity: ImageAffinity, spread: NDArray[np.float32], seeds: NDArray[np.float32]
) -> float:
    """Return how much the larger superpixels count, 0 to 1: less for small hinted objects."""
    best = spread.argmax(axis=1)
    pairs = affinity.touching.tocoo()
    same = best[pairs.row] == best[pairs.col]
    objects = sparse.csr_array(
        (np.ones(int(same.sum()), bool), (pairs.row[same], pairs.col[same])), shape=pairs.shape
    )
    part = connected_components(objects, directed=False)[1]
    areas = np.bincount(part, affinity.sizes)
    widths = []
    for index in range(seeds.shape[1]):
        parts = np.unique(part[np.flatnonzero(seeds[:, index])])
        if len(parts):
            widths.append(2 * np.sqrt(np.median(areas[parts]) / np.pi))
    large = np.sqrt(affinity.regions.size / len(affinity.reach))
    low, high = ACROSS
    return float(np.clip((min(widths) / large - low) / (high - low), 0, 1))
