"""The values between the steps: what an image is worth, and what words made of it.

    image --embed--> ImageEmbedding --score--> ScoreMaps --to_labels--> labels

All are frozen and live in the CPU's memory; tensors stay inside, arrays are outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import SegmentationConfig, Settings
from .errors import InvalidInputError, unknown_choice
from .features.preprocessing import RGBImage
from .features.tiling import Window
from .labelling.label_rule import (
    BestClass,
    LabelArray,
    LabelRule,
    RankedBest,
    cliper_best,
    cliper_plane,
    cliper_prefixes,
    label_dtype,
    probability_best,
    probability_planes,
    probability_prefixes,
)
from .labelling.thresholds import Thresholds
from .labelling.uncertainty import ScorePlanes
from .prompts import ClassPrompt
from .refiners.attention_maps import SelfAttention
from .scoring.similarity import class_maxima

Stage = Literal["coarse", "refined"]


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """Projected patch features of a window, or of the whole image.

    Parameters
    ----------
    features : (K, N, D) float32 tensor
        For each kept layer; N = h * w.
    grid : (int, int)
        (h, w).
    attention : (N, N) float32 tensor or None
        CLIPer's last attention.
    window : Window
        Where it lies in the resized image, in pixels.
    padding : Window
        Where the window lies in the padded pixels that the network saw.
    padded_shape : (int, int)
        Size of those.
    """

    features: Tensor
    grid: tuple[int, int]
    attention: Tensor | None
    window: Window
    padding: Window
    padded_shape: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.features.nbytes + (0 if self.attention is None else self.attention.nbytes)


@dataclass(frozen=True, eq=False)
class ImageEmbedding:
    """All that the engine keeps of an image; no word has been said yet.

    Parameters
    ----------
    image : RGBImage
        What was embedded.
    resized : (H, W, 3) uint8 array
        The image at the size the method works at.
    whole : PatchFeatures or None
        CLIPer's view of the whole image.
    windows : tuple of PatchFeatures
        The sliding windows.
    window_attention : (N, N) float32 tensor or None
        CLIPer's attention, stitched from the windows.
    self_attention : SelfAttention or None
        What a network refines the maps with.
    config : SegmentationConfig
        What it was made with; it can be scored with nothing else.
    record : mapping
        What happened, as JSON can hold it.
    """

    image: RGBImage
    resized: NDArray[np.uint8]
    whole: PatchFeatures | None
    windows: tuple[PatchFeatures, ...]
    window_attention: Tensor | None
    self_attention: SelfAttention | None
    config: SegmentationConfig
    record: Mapping[str, Any]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the embedding takes."""
        parts = (self.whole, *self.windows, self.window_attention, self.self_attention)
        return (
            self.image.pixels.nbytes
            + self.resized.nbytes
            + sum(part.nbytes for part in parts if part is not None)
        )


@dataclass(frozen=True, eq=False)
class StageMaps:
    """The score maps of one stage.

    Parameters
    ----------
    maps : (T, h, w) float32 array
        CLIPer: scores, not probabilities. Other methods: probabilities.
    class_scores : (T,) float32 array
        How sure it is that a class is there at all; CLIPer's may be over 1.
    background : (h, w) float32 array or None
        The probability of the background words, for the methods but CLIPer.
    logits : (Q, h, w) float32 array or None
        What the probabilities were made of, where labels are made of that.
    """

    maps: NDArray[np.float32]
    class_scores: NDArray[np.float32]
    background: NDArray[np.float32] | None = None
    logits: NDArray[np.float32] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        parts = (self.maps, self.class_scores, self.background, self.logits)
        return sum(part.nbytes for part in parts if part is not None)


@dataclass(frozen=True, eq=False)
class ScoreMaps:
    """What the words made of an image; labels are one call away.

    Parameters
    ----------
    coarse : StageMaps
        What CLIP alone says.
    refined : StageMaps or None
        Sharpened by the refiner.
    classes : tuple of ClassPrompt
        Label i + 1 is class i.
    background : tuple of str
        The background words that took part.
    shape : (int, int)
        (Y, X) of the image.
    settings : Settings
        Every number of the method; its `thresholds` are the defaults.
    owner : tuple of int
        Whose word each query was (see `scoring.Queries`).
    notes : tuple of str
        What a person should know, in words.
    record : mapping
        Settings, seed, versions, weights and their hashes, time, scores; JSON-safe.
    """

    coarse: StageMaps
    refined: StageMaps | None
    classes: tuple[ClassPrompt, ...]
    background: tuple[str, ...]
    shape: tuple[int, int]
    settings: Settings
    config: SegmentationConfig
    owner: tuple[int, ...]
    notes: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the maps take."""
        return sum(self.stage(name).nbytes for name in self.stages)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages there are."""
        return ("coarse",) if self.refined is None else ("coarse", "refined")

    def stage(self, name: Stage | None = None) -> StageMaps:
        """The maps of a stage; by default the refined ones where there are any."""
        if name is None:
            return self.refined or self.coarse
        if name not in ("coarse", "refined"):
            raise unknown_choice("stage", name, ("coarse", "refined"))
        found = self.coarse if name == "coarse" else self.refined
        if found is None:
            raise InvalidInputError(
                "There are no refined maps: the refiner was 'none'. Ask for the coarse ones."
            )
        return found

    def rule(self, thresholds: Thresholds | None = None) -> LabelRule:
        """The rule that turns each pixel's best class into labels.

        Raises
        ------
        InvalidInputError
            For a per-class threshold of an unknown class.
        """
        return LabelRule.of(
            thresholds or self.settings.thresholds,
            [one.name for one in self.classes],
            background_competes=self.config.rule == "cliper",
        )

    def best(
        self, thresholds: Thresholds | None = None, *, stage: Stage | None = None
    ) -> BestClass:
        """Each pixel's best class of those above the class threshold.

        The parameters are those of `to_labels`.
        """
        maps = self.stage(stage)
        thresholds = thresholds or self.settings.thresholds
        scores = torch.from_numpy(maps.class_scores)
        if self.config.rule == "cliper":
            return cliper_best(
                torch.from_numpy(maps.maps),
                scores,
                self.shape,
                class_threshold=thresholds.class_threshold,
                min_max=thresholds.min_max,
            )
        if thresholds.min_max:
            raise InvalidInputError(
                f"min_max belongs to CLIPer's rule; {self.config.method} labels by probability."
            )
        planes, to_classes = self._probability_planes(maps)
        return probability_best(
            planes,
            self.shape,
            to_classes,
            present=scores > thresholds.class_threshold,
            area_threshold=self.settings.area_threshold,
        )

    def ranked(
        self,
        thresholds: Thresholds | None = None,
        *,
        stage: Stage | None = None,
        limit: int = 1 << 29,
    ) -> RankedBest | None:
        """The best classes for every class threshold, so that both thresholds are live.

        Parameters
        ----------
        thresholds, stage
            As in `to_labels`; only `min_max` counts.
        limit : int
            Bytes that this may take: five for each pixel and class, six from 256 classes on.

        Returns
        -------
        RankedBest or None
            None where it would take more than `limit`, and where a class's area decides whether
            it is there: ask `best` then.
        """
        maps = self.stage(stage)
        pixels = self.shape[0] * self.shape[1]
        bytes_each = 4 + label_dtype(len(maps.maps)).itemsize
        if bytes_each * (len(maps.maps) + 1) * pixels > limit or self.settings.area_threshold > 0:
            return None
        scores = torch.from_numpy(maps.class_scores)
        if self.config.rule == "cliper":
            min_max = (thresholds or self.settings.thresholds).min_max
            bests = tuple(
                cliper_prefixes(torch.from_numpy(maps.maps), scores, self.shape, min_max=min_max)
            )
        else:
            planes, to_classes = self._probability_planes(maps)
            bests = tuple(probability_prefixes(planes, self.shape, to_classes, class_scores=scores))
        return RankedBest(tuple(sorted(maps.class_scores.tolist(), reverse=True)), bests)

    def planes(
        self,
        chosen: Sequence[int],
        thresholds: Thresholds | None = None,
        *,
        stage: Stage | None = None,
    ) -> ScorePlanes:
        """What the labels compare at every pixel, for chosen classes.

        Parameters
        ----------
        chosen : sequence of int
            Indices of classes; four bytes are taken for each of them and pixel.
        thresholds, stage
            As in `to_labels`; only `min_max` counts.
        """
        maps = self.stage(stage)
        min_max = (thresholds or self.settings.thresholds).min_max
        background = None
        if self.config.rule == "cliper":
            planes = torch.empty(len(chosen), *self.shape)
            for index, plane in zip(chosen, planes, strict=True):
                one, score = torch.from_numpy(maps.maps[index]), float(maps.class_scores[index])
                plane.copy_(cliper_plane(one, score, self.shape, min_max=min_max))
        else:
            sources, to_classes = self._probability_planes(maps)
            planes, background = probability_planes(sources, self.shape, to_classes, chosen)
        return ScorePlanes(
            chosen=tuple(chosen),
            classes=tuple(planes.numpy()),
            background=None if background is None else background.numpy(),
            shape=self.shape,
            total=len(self.classes),
        )

    def to_labels(
        self, thresholds: Thresholds | None = None, *, stage: Stage | None = None
    ) -> LabelArray:
        """Turn the score maps into labels.

        Parameters
        ----------
        thresholds : Thresholds, optional
            Default: those of the method and model, ``settings.thresholds``. To change one of
            them: ``scores.settings.thresholds.with_values(background_threshold=0.3)``.
        stage : {'coarse', 'refined'}, optional
            Default: refined where there is a refiner.

        Returns
        -------
        (Y, X) uint8 or uint16 array
            0 is background, i + 1 is ``classes[i]``.

        Raises
        ------
        InvalidInputError
            For a per-class threshold of an unknown class, a stage that there is not, and
            `min_max` with a method other than CLIPer.
        """
        return self.rule(thresholds).labels(self.best(thresholds, stage=stage))

    def _probability_planes(self, maps: StageMaps) -> tuple[Tensor, Any]:
        """Planes to interpolate, and how interpolated planes become class probabilities."""
        if maps.logits is not None:
            return torch.from_numpy(maps.logits), partial(softmax_to_classes, owner=self.owner)
        planes = torch.from_numpy(maps.maps)
        if maps.background is None:
            return planes, lambda block: (block, None)
        background = torch.from_numpy(maps.background)[None]
        return torch.cat([planes, background]), lambda block: (block[:-1], block[-1])


def softmax_to_classes(logits: Tensor, owner: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    """Logits (Q, ...) to probabilities of classes (T, ...) and of the background (...)."""
    return class_maxima(logits.softmax(dim=0), owner)
