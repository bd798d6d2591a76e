"""The results of each step of the engine, as frozen dataclasses in CPU memory.

    image --embed--> ImageEmbedding --score--> ScoreMaps --to_labels--> labels

`ImageEmbedding` holds torch tensors; `ScoreMaps` and labels are NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import SegmentationConfig, Settings
from .errors import InvalidInputError, unknown_choice
from .features.interpolation import nearest
from .features.pixel_planes import InterpolatedPlanes, PixelPlanes
from .features.preprocessing import RGBImage
from .features.tiled_image import TiledImage
from .labelling.label_rule import (
    BestClass,
    ClassRanges,
    CliperScores,
    LabelArray,
    LabelRule,
    RankedBest,
    Spans,
    ToClasses,
    class_ranges,
    classes_above,
    cliper_best,
    cliper_prefixes,
    label_dtype,
    probability_best,
    probability_planes,
    probability_prefixes,
)
from .labelling.thresholds import Thresholds
from .labelling.uncertainty import ScorePlanes
from .models.promptable import ObjectEmbedding
from .models.tile_cache import TileStore
from .prompts import ClassPrompt
from .refiners.attention_maps import SelfAttention
from .scoring.similarity import class_maxima
from .tiles import TileLayout, Window

Stage = Literal["coarse", "refined"]


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """Projected CLIP patch features of one window, or of the whole image.

    Parameters
    ----------
    features : (K, N, D) float32 tensor
        Of K layers; N = h * w patches.
    grid : (int, int)
        (h, w).
    attention : (N, N) float32 tensor or None
        Attention of CLIPer's last block.
    window : Window
        Position in the resized image, in pixels.
    padding : Window
        Position of the window within the network's padded input, in pixels.
    padded_shape : (int, int)
        (H, W) of the padded input.
    extra : mapping of str to tensor
        What else the method needs of the window to compare it with words.
    """

    features: Tensor
    grid: tuple[int, int]
    attention: Tensor | None
    window: Window
    padding: Window
    padded_shape: tuple[int, int]
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        parts = (self.features, self.attention, *self.extra.values())
        return sum(one.nbytes for one in parts if one is not None)


TilePart = Literal["clip", "refiner"]


@dataclass(frozen=True, eq=False)
class TileSet:
    """The tiles of an embedded image; what the networks computed from them is in a store.

    Parameters
    ----------
    image : TiledImage
    layout : TileLayout
    keys : tuple of mapping
        For each tile, in the order of `layout.cells`, the names of its entries in the store; empty
        for a tile without contrast.
    store : TileStore
    """

    image: TiledImage
    layout: TileLayout
    keys: tuple[Mapping[TilePart, str], ...]
    store: TileStore

    @property
    def empty(self) -> int:
        """Number of tiles without contrast."""
        return sum(not keys for keys in self.keys)


@dataclass(frozen=True, eq=False)
class ImageEmbedding:
    """Everything the engine computes from an image alone, before any words are known.

    Parameters
    ----------
    image : RGBImage or TiledImage
        The image that was embedded; a `TiledImage` is read when its pixels are needed.
    resized : (H, W, 3) uint8 array
        The image at the working size of the method.
    whole : PatchFeatures or None
        Features of the whole image (CLIPer).
    windows : tuple of PatchFeatures
        Features of the sliding windows.
    window_attention : (N, N) float32 tensor or None
        Attention stitched from the windows (CLIPer).
    self_attention : SelfAttention, ObjectEmbedding or None
        What the refiner's network computed: attention, or the image for SAM's decoder.
    tiles : TileSet or None
        The tiles of an image that was embedded in tiles. `resized` is then the image at one pixel
        for each patch, and the other features are None or empty.
    masks : (Y, X) int32 array or None
        The masks that the method used, 0 outside of them; None for methods without masks.
    config : SegmentationConfig
        The configuration it was made with. Scoring requires one with the same `embedding_key`.
    record : mapping
        Provenance: sizes, device, weights, versions and times. JSON-safe.
    """

    image: RGBImage | TiledImage
    resized: NDArray[np.uint8]
    whole: PatchFeatures | None
    windows: tuple[PatchFeatures, ...]
    window_attention: Tensor | None
    self_attention: SelfAttention | ObjectEmbedding | None
    config: SegmentationConfig
    record: Mapping[str, Any]
    tiles: TileSet | None = None
    masks: NDArray[np.int32] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the embedding takes; a lazy image and its tiles are not counted."""
        optional = (self.whole, *self.windows, self.window_attention, self.self_attention)
        if isinstance(self.image, TiledImage):
            source = self.image.source
            pixels = source.nbytes if isinstance(source, np.ndarray) else 0
        else:
            pixels = self.image.pixels.nbytes
        return (
            pixels
            + self.resized.nbytes
            + sum(one.nbytes for one in (*optional, self.masks) if one is not None)
        )


@dataclass(frozen=True, eq=False)
class StageMaps:
    """The score maps of one stage.

    Parameters
    ----------
    maps : (T, h, w) float32 array
        One map per class. CLIPer: scores, 0 or more. Other methods: probabilities, 0 to 1.
    class_scores : (T,) float32 array
        Score for the presence of each class in the image; may exceed 1 for CLIPer.
    background : (h, w) float32 array or None
        Probability of the background words; None for CLIPer.
    logits : (Q, h, w) float32 array or None
        Logits of all Q words, for methods that interpolate logits before the softmax.
    detail : PixelPlanes or None
        With tiles and a refiner of pixels: the refined maps (and the background's, the last one),
        computed for a part of the image at a time; `maps` are then their means over the patches.
    known_ranges : ClassRanges or None
        The range of each plane of `detail`.
    """

    maps: NDArray[np.float32]
    class_scores: NDArray[np.float32]
    background: NDArray[np.float32] | None = None
    logits: NDArray[np.float32] | None = None
    detail: PixelPlanes | None = None
    known_ranges: ClassRanges | None = None
    _ranges: dict[tuple[int, int], Spans] = field(init=False, repr=False, default_factory=dict)

    def pixel_planes(self, shape: tuple[int, int]) -> PixelPlanes:
        """The planes that are compared at each pixel of an image of (Y, X)."""
        if self.detail is not None:
            return self.detail
        planes = torch.from_numpy(self.maps if self.logits is None else self.logits)
        if self.logits is None and self.background is not None:
            planes = torch.cat([planes, torch.from_numpy(self.background)[None]])
        return InterpolatedPlanes(planes, shape)

    def ranges(self, shape: tuple[int, int], chosen: Sequence[int] | None = None) -> ClassRanges:
        """The range of each plane, or of chosen ones, over an image of (Y, X); computed once."""
        if self.known_ranges is not None:
            return self.known_ranges
        known = self._ranges.setdefault(shape, {})
        return class_ranges(self.pixel_planes(shape), chosen, known)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        arrays = (self.maps, self.class_scores, self.background, self.logits, self.detail)
        return sum(one.nbytes for one in arrays if one is not None)


@dataclass(frozen=True, eq=False)
class ScoreMaps:
    """Score maps of all classes in an image; `to_labels` turns them into labels.

    Parameters
    ----------
    coarse : StageMaps
        Maps of CLIP alone.
    refined : StageMaps or None
        Maps after the refiner; None without one.
    classes : tuple of ClassPrompt
        Label i + 1 is ``classes[i]``.
    background : tuple of str
        The background words that were used.
    shape : (int, int)
        (Y, X) of the image.
    settings : Settings
        Every number of the method; its `thresholds` are the defaults.
    config : SegmentationConfig
        The configuration of the run.
    owner : tuple of int
        Index of the class of each word, -1 for background words (see `scoring.Queries`).
    masks : (Y, X) int32 array or None
        Masks whose pixels all get one label, the most frequent; for methods that use masks.
    notes : tuple of str
        Warnings and remarks to show to the user.
    record : mapping
        Settings, seed, versions, weights and their hashes, times, scores. JSON-safe.
    """

    coarse: StageMaps
    refined: StageMaps | None
    classes: tuple[ClassPrompt, ...]
    background: tuple[str, ...]
    shape: tuple[int, int]
    settings: Settings
    config: SegmentationConfig
    owner: tuple[int, ...]
    masks: NDArray[np.int32] | None = None
    notes: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the maps take."""
        return sum(self.stage(name).nbytes for name in self.stages)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Names of the stages that were computed."""
        return ("coarse",) if self.refined is None else ("coarse", "refined")

    def stage(self, name: Stage | None = None) -> StageMaps:
        """The maps of a stage; by default the refined ones, or the coarse ones without a refiner.

        Raises
        ------
        InvalidInputError
            For an unknown stage, and for refined maps without a refiner.
        """
        if name is None:
            return self.refined or self.coarse
        if name not in ("coarse", "refined"):
            raise unknown_choice("stage", name, ("coarse", "refined"))
        found = self.coarse if name == "coarse" else self.refined
        if found is None:
            raise InvalidInputError(
                "There are no refined maps, because the refiner is 'none'. Use stage='coarse'."
            )
        return found

    def rule(self, thresholds: Thresholds | None = None) -> LabelRule:
        """The rule that decides between each pixel's best class and the background.

        Raises
        ------
        InvalidInputError
            For a per-class threshold of an unknown class.
        """
        return LabelRule.of(
            thresholds or self.settings.thresholds,
            [one.name for one in self.classes],
            background_competes=self.config.rule == "cliper",
            masks=self.masks,
        )

    def on_grid(self, stage: Stage | None = None) -> ScoreMaps:
        """Copy with one stage, for an image of the size of its maps.

        Means over the image, such as that of the uncertainty, are nearly the same and much faster.
        """
        maps = self.stage(stage)
        height, width = (maps.maps if maps.logits is None else maps.logits).shape[1:]
        coarse = replace(maps, detail=None)
        masks = None if self.masks is None else nearest(self.masks, (height, width))
        return replace(self, coarse=coarse, refined=None, shape=(height, width), masks=masks)

    def parts(self, stage: Stage | None = None) -> tuple[Window, ...]:
        """Windows that together cover the image and can be labelled one by one.

        See `to_labels`. A small image is one part.
        """
        return tuple(self.stage(stage).pixel_planes(self.shape).windows())

    def best(
        self,
        thresholds: Thresholds | None = None,
        *,
        stage: Stage | None = None,
        window: Window | None = None,
    ) -> BestClass:
        """Each pixel's best class of those above the class threshold.

        The parameters are those of `to_labels`.
        """
        maps = self.stage(stage)
        thresholds = thresholds or self.settings.thresholds
        scores = torch.from_numpy(maps.class_scores)
        if self.config.rule == "cliper":
            present = classes_above(thresholds.class_threshold, maps.class_scores)
            found = self._cliper_scores(maps, present, min_max=thresholds.min_max)
            return cliper_best(found, class_threshold=thresholds.class_threshold, window=window)
        if thresholds.min_max:
            raise InvalidInputError(
                f"min_max works only with CLIPer; {self.config.method} labels by probability. Set "
                "min_max to False."
            )
        return probability_best(
            maps.pixel_planes(self.shape),
            self.to_classes(maps),
            present=scores > thresholds.class_threshold,
            area_threshold=self.settings.area_threshold,
            window=window,
        )

    def ranked(
        self,
        thresholds: Thresholds | None = None,
        *,
        stage: Stage | None = None,
        limit: int = 1 << 29,
    ) -> RankedBest | None:
        """The best classes for every class threshold, so that thresholds can change without delay.

        Parameters
        ----------
        thresholds, stage
            As in `to_labels`; of the thresholds only `min_max` is used.
        limit : int
            Most bytes that the result may take. It takes five per pixel and class, or six with
            256 or more classes.

        Returns
        -------
        RankedBest or None
            None if it would take more than `limit`, or if the method uses an area threshold; call
            `best` for each threshold instead.
        """
        maps = self.stage(stage)
        pixels = self.shape[0] * self.shape[1]
        bytes_each = 4 + label_dtype(len(maps.maps)).itemsize
        if bytes_each * (len(maps.maps) + 1) * pixels > limit or self.settings.area_threshold > 0:
            return None
        scores = torch.from_numpy(maps.class_scores)
        if self.config.rule == "cliper":
            min_max = (thresholds or self.settings.thresholds).min_max
            bests = cliper_prefixes(self._cliper_scores(maps, None, min_max=min_max))
        else:
            source, to_classes = maps.pixel_planes(self.shape), self.to_classes(maps)
            bests = tuple(probability_prefixes(source, to_classes, class_scores=scores))
        return RankedBest(tuple(sorted(maps.class_scores.tolist(), reverse=True)), bests)

    def planes(
        self,
        chosen: Sequence[int],
        thresholds: Thresholds | None = None,
        *,
        stage: Stage | None = None,
    ) -> ScorePlanes:
        """The scores at every pixel that labelling compares, for some of the classes.

        Parameters
        ----------
        chosen : sequence of int
            Indices of classes; each takes four bytes per pixel.
        thresholds, stage
            As in `to_labels`; of the thresholds only `min_max` is used.
        """
        maps = self.stage(stage)
        min_max = (thresholds or self.settings.thresholds).min_max
        background = None
        if self.config.rule == "cliper":
            planes = torch.empty(len(chosen), *self.shape)
            scores = self._cliper_scores(maps, chosen, min_max=min_max)
            for part in scores.source.windows() if chosen else ():
                for plane, score in zip(planes, scores.at(part, chosen), strict=True):
                    plane[part.slices] = score
        else:
            source, to_classes = maps.pixel_planes(self.shape), self.to_classes(maps)
            planes, background = probability_planes(source, to_classes, chosen)
        return ScorePlanes(
            chosen=tuple(chosen),
            classes=tuple(planes.numpy()),
            background=None if background is None else background.numpy(),
            shape=self.shape,
            total=len(self.classes),
        )

    def to_labels(
        self,
        thresholds: Thresholds | None = None,
        *,
        stage: Stage | None = None,
        window: Window | None = None,
    ) -> LabelArray:
        """Turn the score maps into labels.

        Parameters
        ----------
        thresholds : Thresholds, optional
            Default: ``settings.thresholds``, those of the method and model. To change one of
            them: ``scores.settings.thresholds.with_values(background_threshold=0.3)``.
        stage : {'coarse', 'refined'}, optional
            Default: refined, or coarse without a refiner.
        window : Window, optional
            Label only this part of the image; `parts` lists windows of a good size. The labels are
            those of the whole image there.

        Returns
        -------
        (Y, X) uint8 or uint16 array
            Of the image or the window. 0 is background, i + 1 is ``classes[i]``.

        Raises
        ------
        InvalidInputError
            For a per-class threshold of an unknown class, an unknown or missing stage, a window
            outside of the image, and `min_max` with a method other than CLIPer.
        """
        rule = self.rule(thresholds)
        window = None if window is None else window.inside(self.shape)
        if self.masks is not None:
            labels = rule.labels(self.best(thresholds, stage=stage))
            return labels if window is None else labels[window.slices].copy()
        if window is not None or self.settings.area_threshold > 0:
            return rule.labels(self.best(thresholds, stage=stage, window=window))
        labels = np.empty(self.shape, label_dtype(len(self.classes)))
        for part in self.parts(stage):
            best = self.best(thresholds, stage=stage, window=part)
            labels[part.slices] = rule.labels(best)
        return labels

    def _cliper_scores(
        self, maps: StageMaps, chosen: Sequence[int] | None, *, min_max: bool
    ) -> CliperScores:
        """The scores that CLIPer's rule compares, of chosen classes or of all."""
        source, ranges = maps.pixel_planes(self.shape), maps.ranges(self.shape, chosen)
        return CliperScores(source, ranges, maps.class_scores, min_max)

    def to_classes(self, maps: StageMaps) -> ToClasses:
        """The function from interpolated planes to probabilities."""
        if maps.logits is not None:
            return partial(softmax_to_classes, owner=self.owner)
        if maps.background is None:
            return lambda block: (block, None)
        return lambda block: (block[:-1], block[-1])


def softmax_to_classes(logits: Tensor, owner: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    """Probabilities of classes (T, ...) and of the background (...) from logits (Q, ...)."""
    return class_maxima(logits.softmax(dim=0), owner)
