"""Labels that are computed chunk by chunk, as the levels of a multiscale Labels layer. No Qt."""

from __future__ import annotations

import math
from typing import Any

from ...segmentation import LabelsByChunk, LazyArray, Window

COARSEST = 1024
"""Longest side of the coarsest level, in pixels."""


class LabelsPyramid:
    """Levels of labels, each half as wide as the one before; reading them computes nothing.

    Parameters
    ----------
    labels : LabelsByChunk
        May be replaced by others of the same shape.
    """

    def __init__(self, labels: LabelsByChunk) -> None:
        self.labels = labels
        count = max(math.ceil(math.log2(max(labels.shape) / COARSEST)), 1)
        self.levels = [_Level(self, 2**index) for index in range(count + 1)]


class _Level(LazyArray):
    """A level: every n-th label, indexed like a NumPy array."""

    def __init__(self, pyramid: LabelsPyramid, step: int) -> None:
        self._pyramid, self._step = pyramid, step
        self.shape = tuple(-(-side // step) for side in pyramid.labels.shape)
        self.dtype = pyramid.labels.dtype

    def __getitem__(self, where: Any) -> Any:
        """The labels at an index of integers and slices with a step of 1."""
        index = self._parts(where)
        parts = [
            range(side)[one] if isinstance(one, slice) else range(int(one), int(one) + 1)
            for one, side in zip(index, self.shape, strict=True)
        ]
        (top, bottom), (left, right) = (
            (part.start * self._step, min(part.stop * self._step, side))
            for part, side in zip(parts, self._pyramid.labels.shape, strict=True)
        )
        found = self._pyramid.labels.seen(Window(top, left, bottom, right), self._step)
        return found[tuple(slice(None) if isinstance(one, slice) else 0 for one in index)]
