"""Labels from score maps and thresholds. Pure functions.

Sources: CLIPer (arXiv 2411.13836) for `cliper_best`; SCLIP (2312.01597), ClearCLIP (2407.12442)
and ProxyCLIP (2408.04883) for `probability_best`. Both process a part of the image at a time, so
that memory does not grow with the number of classes.

Notation: T classes, (h, w) the grid of the maps, (Y, X) the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import unknown_choice
from ..features.pixel_planes import PixelPlanes
from ..majority import majority_of_masks
from ..tiles import Window
from .thresholds import Thresholds

LabelArray = NDArray[np.uint8 | np.uint16]

COMPETING_BACKGROUND = (3 - 5**0.5) / 2
"""The score that equals (1 - score)^2."""


@dataclass(frozen=True, eq=False)
class BestClass:
    """The best class of each pixel and its score, before the background is considered.

    Parameters
    ----------
    value : (Y, X) float32 tensor
        Score of the best class; 0 where no class is present.
    label : (Y, X) uint8 or uint16 array
        1 + the index of the best class; 0 where no class is present.
    """

    value: Tensor
    label: LabelArray


@dataclass(frozen=True, eq=False)
class LabelRule:
    """The rule that decides whether a pixel gets its best class or the background.

    Parameters
    ----------
    thresholds : (T + 1,) float64 array
        The score that a pixel must reach, indexed by the label of its best class.
    background_competes : bool
        Whether the background has the score (1 - best score)^2 where the threshold is 0 or less
        (CLIPer).
    masks : (Y, X) array of int, optional
        Masks whose pixels all get their most frequent label (see `majority_of_masks`).
    """

    thresholds: NDArray[np.float64]
    background_competes: bool
    masks: NDArray[np.integer] | None = None

    @classmethod
    def of(
        cls,
        thresholds: Thresholds,
        names: Sequence[str],
        *,
        background_competes: bool,
        masks: NDArray[np.integer] | None = None,
    ) -> LabelRule:
        """The rule for named classes, whose labels are 1, 2, ...

        Raises
        ------
        InvalidInputError
            For a per-class threshold of an unknown class.
        """
        values = np.full(len(names) + 1, thresholds.background_threshold, np.float64)
        for name, threshold in thresholds.per_class.items():
            if name not in names:
                raise unknown_choice("class", name, tuple(names))
            values[names.index(name) + 1] = threshold
        return cls(values, background_competes, masks)

    def labels(self, best: BestClass) -> LabelArray:
        """Labels (Y, X): the best class, or 0 where the background wins.

        Parameters
        ----------
        best : BestClass
            Of the whole image, if there are `masks`.
        """
        won = self._reached(best.value, float(self.thresholds[0]))
        for label in np.flatnonzero(self.thresholds != self.thresholds[0]).tolist():
            of_class = best.label == label
            won[of_class] = self._reached(best.value, float(self.thresholds[label]))[of_class]
        labels: LabelArray = np.multiply(best.label, won, dtype=best.label.dtype)
        return labels if self.masks is None else majority_of_masks(labels, self.masks)

    def _reached(self, value: Tensor, threshold: float) -> NDArray[np.bool_]:
        if threshold <= 0 and self.background_competes:
            return (value > (1 - value) ** 2).numpy()
        return (value >= threshold).numpy()

    @property
    def background_scores(self) -> NDArray[np.float32]:
        """The score of the background against each best class, (T + 1,) indexed by label.

        For scores that hints have changed. A competing background gets the constant score at
        which (1 - score)^2 equals the score. Unlike the square, it does not win against scores
        above 2.6.
        """
        scores = self.thresholds.astype(np.float32)
        if self.background_competes:
            scores[scores <= 0] = COMPETING_BACKGROUND
        return scores


@dataclass(frozen=True, eq=False)
class RankedBest:
    """The best classes for every class threshold at once.

    A class threshold keeps the classes with the highest scores. There are therefore T + 1 cases:
    no class is present, the first, the first two, ...

    Parameters
    ----------
    scores : tuple of float
        Class scores, in descending order.
    bests : tuple of BestClass
        ``bests[k]`` is for the k highest classes; T + 1 of them.
    """

    scores: tuple[float, ...]
    bests: tuple[BestClass, ...]

    def at(self, class_threshold: float) -> BestClass:
        """The best classes if only classes with a score above the threshold are present."""
        threshold = np.float32(class_threshold)  # scores are float32: 0.6 is not above 0.6
        return self.bests[sum(bool(score > threshold) for score in self.scores)]


def label_dtype(classes: int) -> np.dtype[np.uint8 | np.uint16]:
    """The smallest unsigned integer type for this many classes and the background."""
    return np.dtype(np.uint8 if classes < 256 else np.uint16)


Spans = dict[int, tuple[float, float]]
"""The lowest and the highest value of some classes, by their indices."""


@dataclass(frozen=True, eq=False)
class ClassRanges:
    """The lowest and the highest value of each class over all pixels of an image.

    Parameters
    ----------
    low, high : tuple of T float
    """

    low: tuple[float, ...]
    high: tuple[float, ...]


def class_ranges(
    source: PixelPlanes,
    chosen: Sequence[int] | None = None,
    known: Spans | None = None,
) -> ClassRanges:
    """Find the range of each class, in one pass over the image.

    Parameters
    ----------
    source : PixelPlanes
    chosen : sequence of int, optional
        The classes whose range is needed; that of others may be nan. Default: all.
    known : Spans, optional
        Ranges found before, by class; those found now are added.
    """
    every, known = range(source.count), {} if known is None else known
    missing = [index for index in (every if chosen is None else chosen) if index not in known]
    if missing:
        parts = [
            torch.stack([torch.stack(plane.aminmax()) for plane in source.at(window, missing)])
            for window in source.windows()
        ]  # (classes, 2) each
        low, high = torch.stack(parts).amin(dim=0)[:, 0], torch.stack(parts).amax(dim=0)[:, 1]
        known.update(zip(missing, zip(low.tolist(), high.tolist(), strict=True), strict=True))
    found = [known.get(index, (nan, nan)) for index in every]
    return ClassRanges(tuple(low for low, _ in found), tuple(high for _, high in found))


@dataclass(frozen=True, eq=False)
class CliperScores:
    """The scores of each pixel that CLIPer's rule compares.

    The values of a class are divided by its maximum over the image and multiplied by its class
    score; with `min_max` they are then normalised to 0 to 1 over the image.

    Parameters
    ----------
    source : PixelPlanes
        The maps of T classes.
    ranges : ClassRanges
        See `class_ranges`.
    class_scores : (T,) array
    min_max : bool
    """

    source: PixelPlanes
    ranges: ClassRanges
    class_scores: NDArray[np.float32]
    min_max: bool

    def at(self, window: Window, chosen: Sequence[int]) -> list[Tensor]:
        """Scores of chosen classes in a part of the image, (height, width) float32 each."""
        return self.scaled(self.source.at(window, chosen), chosen)

    def scaled(self, planes: Tensor, chosen: Sequence[int]) -> list[Tensor]:
        """Turn planes of chosen classes into their scores, in place."""
        scores = list(planes)
        for index, plane in zip(chosen, scores, strict=True):
            low, high = self.ranges.low[index], self.ranges.high[index]
            gain, offset = float(self.class_scores[index]) / (high + 1e-5), 0.0
            if self.min_max:
                gain /= (high - low) * gain + 1e-6
                offset = -low * gain
            plane.mul_(gain).add_(offset)
        return scores


def cliper_best(
    scores: CliperScores, *, class_threshold: float, window: Window | None = None
) -> BestClass:
    """The best class of each pixel by CLIPer's rule, of those with a score above the threshold.

    Parameters
    ----------
    scores : CliperScores
    class_threshold : float
    window : Window, optional
        A part of the image. Default: all of it.
    """
    order = classes_above(class_threshold, scores.class_scores)
    dtype = label_dtype(scores.source.count)

    def best_in(part: Window) -> tuple[Tensor, LabelArray]:
        value, label = torch.zeros(part.shape), np.zeros(part.shape, dtype)
        if order:
            for index, plane in zip(order, scores.at(part, order), strict=True):
                label[(plane > value).numpy()] = index + 1
                torch.maximum(value, plane, out=value)
        return value, label

    if window is not None:
        return BestClass(*best_in(window))
    best = BestClass(torch.empty(scores.source.shape), np.empty(scores.source.shape, dtype))
    for part in scores.source.windows():
        best.value[part.slices], best.label[part.slices] = best_in(part)
    return best


def cliper_prefixes(scores: CliperScores) -> tuple[BestClass, ...]:
    """The best class of each pixel by CLIPer's rule, for 0, 1, ... T classes.

    Returns
    -------
    tuple of BestClass
        T + 1 of them: without a class, with the highest-scoring class, with the two highest, ...
    """
    order, shape = _ordered(scores.class_scores), scores.source.shape
    values = torch.zeros(len(order) + 1, *shape)
    labels = np.zeros((len(order) + 1, *shape), label_dtype(len(order)))
    for part in scores.source.windows():
        planes = scores.at(part, order)
        for count, (index, plane) in enumerate(zip(order, planes, strict=True)):
            before = values[count][part.slices]
            torch.maximum(before, plane, out=values[count + 1][part.slices])
            labels[count + 1][part.slices] = np.where(
                (plane > before).numpy(), labels.dtype.type(index + 1), labels[count][part.slices]
            )
    return tuple(BestClass(value, label) for value, label in zip(values, labels, strict=True))


def classes_above(threshold: float, class_scores: NDArray[np.float32]) -> list[int]:
    """Indices of the classes whose scores are above a threshold, the highest first."""
    return [index for index in _ordered(class_scores) if class_scores[index] > threshold]


def _ordered(class_scores: NDArray[np.float32]) -> list[int]:
    """Indices of the classes in descending order of their scores."""
    found: list[int] = np.argsort(-class_scores, kind="stable").tolist()
    return found


ToClasses = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""Function from (Q, ...) planes to the probabilities of classes (T, ...) and of the background
(...), or None without background words."""


def probability_best(
    source: PixelPlanes,
    to_classes: ToClasses,
    *,
    present: Tensor,
    area_threshold: float = 0.0,
    window: Window | None = None,
) -> BestClass:
    """The best class of each pixel by probability: the rule of all methods except CLIPer.

    Parameters
    ----------
    source : PixelPlanes
        Q logits or probabilities.
    to_classes : callable
    present : (T,) bool tensor
        Whether each class is present; an absent class cannot win.
    area_threshold : float
        A class that covers no more than this fraction of all labelled pixels is absent
        (SCLIP on voc21).
    window : Window, optional
        A part of the image. Default: all of it.
    """
    present = present.clone()
    if area_threshold > 0:
        areas = torch.zeros(len(present) + 1)
        for part in source.windows():
            index = _probability_best(to_classes(source.at(part)), present)[1]
            areas += torch.bincount(index.flatten(), minlength=len(areas))
        present &= areas[1:] > area_threshold * areas[1:].sum()
    dtype = label_dtype(len(present))
    if window is not None:
        value, label = _probability_best(to_classes(source.at(window)), present)
        return BestClass(value, label.numpy().astype(dtype))
    best = BestClass(torch.empty(source.shape), np.empty(source.shape, dtype))
    for part in source.windows():
        value, label = _probability_best(to_classes(source.at(part)), present)
        best.value[part.slices], best.label[part.slices] = value, label.numpy()
    return best


def probability_prefixes(
    source: PixelPlanes, to_classes: ToClasses, *, class_scores: Tensor
) -> list[BestClass]:
    """`probability_best` for 0, 1, ... T classes, added in descending order of their score.

    The other parameters are those of `probability_best`.

    Parameters
    ----------
    class_scores : (T,) float tensor

    Returns
    -------
    list of BestClass
        T + 1 of them: without a class, with the highest-scoring class, with the two highest, ...
    """
    order = torch.argsort(class_scores, descending=True, stable=True)
    dtype = label_dtype(len(order))
    values = torch.zeros(len(order) + 1, *source.shape)
    labels = np.zeros((len(order) + 1, *source.shape), dtype)
    for part in source.windows():
        classes, background = to_classes(source.at(part))
        best = torch.zeros(part.shape)
        label = torch.zeros(part.shape, dtype=torch.long)
        for count, index in enumerate([None, *order.tolist()]):
            if index is not None:
                # Of equal classes the one with the lower index wins, as in `probability_best`.
                better = (classes[index] > best) | ((classes[index] == best) & (index + 1 < label))
                label = torch.where(better, index + 1, label)
                best = torch.maximum(best, classes[index])
            value, winner = _against(best, label, background)
            values[count][part.slices] = value
            labels[count][part.slices] = winner.numpy()
    return [BestClass(value, label) for value, label in zip(values, labels, strict=True)]


def probability_planes(
    source: PixelPlanes, to_classes: ToClasses, chosen: Sequence[int]
) -> tuple[Tensor, Tensor | None]:
    """Probabilities of chosen classes at every pixel, (C, Y, X), and of the background, (Y, X).

    The other parameters are those of `probability_best`.
    """
    of_classes = torch.empty(len(chosen), *source.shape)
    of_background = None
    for part in source.windows():
        classes, background = to_classes(source.at(part))
        of_classes[:, *part.slices] = classes[list(chosen)]
        if background is not None:
            of_background = torch.empty(source.shape) if of_background is None else of_background
            of_background[part.slices] = background
    return of_classes, of_background


def _probability_best(
    found: tuple[Tensor, Tensor | None], present: Tensor
) -> tuple[Tensor, Tensor]:
    """Best probability and label (0: background) of each pixel."""
    classes, background = found
    value, index = torch.where(present[:, None, None], classes, 0).max(dim=0)
    return _against(value, torch.where(value > 0, index + 1, 0), background)


def _against(value: Tensor, label: Tensor, background: Tensor | None) -> tuple[Tensor, Tensor]:
    """Probability and label of the winner: the best class or the background words."""
    if background is None:
        return value, label
    return torch.maximum(value, background), torch.where(background >= value, 0, label)
