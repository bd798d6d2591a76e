"""Annotated pixels that a prototype represents; a pixel classifier learns from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..features.comparable_features import COUNT

SAMPLES = 240
"""Maximum number of pixels per class and image, and per prototype."""


@dataclass(frozen=True, eq=False)
class PixelSamples:
    """Pixels of one class.

    Parameters
    ----------
    features : (S, 2 F) float16 array
        As `ComparableFeatures.at` returns them.
    vectors : (S, D) int8 array
        The features of the patch in which each pixel lies, see `directions`.
    shares : (S,) float32 array
        Fraction of all annotated pixels of its image that each pixel stands for.
    origins : (S,) int32 array
        Index of the image of each pixel in the sources of its prototype. Pixels of an image are in
        the order of its rows.
    """

    width: ClassVar[int] = 2 * COUNT
    """2 F, the number of features of a pixel."""

    features: NDArray[np.float16]
    vectors: NDArray[np.int8]
    shares: NDArray[np.float32]
    origins: NDArray[np.int32]

    def __len__(self) -> int:
        """Return S, the number of pixels."""
        return len(self.shares)

    def __getitem__(self, places: NDArray[np.integer]) -> PixelSamples:
        """Return some of the pixels."""
        return PixelSamples(
            self.features[places], self.vectors[places], self.shares[places], self.origins[places]
        )

    def limited(self, most: int = SAMPLES) -> PixelSamples:
        """Return at most `most` evenly spread pixels, which represent all of them."""
        if len(self) <= most:
            return self
        some = self[np.linspace(0, len(self) - 1, most).astype(np.intp)]
        total, kept = (one.shares.sum(dtype=np.float64) for one in (self, some))
        return replace(some, shares=(some.shares * (total / kept)).astype(np.float32))

    def joined(self, first: PixelSamples | None, moved: NDArray[np.integer]) -> PixelSamples:
        """Return these pixels after others, at most `SAMPLES` of them.

        Parameters
        ----------
        first : PixelSamples or None
        moved : (n,) array of int
            New index of each image of these pixels.
        """
        own = replace(self, origins=moved[self.origins].astype(np.int32))
        if first is None:
            return own.limited()
        return PixelSamples(
            np.concatenate([first.features, own.features]),
            np.concatenate([first.vectors, own.vectors]),
            np.concatenate([first.shares, own.shares]),
            np.concatenate([first.origins, own.origins]),
        ).limited()


def directions(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return vectors, (S, D), scaled to integers from -127 to 127: a quarter of the bytes.

    Their cosine similarities change by less than 0.01.
    """
    highest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled: NDArray[np.int8] = np.rint(vectors * (127 / np.maximum(highest, 1e-9))).astype(np.int8)
    return scaled
