"""Hints simulated from the ground truth of a scene: clicks, strokes, corrections.

They are (Y, X) int arrays: `OPEN` where there is no hint, else the true label.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from labelled_folders import UNKNOWN
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label as numbered
from skimage.morphology import skeletonize

from napari_cliper.segmentation import OPEN

Labels = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]

RADIUS = 2
"""Radius of the disc of a click, in pixels."""
LEAST = 20
"""Fewest pixels of a class that gets a hint."""
REACH = 40
"""Farthest that a stroke is from the deepest point of its class, in pixels."""
INVENTED = (
    "zorfel", "quibbix", "mandrone", "plivet", "trasko", "wemblin", "yuxor", "grentle", "fopsic",
    "brundal", "vextor", "jolmic", "hespid", "kurvane", "dwimble", "ostrake",
)  # fmt: skip
"""Names of classes that mean nothing to a model."""


def clicks(truth: Labels, count: int, seed: int | None = None) -> Labels:
    """Clicks on each class: the first at its deepest point, the next ones deep and far from it.

    With a seed, each click is at a random point near that one, at least half as deep. Pixels of
    `UNKNOWN` truth get no click.
    """
    hint_labels = np.full(truth.shape, OPEN)
    random = None if seed is None else np.random.default_rng(seed)
    for label, mask in _present(truth):
        depth = _depth(mask)
        away = np.full(mask.shape, np.inf)
        for number in range(count):
            score = np.minimum(2 * depth, away) if number else depth
            point = _highest(np.where(mask, score, 0))
            if random is not None:
                point = _jittered(point, depth, random)
            away = np.minimum(away, _distance(truth.shape, point))
            hint_labels[_disc(truth, point)] = label
    return hint_labels


def _jittered(
    point: tuple[int, int], depth: NDArray[np.float64], random: np.random.Generator
) -> tuple[int, int]:
    """Return a random point within the depth of a point that is at least half as deep."""
    near = (_distance(depth.shape, point) <= depth[point]) & (depth >= depth[point] / 2)
    row, column = random.choice(np.argwhere(near))
    return int(row), int(column)


def strokes(truth: Labels) -> Labels:
    """One stroke on each class: the piece of its skeleton around its deepest point."""
    hint_labels = np.full(truth.shape, OPEN)
    for label, mask in _present(truth):
        away = _distance(truth.shape, deepest(mask))
        parts = numbered(skeletonize(mask) & (away <= REACH), connectivity=2)
        nearest = np.where(parts > 0, away, np.inf).argmin()
        stroke = parts == parts.flat[nearest]
        hint_labels[ndimage.binary_dilation(stroke) & mask] = label
    return hint_labels


def kept(labels: Labels, hint_labels: Labels) -> Labels:
    """Return labels with the hinted pixels set."""
    return np.where(hint_labels == OPEN, labels, hint_labels)


def deepest(mask: Mask) -> tuple[int, int]:
    """The pixel of a mask that is farthest from its edge."""
    return _highest(_depth(mask))


def corrections(truth: Labels, given: Labels, count: int) -> Labels:
    """A click at the deepest point of each of the largest errors in some labels.

    An error is a connected region of wrong pixels of one true class.
    """
    hint_labels = np.full(truth.shape, OPEN)
    wrong = np.where(truth == given, 0, truth.astype(int) + 1)
    regions = numbered(wrong, background=0, connectivity=1)
    sizes = np.bincount(regions.ravel())[1:]
    for index in np.argsort(-sizes, kind="stable")[:count]:
        point = deepest(regions == index + 1)
        hint_labels[_disc(truth, point)] = truth[point]
    return hint_labels


def _present(truth: Labels) -> Iterator[tuple[int, Mask]]:
    for label in np.unique(truth[truth != UNKNOWN]):
        mask = truth == label
        if mask.sum() >= LEAST:
            yield int(label), mask


def _depth(mask: Mask) -> NDArray[np.float64]:
    """Distance of each pixel to the edge of a mask; the image's border is an edge too."""
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return depth


def _highest(values: NDArray[np.float64]) -> tuple[int, int]:
    row, column = np.unravel_index(values.argmax(), values.shape)
    return int(row), int(column)


def _distance(shape: tuple[int, ...], point: tuple[int, int]) -> NDArray[np.float64]:
    rows, columns = np.indices(shape)
    away: NDArray[np.float64] = np.hypot(rows - point[0], columns - point[1])
    return away


def _disc(truth: Labels, point: tuple[int, int]) -> Mask:
    """The pixels of a click; it does not leave the class of its point."""
    disc: Mask = (_distance(truth.shape, point) <= RADIUS) & (truth == truth[point])
    return disc
