"""Labels from score maps and thresholds. Pure functions.

Sources: CLIPer (arXiv 2411.13836) for `cliper_best`; SCLIP (2312.01597), ClearCLIP (2407.12442)
and ProxyCLIP (2408.04883) for `probability_best`. Both process one class or a few rows at a time,
so that memory does not grow with the number of classes.

Notation: T classes, (h, w) the grid of the maps, (Y, X) the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..errors import unknown_choice
from .thresholds import Thresholds

LabelArray = NDArray[np.uint8 | np.uint16]

COMPETING_BACKGROUND = (3 - 5**0.5) / 2
"""The score that equals (1 - score)^2."""

BLOCK_BYTES = 1 << 26
"""Bytes of memory for one block of rows in `probability_best`."""


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
    """

    thresholds: NDArray[np.float64]
    background_competes: bool

    @classmethod
    def of(
        cls, thresholds: Thresholds, names: Sequence[str], *, background_competes: bool
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
        return cls(values, background_competes)

    def labels(self, best: BestClass) -> LabelArray:
        """Labels (Y, X): the best class, or 0 where the background wins."""
        won = self._reached(best.value, float(self.thresholds[0]))
        for label in np.flatnonzero(self.thresholds != self.thresholds[0]).tolist():
            of_class = best.label == label
            won[of_class] = self._reached(best.value, float(self.thresholds[label]))[of_class]
        labels: LabelArray = np.multiply(best.label, won, dtype=best.label.dtype)
        return labels

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


def pixel_score(plane: Tensor, class_score: float, shape: tuple[int, int]) -> Tensor:
    """Interpolate the map of one class to the image and scale its maximum to the class score.

    Parameters
    ----------
    plane : (h, w) float tensor
    class_score : float
    shape : (int, int)
        (Y, X).

    Returns
    -------
    (Y, X) float32 tensor
    """
    full = F.interpolate(plane[None, None].float(), size=shape, mode="bilinear")[0, 0]
    return full / (full.max() + 1e-5) * class_score


def cliper_plane(
    plane: Tensor, class_score: float, shape: tuple[int, int], *, min_max: bool
) -> Tensor:
    """The scores of one class that CLIPer's rule compares, (Y, X) float32.

    The parameters are those of `pixel_score` and `cliper_prefixes`.
    """
    score = pixel_score(plane, class_score, shape)
    if min_max:
        low, high = score.aminmax()
        score = (score - low) / (high - low + 1e-6)
    return score


def cliper_prefixes(
    maps: Tensor, class_scores: Tensor, shape: tuple[int, int], *, min_max: bool
) -> Iterator[BestClass]:
    """The best class of each pixel by CLIPer's rule, for 0, 1, ... T classes.

    Parameters
    ----------
    maps : (T, h, w) float tensor
    class_scores : (T,) float tensor
    shape : (int, int)
        (Y, X).
    min_max : bool
        Whether each class is min-max normalised over the image.

    Yields
    ------
    BestClass
        T + 1 of them: without a class, with the highest-scoring class, with the two highest, ...
    """
    dtype = label_dtype(len(maps))
    value = torch.zeros(shape)
    label = np.zeros(shape, dtype)
    yield BestClass(value, label)
    for index in torch.argsort(class_scores, descending=True, stable=True).tolist():
        score = cliper_plane(maps[index], float(class_scores[index]), shape, min_max=min_max)
        label = np.where((score > value).numpy(), dtype.type(index + 1), label)
        value = torch.maximum(value, score)
        yield BestClass(value, label)


def cliper_best(
    maps: Tensor,
    class_scores: Tensor,
    shape: tuple[int, int],
    *,
    class_threshold: float,
    min_max: bool,
) -> BestClass:
    """The best class of each pixel by CLIPer's rule, of those above `class_threshold`.

    The other parameters are those of `cliper_prefixes`.
    """
    present = int((class_scores > class_threshold).sum())
    prefixes = cliper_prefixes(maps, class_scores, shape, min_max=min_max)
    return next(islice(prefixes, present, None))


def probability_best(
    planes: Tensor,
    shape: tuple[int, int],
    to_classes: Callable[[Tensor], tuple[Tensor, Tensor | None]],
    *,
    present: Tensor,
    area_threshold: float = 0.0,
) -> BestClass:
    """The best class of each pixel by probability: the rule of all methods except CLIPer.

    Parameters
    ----------
    planes : (Q, h, w) float tensor
        Logits or probabilities; interpolated bilinearly to the image.
    shape : (int, int)
        (Y, X).
    to_classes : callable
        Function from (Q, rows, X) planes to the probabilities of classes (T, rows, X) and of the
        background (rows, X), or None without background words.
    present : (T,) bool tensor
        Whether each class is present; an absent class cannot win.
    area_threshold : float
        A class that covers no more than this fraction of all labelled pixels is absent
        (SCLIP on voc21).
    """
    present = present.clone()
    if area_threshold > 0:
        areas = torch.zeros(len(present) + 1)
        for _, index in _probability_blocks(planes, shape, to_classes, present):
            areas += torch.bincount(index.flatten(), minlength=len(areas))
        present &= areas[1:] > area_threshold * areas[1:].sum()
    blocks = list(_probability_blocks(planes, shape, to_classes, present))
    label = torch.cat([index for _, index in blocks])
    return BestClass(
        torch.cat([value for value, _ in blocks]),
        label.numpy().astype(label_dtype(len(present))),
    )


def probability_prefixes(
    planes: Tensor,
    shape: tuple[int, int],
    to_classes: Callable[[Tensor], tuple[Tensor, Tensor | None]],
    *,
    class_scores: Tensor,
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
    values = torch.zeros(len(order) + 1, *shape)
    labels = np.zeros((len(order) + 1, *shape), dtype)
    for rows, classes, background in _class_blocks(planes, shape, to_classes):
        best = torch.zeros(classes.shape[1:])  # (rows, X)
        label = torch.zeros(classes.shape[1:], dtype=torch.long)
        for count, index in enumerate([None, *order.tolist()]):
            if index is not None:
                # Of equal classes the one with the lower index wins, as in `probability_best`.
                better = (classes[index] > best) | ((classes[index] == best) & (index + 1 < label))
                label = torch.where(better, index + 1, label)
                best = torch.maximum(best, classes[index])
            value, winner = _against(best, label, background)
            values[count, rows] = value
            labels[count, rows] = winner.numpy()
    return [BestClass(value, label) for value, label in zip(values, labels, strict=True)]


def probability_planes(
    planes: Tensor,
    shape: tuple[int, int],
    to_classes: Callable[[Tensor], tuple[Tensor, Tensor | None]],
    chosen: Sequence[int],
) -> tuple[Tensor, Tensor | None]:
    """Probabilities of chosen classes at every pixel, (C, Y, X), and of the background, (Y, X).

    The other parameters are those of `probability_best`.
    """
    of_classes = torch.empty(len(chosen), *shape)
    of_background = None
    for rows, classes, background in _class_blocks(planes, shape, to_classes):
        of_classes[:, rows] = classes[list(chosen)]
        if background is not None:
            of_background = torch.empty(shape) if of_background is None else of_background
            of_background[rows] = background
    return of_classes, of_background


def _probability_blocks(
    planes: Tensor,
    shape: tuple[int, int],
    to_classes: Callable[[Tensor], tuple[Tensor, Tensor | None]],
    present: Tensor,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Best probability and label (0: background) of each block of rows."""
    for _, classes, background in _class_blocks(planes, shape, to_classes):
        value, index = torch.where(present[:, None, None], classes, 0).max(dim=0)
        yield _against(value, torch.where(value > 0, index + 1, 0), background)


def _against(value: Tensor, label: Tensor, background: Tensor | None) -> tuple[Tensor, Tensor]:
    """Probability and label of the winner: the best class or the background words."""
    if background is None:
        return value, label
    return torch.maximum(value, background), torch.where(background >= value, 0, label)


def _class_blocks(
    planes: Tensor,
    shape: tuple[int, int],
    to_classes: Callable[[Tensor], tuple[Tensor, Tensor | None]],
) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
    """For each block of rows, the probabilities of classes (T, rows, X) and of the background."""
    step = max(BLOCK_BYTES // (4 * len(planes) * shape[1]), 1)
    for start in range(0, shape[0], step):
        rows = slice(start, min(start + step, shape[0]))
        yield rows, *to_classes(bilinear_rows(planes, shape, rows.start, rows.stop))


def bilinear_rows(planes: Tensor, shape: tuple[int, int], start: int, stop: int) -> Tensor:
    """Rows `start` to `stop`, (Q, stop - start, X), of planes interpolated bilinearly to `shape`.

    The values are those of `torch.nn.functional.interpolate` on whole planes, which would take
    more memory.
    """
    height = planes.shape[1]
    position = ((torch.arange(start, stop) + 0.5) * (height / shape[0]) - 0.5).clamp(min=0)
    above = position.long().clamp(max=height - 1)
    below = (above + 1).clamp(max=height - 1)
    weight = (position - above)[:, None]  # (rows, 1)
    rows = torch.lerp(planes[:, above], planes[:, below], weight)  # (Q, rows, w)
    size = (stop - start, shape[1])
    return F.interpolate(rows[None], size=size, mode="bilinear", align_corners=False)[0]
