"""Combine the scores of words with those of visual prototypes, pixel by pixel.

The prototypes of the requested classes and of the background compete with each other
(`prototype_classifier`). At each pixel, the score of a class by prototypes is its probability
relative to that of its best rival, raised to a power at which a tie gives the default background
threshold. So the class wins where it is the most probable one, and the background elsewhere.

Scores by words and by prototypes are averaged with a weight per class (`prototype_fusion`). Classes
without prototypes keep their text scores. The scores are this project's own rule.

Everything is computed for a part of the image at a time.

Notation: T classes, K labels with prototypes, C planes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from .features.comparable_features import BLOCK, ComparableFeatures
from .features.mosaic import Mosaic
from .features.patch_features import patch_features, tile_features
from .features.pixel_planes import BLOCK_BYTES, InterpolatedPlanes, PixelPlanes
from .features.preprocessing import RGBImage
from .features.tiled_image import TiledImage
from .labelling.label_rule import COMPETING_BACKGROUND, ClassRanges, CliperScores
from .labelling.thresholds import Thresholds
from .progress import Monitor
from .prototype_classifier import LEAST, LEAST_PIXEL, PrototypeClassifier
from .prototype_fusion import PrototypeFusion
from .recent import RecentCache
from .results import ImageEmbedding, ScoreMaps, StageMaps
from .tile_arrays import stored_features
from .tiles import Window, squares

CACHE_BYTES = 1 << 27
"""Bytes of pixel logits that are kept in memory."""

PRESENT = 2.0
"""Largest score of a class by prototypes, relative to the default class threshold. So words that do
not find a class outvote prototypes with a small weight."""


class PrototypeLogits:
    """Logits of the labels with prototypes at each pixel of an image.

    Parameters
    ----------
    classifier : PrototypeClassifier
    image : RGBImage or TiledImage
    patches : PixelPlanes
        `log_probabilities` of the labels by the patch features, interpolated.
    """

    def __init__(
        self, classifier: PrototypeClassifier, image: RGBImage | TiledImage, patches: PixelPlanes
    ) -> None:
        self.classifier, self.patches = classifier, patches
        self._image = image
        self._kept = RecentCache[Window, Tensor](CACHE_BYTES)

    @cached_property
    def _features(self) -> ComparableFeatures:
        return ComparableFeatures(self._image)

    def with_patches(self, patches: PixelPlanes) -> PrototypeLogits:
        """Return a copy with other probabilities by the patch features."""
        other = copy(self)
        other.patches = patches
        return other

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.patches.nbytes + self._kept.nbytes

    def at(self, window: Window) -> Tensor:
        """Logits in a part of the image, (K, height, width) float32."""
        found = self.classifier.share * self.patches.at(window)
        if self.classifier.pixels is None:
            return found
        for square in squares_touching(window, self._image.shape):
            here, part = square.within(window).slices, window.within(square).slices
            found[:, *here] += self._by_pixel(square)[:, *part]
        return found

    def _by_pixel(self, square: Window) -> Tensor:
        """`log_probabilities` by the pixel classifiers, (K, height, width) float16."""
        found = self._kept.get(square)
        if found is None:
            logits = self.classifier.pixel_logits(self._features, square)
            found = log_probabilities(logits, LEAST_PIXEL).half()
            self._kept.put(square, found)
        return found


def squares_touching(window: Window, shape: tuple[int, int]) -> Iterator[Window]:
    """Yield the squares of `BLOCK` pixels of an image that overlap a window."""
    top, left = window.top // BLOCK * BLOCK, window.left // BLOCK * BLOCK
    for one in squares((window.bottom - top, window.right - left), BLOCK):
        yield Window(
            one.top + top, one.left + left,
            min(one.top + top + BLOCK, shape[0]), min(one.left + left + BLOCK, shape[1]),
        )  # fmt: skip


def log_probabilities(logits: Tensor, least: float = LEAST) -> Tensor:
    """Return the logarithm of the probability of each label, at least that of `least`, (K, ...)."""
    return logits.log_softmax(dim=0).clamp_(min=math.log(least))


def _patch_logits(classifier: PrototypeClassifier, embedding: ImageEmbedding) -> Tensor:
    """Logits of the patches, (K, h, w); tile by tile, so that memory is small."""
    tiles = embedding.tiles
    if tiles is None:
        return classifier.patch_logits(patch_features(embedding))
    mosaic = Mosaic(tiles.layout)
    for cells, part in stored_features(tiles):
        mosaic.add(None if part is None else classifier.patch_logits(tile_features(part)), cells)
    return mosaic.result(classifier.count)


# ---------------------------------------------------------------------- maps


def with_prototypes(
    scores: ScoreMaps,
    fusion: PrototypeFusion | None,
    embedding: ImageEmbedding,
    refine: Callable[[Tensor], Tensor],
    monitor: Monitor,
) -> ScoreMaps:
    """Return score maps of words joined with prototypes.

    Parameters
    ----------
    scores : ScoreMaps
        By words alone.
    fusion : PrototypeFusion or None
        None changes nothing.
    embedding : ImageEmbedding
        Of the same image.
    refine : callable
        The refiner, for maps of this image; not used for an image in tiles.
    monitor : Monitor
    """
    if fusion is None or not fusion.counts:
        return scores
    monitor.tell("Comparing with the prototypes", 0, 1)
    logits = _patch_logits(fusion.classifier, embedding)
    patches = InterpolatedPlanes(log_probabilities(logits), scores.shape)
    at_pixels = PrototypeLogits(fusion.classifier, embedding.image, patches)
    coarse = _joined(JoinedPlanes(scores, scores.coarse, fusion, at_pixels), monitor)
    refined = scores.refined
    if refined is not None:
        if embedding.tiles is None:
            found = refine(logits.softmax(dim=0)).clamp(min=LEAST)
            patches = InterpolatedPlanes(log_probabilities(found.log()), scores.shape)
            at_pixels = at_pixels.with_patches(patches)
        refined = _joined(JoinedPlanes(scores, refined, fusion, at_pixels), monitor)
    return replace(scores, coarse=coarse, refined=refined)


def _joined(planes: JoinedPlanes, monitor: Monitor) -> StageMaps:
    """One stage joined with prototypes."""
    height, width = planes.grid
    cells = Window(0, 0, height, width)
    return planes.stage_maps(*cell_means(planes, planes.windows(), cells, planes.grid, monitor))


class JoinedPlanes:
    """Scores by words and by prototypes at each pixel, as `pixel_planes.PixelPlanes`.

    Parameters
    ----------
    scores : ScoreMaps
        By words alone.
    stage : StageMaps
        One of its stages.
    fusion : PrototypeFusion
    logits : PrototypeLogits
    """

    def __init__(
        self,
        scores: ScoreMaps,
        stage: StageMaps,
        fusion: PrototypeFusion,
        logits: PrototypeLogits,
    ) -> None:
        self._scores, self._stage, self._logits = scores, stage, logits
        self._weights = fusion.weights_for(scores, stage)
        self._place = {index: place for place, index in enumerate(fusion.classes)}
        self._source = stage.pixel_planes(scores.shape)
        self._background = fusion.classifier.count > len(fusion.classes)
        self._defaults: Thresholds = scores.settings.thresholds
        self._by_rule = scores.config.rule == "cliper"
        threshold = self._defaults.background_threshold
        self._tie = threshold if 0 < threshold < 1 else 0.5
        if self._by_rule and threshold <= 0:
            self._tie = COMPETING_BACKGROUND

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of the image."""
        return self._scores.shape

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the maps of the words, at most those of the image."""
        height, width = (
            min(cells, pixels)
            for cells, pixels in zip(self._stage.maps.shape[1:], self.shape, strict=True)
        )
        return height, width

    @property
    def count(self) -> int:
        """Number of planes: the classes and, unless the rule is CLIPer's, the background."""
        classes = len(self._scores.classes)
        if self._by_rule:
            return classes
        named = self._stage.background is not None or self._stage.logits is not None
        words = named and bool(self._scores.background)
        return classes + bool(words or (self._background and self._weights[-1]))

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._source.nbytes + self._logits.nbytes

    def windows(self) -> Iterator[Window]:
        """Parts of the image: those of the words' planes, or rows of squares of pixel features."""
        if self._stage.detail is not None or self._logits.classifier.pixels is None:
            yield from self._source.windows()
            return
        step = max(BLOCK_BYTES // (4 * self.count * BLOCK), 1)
        for square in squares(self.shape, BLOCK):
            for top in range(square.top, square.bottom, step):
                yield replace(square, top=top, bottom=min(top + step, square.bottom))

    def at(self, window: Window, chosen: Sequence[int] | None = None) -> Tensor:
        """Planes in a part of the image, (C, height, width) float32."""
        wanted = list(range(self.count)) if chosen is None else list(chosen)
        classes = len(self._scores.classes)
        planes = self._source.at(window)
        words, own = self._by_words(planes), self._by_prototypes(window)
        # Where words find another class with certainty, prototypes of a few classes count less.
        known = words[:classes] * (1 - torch.tensor(self._weights[:-1]))[:, None, None]
        best, which = known.max(dim=0)
        second = known.scatter(0, which[None], 0).amax(dim=0)
        found = torch.empty(len(wanted), *window.shape)
        for row, index in enumerate(wanted):
            weight = self._weights[-1 if index == classes else index]
            if weight:
                place = len(own) - 1 if index == classes else self._place[index]
                rival = torch.where(which == index, second, best)
                found[row] = torch.lerp(words[index], own[place] * (1 - rival), weight)
            else:
                found[row] = planes[index] if self._by_rule else words[index]
        return found

    def _by_words(self, planes: Tensor) -> Tensor:
        """Scores by words, 0 to 1, as the rule compares them with the default thresholds."""
        stage, present = self._stage, torch.from_numpy(self._stage.class_scores)
        absent = present <= self._defaults.class_threshold
        if self._by_rule:
            scores = CliperScores(
                self._source, stage.ranges(self.shape), stage.class_scores, self._defaults.min_max
            )
            words = torch.stack(scores.scaled(planes.clone(), range(len(present)))).clamp_(0, 1)
        else:
            words, background = self._scores.to_classes(stage)(planes)
            if self.count > len(words):
                rest = torch.zeros_like(words[0]) if background is None else background
                words = torch.cat([words, rest[None]])
        words[: len(present)][absent] = 0
        return words

    def _by_prototypes(self, window: Window) -> Tensor:
        """Scores of the labels with prototypes, (K, height, width): `_tie` if two are equal."""
        logits = self._logits.at(window)
        two = logits.topk(2, dim=0)
        rival = torch.where(two.indices[:1] == torch.arange(len(logits))[:, None, None],
                            two.values[1:], two.values[:1])  # fmt: skip
        return torch.sigmoid(logits - rival).pow_(math.log(self._tie) / math.log(0.5))

    def stage_maps(self, means: Tensor, highest: Tensor) -> StageMaps:
        """Return the stage with these planes at its pixels.

        Parameters
        ----------
        means : (C, h, w) float32 tensor
            Of the planes, over the cells of a grid.
        highest : (C,) float32 tensor
            The highest value of each plane over the image.
        """
        count, default = len(self._scores.classes), self._defaults
        changed = [index for index in self._place if self._weights[index]]
        class_scores, ranges = self._stage.class_scores.copy(), None
        for index in changed:
            # By prototypes, a class is present if it wins against the background somewhere.
            wins = min(float(highest[index]) / self._tie, PRESENT) * default.class_threshold
            share = self._weights[index]
            class_scores[index] = (1 - share) * class_scores[index] + share * wins
            if default.class_threshold <= 0:
                class_scores[index] = float(highest[index])
        if self._by_rule:
            known = self._stage.ranges(self.shape)
            low, high = list(known.low), list(known.high)
            for index in changed:
                low[index] = 0.0
                high[index] = 1.0 if default.min_max else float(class_scores[index])
            ranges = ClassRanges(tuple(low), tuple(high))
        return StageMaps(
            maps=means[:count].numpy(),
            class_scores=class_scores,
            background=means[count].numpy() if self.count > count else None,
            detail=self,
            known_ranges=ranges,
        )


def cell_means(
    planes: PixelPlanes,
    windows: Iterable[Window],
    cells: Window,
    grid: tuple[int, int],
    monitor: Monitor,
) -> tuple[Tensor, Tensor]:
    """Return the means of planes over cells of a grid, (C, h, w), and their highest values, (C,).

    Parameters
    ----------
    planes : PixelPlanes
    windows : iterable of Window
        Parts of the image that together cover the pixels of the cells.
    cells : Window
        Part of the grid.
    grid : (int, int)
        Rows and columns of cells over the whole image.
    monitor : Monitor
    """
    starts = [
        torch.arange(1, count) * length // count
        for count, length in zip(grid, planes.shape, strict=True)
    ]
    height, width = cells.shape
    total, pixels = torch.zeros(planes.count, height * width), torch.zeros(height * width)
    highest = torch.full((planes.count,), -math.inf)
    for window in windows:
        monitor.check()
        found = planes.at(window)
        rows, columns = (
            torch.bucketize(torch.arange(*ends), axis, right=True) - first
            for ends, axis, first in zip(
                ((window.top, window.bottom), (window.left, window.right)),
                starts,
                (cells.top, cells.left),
                strict=True,
            )
        )
        cell = (rows[:, None] * width + columns).flatten()
        total.index_add_(1, cell, found.flatten(1))
        pixels += torch.bincount(cell, minlength=len(pixels))
        highest = torch.maximum(highest, found.flatten(1).amax(dim=1))
    return (total / pixels.clamp(min=1)).reshape(-1, height, width), highest
