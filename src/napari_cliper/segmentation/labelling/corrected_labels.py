"""Labels and their uncertainty from text scores and propagated hints. Pure functions.

At each pixel the labels with hints compete with each other and with the label by text. The score of
a label is the product of what the hints say of it (`propagation.label_propagation`) and of its text
score relative to the best one, with an exponent that is small where hints contradict the text. Then
edges between labels are smoothed along those of the image (`edge_smoothing`).

Notation: K labels that compete, (Y, X) the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..features.interpolation import bilinear_region
from ..features.pixel_features import PixelFeatures
from ..propagation.affinity import OPEN
from ..propagation.classifier import LinearClassifier
from ..propagation.label_propagation import LEAST_PIXEL, PIXEL, Propagated
from ..tiles import Window
from .edge_smoothing import BLOCK, reach, smoothed_best, window_radius
from .label_rule import BestClass, LabelArray, LabelRule, label_dtype
from .uncertainty import ScorePlanes

TEXT = 5.0
"""Exponent of the text scores where no hint contradicts them."""
UNTOUCHED = 0.1
"""Where hints contradict the text scores less than this, a label without hints stays."""
CONTRADICTION = 2.0
"""How much a label without hints loses where hints contradict the text scores."""
LEAST_TEXT = 0.05
"""Smallest text score, relative to the best."""
ABSENT = 0.3
"""Relative text score of a class that the text scores do not find in the image."""

BAND_BYTES = 1 << 22
"""Memory for the scores of one band of rows; much more is slower."""


@dataclass(frozen=True, eq=False)
class TextScores:
    """What the text scores say of each pixel.

    Parameters
    ----------
    planes : ScorePlanes
        Scores of the classes with hints that the text scores find.
    best : BestClass
    rule : LabelRule
    labels : (Y, X) array of int
        Labels by text.
    found : bool
        Whether the text scores find any class in the image.
    """

    planes: ScorePlanes
    best: BestClass
    rule: LabelRule
    labels: LabelArray
    found: bool

    def relative(self, labels: list[int], start: int, stop: int) -> Tensor:
        """Return the logarithm of text scores relative to the best of each pixel.

        Returns
        -------
        (len(labels), stop - start, X) float32 tensor
            0 for the label by text and negative for others.
        """
        rows = slice(start, stop)
        by_text = torch.from_numpy(self.labels[rows].astype(np.int64))
        value = self.best.value[rows]
        floors = torch.from_numpy(self.rule.background_scores)
        floor = floors[torch.from_numpy(self.best.label[rows].astype(np.int64))]
        if self.planes.background is not None:
            floor = torch.maximum(floor, torch.from_numpy(self.planes.background[rows]))
        top = torch.where(by_text > 0, value, floor).clamp(min=1e-6)
        found = torch.full((len(labels), *by_text.shape), ABSENT)
        for index, label in enumerate(labels):
            if label == 0:
                found[index] = floor / top
            elif label - 1 in self.planes.chosen:
                plane = self.planes.classes[self.planes.chosen.index(label - 1)]
                found[index] = torch.from_numpy(plane[rows]) / top
            found[index][by_text == label] = 1
        return found.clamp_(LEAST_TEXT, 1).log_()


def corrected_labels(
    propagated: Propagated, text: TextScores, radius: int | None = None
) -> LabelArray:
    """Return the best label of each pixel; pixels with hints keep them.

    Parameters
    ----------
    propagated : Propagated
    text : TextScores
    radius : int, optional
        See `edge_smoothing.window_radius`; must be given for a part of an image.

    Returns
    -------
    (Y, X) uint8 or uint16 array
    """
    found = np.empty(text.labels.shape, label_dtype(text.planes.total))
    labels = propagated.labels.astype(found.dtype)
    features = propagated.affinity.features
    if radius is None:
        radius = window_radius(found.size, len(propagated.affinity.means))
    margin = reach(radius)
    for start, stop, scores in _bands(propagated, text, margin):
        first, end = max(start - margin, 0), min(stop + margin, len(found))
        lightness = features.lightness(first, end).numpy()
        best = smoothed_best(scores.numpy(), lightness, radius, slice(start - first, stop - first))
        found[start:stop] = labels[best]
    hints = propagated.hint_labels
    np.copyto(found, hints, casting="unsafe", where=hints != OPEN)
    return found


def propagated_in(
    propagated: Propagated, shape: tuple[int, int], window: Window, hint_labels: NDArray[np.int32]
) -> Propagated:
    """Return what hints say of the pixels of a part of an image, from a reduced copy of it.

    Parameters
    ----------
    propagated : Propagated
        Of the copy.
    shape : (int, int)
        (Y, X) of the image.
    window : Window
        In pixels of the image.
    hint_labels : int32 array of the shape of the window
        The hints at its pixels.
    """
    affinity, classifier = propagated.affinity, propagated.classifier
    features = affinity.features
    weighted = features.weighted(classifier.weights).levels
    lightness = bilinear_region(features.levels[0][:1], shape, window)
    linear = torch.stack([bilinear_region(one, shape, window) for one in weighted]).sum(dim=0)
    count = len(classifier.weights)
    unit = np.eye(count, count + 1, 1, np.float32)
    rows, columns = (
        np.arange(start, stop) * cells // length
        for start, stop, cells, length in (
            (window.top, window.bottom, affinity.regions.shape[0], shape[0]),
            (window.left, window.right, affinity.regions.shape[1], shape[1]),
        )
    )
    part = replace(
        affinity,
        regions=affinity.regions[rows][:, columns],
        features=PixelFeatures((torch.cat([lightness, linear]),), window.shape),
    )
    return replace(
        propagated,
        affinity=part,
        classifier=LinearClassifier(unit, classifier.offsets),
        hint_labels=hint_labels,
    )


def corrected_uncertainty(
    propagated: Propagated, text: TextScores, by_text: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return how close the two best labels are at every pixel, before edges are smoothed.

    Parameters
    ----------
    propagated : Propagated
    text : TextScores
    by_text : (Y, X) float32 array
        Uncertainty of the text scores; it counts where a label without hints wins.

    Returns
    -------
    (Y, X) float32 array
        In [0, 1]; 0 for pixels with hints.
    """
    found = by_text.copy()
    hinted = torch.from_numpy(propagated.hinted)
    for start, stop, scores in _bands(propagated, text):
        best = scores.topk(min(2, len(scores)), dim=0)
        ratio = torch.zeros(best.values.shape[1:])
        if len(scores) > 1:
            ratio = (best.values[1] - best.values[0]).exp()
        uncertain = (2 * ratio / (1 + ratio)).numpy()
        wins = hinted[best.indices[0]].numpy()
        found[start:stop] = np.where(wins, uncertain, np.maximum(uncertain, found[start:stop]))
    found[propagated.hint_labels != OPEN] = 0
    return found


def _bands(
    propagated: Propagated, text: TextScores, margin: int = 0
) -> Iterator[tuple[int, int, Tensor]]:
    """Yield bands of rows and the scores of their pixels, (K, rows, X).

    The scores have `margin` rows more on both sides, where the image has them. Bands start at
    multiples of `BLOCK`.
    """
    height, width = text.labels.shape
    labels = propagated.labels.tolist()
    weighted = propagated.affinity.features.weighted(propagated.classifier.weights)
    offsets = torch.from_numpy(propagated.classifier.offsets)[:, None, None]
    table = torch.from_numpy(propagated.by_region)
    contradicted = torch.from_numpy(propagated.contradicted)
    with_hints = [label for label, hinted in zip(labels, propagated.hinted, strict=True) if hinted]
    of_hints = torch.from_numpy(np.isin(np.arange(text.planes.total + 1), with_hints))
    rows = torch.from_numpy(np.flatnonzero(propagated.hinted))
    step = max(BAND_BYTES // (4 * len(labels) * width * BLOCK), 1) * BLOCK
    for begin in range(0, height, step):
        end = min(begin + step, height)
        start, stop = max(begin - margin, 0), min(end + margin, height)
        region = torch.from_numpy(propagated.affinity.regions[start:stop].astype(np.int64))
        scores = weighted.rows(start, stop).add_(offsets)
        scores -= scores.amax(dim=0)
        scores.clamp_(min=log(LEAST_PIXEL)).mul_(PIXEL)
        scores += table.index_select(1, region.flatten()).view_as(scores)  # faster than indexing
        if text.found:
            trust = TEXT * (1 - contradicted[region])
            scores[rows] += text.relative(with_hints, start, stop).mul_(trust)
        if len(with_hints) < len(labels):
            by_text = torch.from_numpy(text.labels[start:stop].astype(np.int64))
            stays = (contradicted[region] < UNTOUCHED) & ~of_hints[by_text]
            for index, label in enumerate(labels):
                if propagated.hinted[index]:
                    scores[index].masked_fill_(stays, -torch.inf)
                else:
                    scores[index] -= CONTRADICTION * contradicted[region]
                    scores[index].masked_fill_(by_text != label, -torch.inf)
        yield begin, end, scores
