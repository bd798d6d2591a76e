"""A classifier of pixels by visual prototypes: patch features joined with colour and texture.

Patch features are compared with the prototypes: the logit of a label is the highest cosine
similarity. Colour, edges and texture (`ComparableFeatures`) have two linear classifiers, which are
fitted to the pixels that the prototypes keep:

- one on features that are standardised over each image, which holds in other stains and exposures;
- one on features in their own units, clipped to the range of those learned from, so that it
  extrapolates nothing. It counts most in grey images, whose contrast is stretched.

All logits are added. How much patch features count is chosen by cross-validation between images,
or between parts of the image if there is only one.

Notation: K labels, Q prototypes, D width of patch features, S sampled pixels, F pixel features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import log_softmax
from torch import Tensor

from .features.comparable_features import COUNT, ComparableFeatures
from .features.pixel_features import LEAST_SPREAD
from .propagation.classifier import LinearClassifier, fit_classifier
from .scoring.pixel_samples import PixelSamples
from .scoring.prototypes import Prototype
from .tiles import Window

MOST_SAMPLES = 4000
"""Most pixels that the classifiers are fitted to."""
SAMPLE_WEIGHT = 0.3
"""Mean weight of a pixel in the fit."""
GREY, COLOUR = 4.0, 0.2
"""Weight of the classifier on features in their own units. The contrast of grey images is stretched
before, so that their units are comparable."""
PERCENTILES = (10, 90)
"""Where features in their own units are clipped."""
PATCH_SHARES = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0)
"""Weights of patch features to choose from, relative to the logit scale."""
PATCH_SHARE = 0.05
"""The weight unless another one is better in cross-validation."""
HIGHER, LOWER = 0.6, 0.9
"""Ratio to its cross-validated loss that the loss of a higher and of a lower weight must have."""
COLOUR_PLANES = [1, 2]
"""Features that are 0 in grey images."""
EQUAL = 0.02
"""Losses up to this above the lowest count as equal; the highest weight of these is taken."""
FOLDS = 4
BANDS = 3
"""Parts of the image in cross-validation, if there is only one image."""
TEMPERATURES = (0.1, 0.2, 0.4, 0.7, 1.0)
WORST = 6.0
"""Largest loss of a pixel in cross-validation."""
LEAST, LEAST_PIXEL = 1e-6, 1e-3
"""Smallest probability of a label by patch features and by the classifiers."""


@dataclass(frozen=True, eq=False)
class PixelClassifiers:
    """Two linear classifiers of pixel features.

    Parameters
    ----------
    standardised, own_units : LinearClassifier
        Of K labels and F features each; the second one multiplied by its weight.
    limits : (2, F) float32 array
        Lowest and highest value to which features in their own units are clipped.
    """

    standardised: LinearClassifier
    own_units: LinearClassifier
    limits: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of P pixels, (P, K), from their (P, 2 F) features."""
        clipped = features[:, COUNT:].clip(*self.limits)
        return self.standardised.logits(features[:, :COUNT]) + self.own_units.logits(clipped)


@dataclass(frozen=True, eq=False)
class PrototypeClassifier:
    """Logits of labels by prototypes.

    Parameters
    ----------
    vectors : (Q, D) float32 tensor
    owner : (Q,) int64 tensor
        Index of the label of each vector, 0 to K - 1.
    scale : float
        Factor of cosine similarities.
    share : float
        Weight of the patch logits relative to the pixel logits.
    pixels : PixelClassifiers or None
        None if a label has no sampled pixels.
    """

    vectors: Tensor
    owner: Tensor
    scale: float
    share: float
    pixels: PixelClassifiers | None

    @property
    def count(self) -> int:
        """K."""
        return int(self.owner.max()) + 1

    def patch_logits(self, planes: Tensor) -> Tensor:
        """Return the logits of patches, (K, h, w), from their features, (D, h, w)."""
        units = F.normalize(planes.flatten(1), dim=0).T
        found = _similarities(units, self.vectors, self.owner, self.count) * self.scale
        return found.reshape(-1, *planes.shape[1:])

    def pixel_logits(self, features: ComparableFeatures, window: Window) -> Tensor:
        """Return the logits of the pixels in a part of an image, (K, height, width)."""
        assert self.pixels is not None  # noqa: S101 - asked only with them
        by_image, own = self.pixels.standardised, self.pixels.own_units
        scaled = torch.from_numpy(by_image.weights) * features.scale
        weights = torch.stack([scaled, torch.from_numpy(own.weights)])
        offsets = torch.from_numpy(by_image.offsets + own.offsets) - scaled @ features.mean
        found = features.weighted(weights, torch.from_numpy(self.pixels.limits), window)
        return found + offsets[:, None, None]


def fit_prototypes(groups: Sequence[Sequence[Prototype]], scale: float) -> PrototypeClassifier:
    """Fit a classifier to prototypes; takes up to two seconds.

    Parameters
    ----------
    groups : sequence of K sequences of Prototype
        The prototypes of each label; none is empty.
    scale : float
        Logit scale of CLIP's cosine similarities.
    """
    vectors = torch.stack([one.vector for items in groups for one in items])
    owner = torch.tensor([label for label, items in enumerate(groups) for _ in items])
    if any(not any(one.samples for one in items) for items in groups):
        return PrototypeClassifier(vectors, owner, scale, 1.0, None)
    table = _Table.of(groups)
    share = _patch_share(table, len(groups), scale)
    return PrototypeClassifier(vectors, owner, scale, share, _fitted(table))


@dataclass(frozen=True, eq=False)
class _Table:
    """The sampled pixels of all prototypes.

    `image` is the index of the image of each pixel, `item` that of its prototype, `part` in which
    of `BANDS` parts of its image it lies, from top to bottom.
    """

    features: NDArray[np.float32]
    vectors: NDArray[np.float32]
    shares: NDArray[np.float32]
    label: NDArray[np.intp]
    item: NDArray[np.intp]
    image: NDArray[np.intp]
    part: NDArray[np.intp]

    @classmethod
    def of(cls, groups: Sequence[Sequence[Prototype]]) -> _Table:
        """Collect the pixels, at most `MOST_SAMPLES`."""
        total = sum(len(one.samples) for items in groups for one in items if one.samples)
        kept = min(MOST_SAMPLES / total, 1)
        images: dict[str, int] = {}
        rows: list[tuple[PixelSamples, int, int, NDArray[np.intp]]] = []
        for label, items in enumerate(groups):
            for one in items:
                if not one.samples:
                    continue
                some = one.samples.limited(max(round(kept * len(one.samples)), 1))
                numbers = np.array([images.setdefault(s, len(images)) for s in one.sources])
                rows.append((some, label, len(rows), numbers[some.origins]))
        vectors = np.concatenate([some.vectors for some, *_ in rows]).astype(np.float32)
        units = F.normalize(torch.from_numpy(vectors), dim=-1)
        return cls(
            np.concatenate([some.features for some, *_ in rows]).astype(np.float32),
            units.numpy(),
            np.concatenate([some.shares for some, *_ in rows]),
            np.concatenate([np.full(len(some), label) for some, label, *_ in rows]),
            np.concatenate([np.full(len(some), item) for some, _, item, _ in rows]),
            np.concatenate([image for *_, image in rows]),
            np.concatenate([np.arange(len(some)) * BANDS // len(some) for some, *_ in rows]),
        )

    def where(self, mask: NDArray[np.bool_]) -> _Table:
        """Return some of the pixels."""
        return _Table(*(getattr(self, name)[mask] for name in self.__dataclass_fields__))

    def weights(self) -> NDArray[np.float64]:
        """Return the weight of each pixel; those of a label sum to the root of its area."""
        areas = np.bincount(self.label, self.shares)
        found = self.shares / np.sqrt(np.maximum(areas, 1e-12))[self.label]
        weights: NDArray[np.float64] = found / found.mean()
        return weights

    def folds(self) -> Iterator[NDArray[np.bool_]]:
        """Yield which pixels are held out."""
        several = len(np.unique(self.image)) > 1
        fold = self.image % FOLDS if several else self.part
        for held in np.unique(fold):
            yield fold == held


def _fitted(table: _Table) -> PixelClassifiers:
    """Fit both classifiers; labels run from 0 to K - 1 and all occur."""
    own = table.features[:, COUNT:]
    limits = np.percentile(own, PERCENTILES, axis=0).astype(np.float32)
    share = COLOUR if own[:, COLOUR_PLANES].any() else GREY
    return PixelClassifiers(
        _linear(table.features[:, :COUNT], table, 1),
        _linear(own.clip(*limits), table, share),
        limits,
    )


def _linear(points: NDArray[np.float32], table: _Table, factor: float) -> LinearClassifier:
    """Fit a linear classifier and multiply it by a factor."""
    spread = np.maximum(points.std(axis=0), LEAST_SPREAD)
    centre = points.mean(axis=0)
    found = fit_classifier((points - centre) / spread, table.label, SAMPLE_WEIGHT * table.weights())
    weights = found.weights / spread
    return LinearClassifier(factor * weights, factor * (found.offsets - weights @ centre))


def _patch_share(table: _Table, labels: int, scale: float) -> float:
    """Choose the weight of patch features by cross-validation."""
    by_pixel, by_patch, held = [], [], []
    for out in table.folds():
        train, test = table.where(~out), table.where(out)
        known = np.unique(train.label)
        test = test.where(np.isin(test.label, known))
        if len(known) < 2 or not len(test.label):
            continue
        fitted = _fitted(_relabelled(train, known))
        pixel = np.full((len(test.label), labels), -np.inf, np.float32)
        patch = pixel.copy()
        pixel[:, known] = fitted.logits(test.features)
        patch[:, known] = scale * _held_out(train, known, test)
        by_pixel.append(pixel)
        by_patch.append(patch)
        held.append(test)
    if not held:
        return PATCH_SHARE
    pixel, patch = np.concatenate(by_pixel), np.concatenate(by_patch)
    label = np.concatenate([test.label for test in held])
    weight = np.concatenate([test.weights() for test in held])
    weight /= weight.sum()

    pixel = np.maximum(log_softmax(pixel, axis=1), np.log(LEAST_PIXEL))
    patch = np.maximum(log_softmax(patch, axis=1), np.log(LEAST))

    def loss(share: float) -> float:
        logits = pixel + share * patch
        losses = []
        for temperature in TEMPERATURES:
            found = log_softmax(temperature * logits, axis=1)[np.arange(len(label)), label]
            losses.append(float((weight * np.minimum(-found, WORST)).sum()))
        return min(losses)

    losses = {share: loss(share) for share in PATCH_SHARES}
    usual = losses[PATCH_SHARE]
    better = {
        share: value
        for share, value in losses.items()
        if value < usual * (HIGHER if share > PATCH_SHARE else LOWER)
    }
    if not better:
        return PATCH_SHARE
    enough = min(better.values()) + EQUAL
    return max(share for share, value in better.items() if value <= enough)


def _relabelled(table: _Table, known: NDArray[np.intp]) -> _Table:
    """Number the labels that occur from 0 on."""
    values = {name: getattr(table, name) for name in table.__dataclass_fields__}
    return _Table(**{**values, "label": np.searchsorted(known, table.label)})


def _held_out(train: _Table, known: NDArray[np.intp], test: _Table) -> NDArray[np.float32]:
    """Return the similarity of held-out pixels to prototypes made of the others, (P, K)."""
    items = np.unique(train.item)
    vectors = np.stack([train.vectors[train.item == item].mean(axis=0) for item in items])
    owner = [int(train.label[train.item == item][0]) for item in items]
    found: NDArray[np.float32] = _similarities(
        torch.from_numpy(test.vectors),
        F.normalize(torch.from_numpy(vectors), dim=-1),
        torch.from_numpy(np.searchsorted(known, owner)),
        len(known),
    ).T.numpy()
    return found


def _similarities(features: Tensor, vectors: Tensor, owner: Tensor, count: int) -> Tensor:
    """Return the highest cosine similarity to the vectors of each label, (K, N)."""
    every = vectors @ features.T
    return torch.stack([every[owner == label].amax(dim=0) for label in range(count)])
