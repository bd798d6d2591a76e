"""Score maps and thresholds become a label array.

Sources: CLIPer (arXiv 2411.13836) for `cliper_best`; SCLIP (2312.01597),
ClearCLIP (2407.12442) and ProxyCLIP (2408.04883) for `probability_best`. Pure
functions. Both work in pieces, one class or a few rows at a time, so that the memory
does not grow with the number of classes.

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
"""Where a score equals (1 - score)^2."""

BLOCK_BYTES = 1 << 26
"""How much memory `probability_best` lets one block of rows take."""


@dataclass(frozen=True, eq=False)
class BestClass:
    """Each pixel's best class: all that `LabelRule.labels` needs.

    Parameters
    ----------
    value : (Y, X) float32 tensor
        The best class's score; 0 where no class is present.
    label : (Y, X) uint8 or uint16 array
        1 + the index of the best class; 0 where no class is present.
    """

    value: Tensor
    label: LabelArray


@dataclass(frozen=True, eq=False)
class LabelRule:
    """The rule by which the best class of a pixel wins over the background, or loses to it.

    Parameters
    ----------
    thresholds : (T + 1,) float64 array
        By label of the best class: the score that a pixel must reach.
    background_competes : bool
        Whether at a threshold of 0 or less the background has a score of its own,
        (1 - best score)^2 (CLIPer).
    """

    thresholds: NDArray[np.float64]
    background_competes: bool

    @classmethod
    def of(
        cls, thresholds: Thresholds, names: Sequence[str], *, background_competes: bool
    ) -> LabelRule:
        """Make the rule for classes, whose labels are 1, 2, ...

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
        """By label of the best class: the score that the background has against it, (T + 1,).

        For scores that hints have changed. A background that competes gets the score at which
        (1 - score)^2 is equal; unlike the square, it doesn't win again against scores above 2.6.
        """
        found = self.thresholds.astype(np.float32)
        if self.background_competes:
            found[found <= 0] = COMPETING_BACKGROUND
        return found


@dataclass(frozen=True, eq=False)
class RankedBest:
    """The best classes for every class threshold at once.

    A class threshold keeps the classes of the highest scores, so that each threshold is
    one of T + 1 cases: none present, the first, the first two, ..

    Parameters
    ----------
    scores : tuple of float
        Class scores, falling.
    bests : tuple of BestClass
        ``bests[k]`` has the k highest classes present; T + 1 of them.
    """

    scores: tuple[float, ...]
    bests: tuple[BestClass, ...]

    def at(self, class_threshold: float) -> BestClass:
        """The best classes where those whose score is not above the threshold are absent."""
        threshold = np.float32(class_threshold)  # scores are float32: 0.6 is not above 0.6
        return self.bests[sum(bool(score > threshold) for score in self.scores)]


def label_dtype(classes: int) -> np.dtype[np.uint8 | np.uint16]:
    """The smallest label type for this many classes and the background."""
    return np.dtype(np.uint8 if classes < 256 else np.uint16)


def pixel_score(plane: Tensor, class_score: float, shape: tuple[int, int]) -> Tensor:
    """One class's map on the image's pixels, scaled to its class score.

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
    """One class's map as CLIPer's rule compares it, (Y, X) float32.

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
    """CLIPer's rule up to the background threshold, for more and more classes.

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
        With no class, then with the class of the highest score, then with two, ..: T + 1.
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
    """CLIPer's rule for the classes whose score is above `class_threshold`.

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
    """The rule of the other methods, up to the probability threshold.

    Parameters
    ----------
    planes : (Q, h, w) float tensor
        Logits or probabilities; taken to the image's pixels bilinearly.
    shape : (int, int)
        (Y, X).
    to_classes : callable
        From (Q, rows, X) planes to class probabilities (T, rows, X) and those of the
        background (rows, X) or None.
    present : (T,) bool tensor
        Absent classes cannot win.
    area_threshold : float
        A class that covers no more than this share of all labelled pixels is absent
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
    """`probability_best` for more and more classes present, those of the highest score first.

    Parameters
    ----------
    class_scores : (T,) float tensor

    Returns
    -------
    list of BestClass
        With no class, then with the class of the highest score, then with two, ..: T + 1.
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
                # Of equal classes the first one wins, as where they are compared all at once.
                better = (classes[index] > best) | ((classes[index] == best) & (index + 1 < label))
                label = torch.where(better, index + 1, label)
                best = torch.maximum(best, classes[index])
            value, won = _against(best, label, background)
            values[count, rows] = value
            labels[count, rows] = won.numpy()
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
    found = torch.empty(len(chosen), *shape)
    rest = None
    for rows, classes, background in _class_blocks(planes, shape, to_classes):
        found[:, rows] = classes[list(chosen)]
        if background is not None:
            rest = torch.empty(shape) if rest is None else rest
            rest[rows] = background
    return found, rest


def _probability_blocks(
    planes: Tensor,
    shape: tuple[int, int],
    to_classes: Callable[[Tensor], tuple[Tensor, Tensor | None]],
    present: Tensor,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Best value and label (0: background) of one block of rows after another."""
    for _, classes, background in _class_blocks(planes, shape, to_classes):
        value, index = torch.where(present[:, None, None], classes, 0).max(dim=0)
        yield _against(value, torch.where(value > 0, index + 1, 0), background)


def _against(value: Tensor, label: Tensor, background: Tensor | None) -> tuple[Tensor, Tensor]:
    """The best class and the background's words, compared."""
    if background is None:
        return value, label
    return torch.maximum(value, background), torch.where(background >= value, 0, label)


def _class_blocks(
    planes: Tensor,
    shape: tuple[int, int],
    to_classes: Callable[[Tensor], tuple[Tensor, Tensor | None]],
) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
    """Rows, their class probabilities (T, rows, X) and those of the background, block by block."""
    step = max(BLOCK_BYTES // (4 * len(planes) * shape[1]), 1)
    for start in range(0, shape[0], step):
        rows = slice(start, min(start + step, shape[0]))
        yield rows, *to_classes(bilinear_rows(planes, shape, rows.start, rows.stop))


def bilinear_rows(planes: Tensor, shape: tuple[int, int], start: int, stop: int) -> Tensor:
    """Rows `start` to `stop` of (Q, h, w) planes taken bilinearly to `shape`.

    The same values as `torch.nn.functional.interpolate` on the whole, without the
    memory: (Q, stop - start, X).
    """
    height = planes.shape[1]
    at = ((torch.arange(start, stop) + 0.5) * (height / shape[0]) - 0.5).clamp(min=0)
    above = at.long().clamp(max=height - 1)
    below = (above + 1).clamp(max=height - 1)
    rows = torch.lerp(planes[:, above], planes[:, below], (at - above)[:, None])  # (Q, rows, w)
    size = (stop - start, shape[1])
    return F.interpolate(rows[None], size=size, mode="bilinear", align_corners=False)[0]
