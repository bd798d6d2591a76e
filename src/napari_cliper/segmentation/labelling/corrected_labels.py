"""Labels and their uncertainty from text scores and propagated hints. Pure functions.

At each pixel the labels with hints compete with each other and with the label by text. The score of
a label is the product of what the hints say of it (`propagation.label_propagation`) and of its text
score relative to the best one, with an exponent that is small where hints contradict the text. Then
edges between labels are smoothed along those of the image (`edge_smoothing`).

Notation: K labels that compete, (Y, X) the image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..cpu_threads import in_threads
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
        floor = _looked_up(floors, torch.from_numpy(self.best.label[rows].astype(np.int64)))
        if self.planes.background is not None:
            floor = torch.maximum(floor, torch.from_numpy(self.planes.background[rows]))
        top = torch.where(by_text > 0, value, floor).clamp(min=1e-6)
        found = torch.full((len(labels), *by_text.shape), ABSENT)
        for relative, label in zip(found, labels, strict=True):
            if label == 0:
                torch.div(floor, top, out=relative)
            elif label - 1 in self.planes.chosen:
                plane = self.planes.classes[self.planes.chosen.index(label - 1)]
                torch.div(torch.from_numpy(plane[rows]), top, out=relative)
            relative.masked_fill_(by_text == label, 1)
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
    scores, margin = _BandScores(propagated, text), reach(radius)

    def label(band: slice) -> None:
        first, end = max(band.start - margin, 0), min(band.stop + margin, len(found))
        lightness = features.lightness(first, end).numpy()
        rows = slice(band.start - first, band.stop - first)
        best = smoothed_best(scores.at(first, end).numpy(), lightness, radius, rows)
        found[band] = labels[best]

    in_threads(label, scores.bands)
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
    scores = _BandScores(propagated, text)

    def compare(band: slice) -> None:
        some = scores.at(band.start, band.stop)
        best = some.topk(min(2, len(some)), dim=0)
        ratio = torch.zeros(best.values.shape[1:])
        if len(some) > 1:
            ratio = (best.values[1] - best.values[0]).exp()
        uncertain = (2 * ratio / (1 + ratio)).numpy()
        wins = hinted[best.indices[0]].numpy()
        found[band] = np.where(wins, uncertain, np.maximum(uncertain, found[band]))

    in_threads(compare, scores.bands)
    found[propagated.hint_labels != OPEN] = 0
    return found


class _BandScores:
    """Scores of the labels that compete, at the pixels of one band of rows at a time."""

    def __init__(self, propagated: Propagated, text: TextScores) -> None:
        self._propagated, self._text = propagated, text
        self._labels = propagated.labels.tolist()
        self._with_hints = propagated.labels[propagated.hinted].tolist()
        self._features = propagated.affinity.features.weighted(propagated.classifier.weights)

    @property
    def bands(self) -> list[slice]:
        """The bands; they begin at multiples of `BLOCK`."""
        height, width = self._text.labels.shape
        step = max(BAND_BYTES // (4 * len(self._labels) * width * BLOCK), 1) * BLOCK
        return [slice(start, min(start + step, height)) for start in range(0, height, step)]

    def at(self, start: int, stop: int) -> Tensor:
        """Return the scores of some rows, (K, stop - start, X) float32."""
        propagated, text = self._propagated, self._text
        region = torch.from_numpy(propagated.affinity.regions[start:stop].astype(np.int64))
        table = torch.from_numpy(propagated.by_region)
        scores = self._features.rows(start, stop)
        scores += torch.from_numpy(propagated.classifier.offsets)[:, None, None]
        scores -= scores.amax(dim=0)
        scores.clamp_(min=log(LEAST_PIXEL)).mul_(PIXEL)
        scores += _looked_up(table, region)
        every_hinted = len(self._with_hints) == len(self._labels)
        if every_hinted and not text.found:
            return scores
        contradicted = _looked_up(torch.from_numpy(propagated.contradicted), region)
        if text.found:
            trust = TEXT * (1 - contradicted)
            by_text = text.relative(self._with_hints, start, stop).mul_(trust)
            for index, one in zip(np.flatnonzero(propagated.hinted).tolist(), by_text, strict=True):
                scores[index] += one  # faster than all at once
        if not every_hinted:
            text_labels = torch.from_numpy(text.labels[start:stop].astype(np.int64))
            of_hints = torch.from_numpy(np.isin(np.arange(text.planes.total + 1), self._with_hints))
            stays = (contradicted < UNTOUCHED) & ~_looked_up(of_hints, text_labels)
            for index, label in enumerate(self._labels):
                if propagated.hinted[index]:
                    scores[index].masked_fill_(stays, -torch.inf)
                else:
                    scores[index] -= CONTRADICTION * contradicted
                    scores[index].masked_fill_(text_labels != label, -torch.inf)
        return scores


def _looked_up(table: Tensor, index: Tensor) -> Tensor:
    """Return the values of a (..., n) table at each place of an index; faster than indexing."""
    return table.index_select(-1, index.flatten()).view(*table.shape[:-1], *index.shape)
