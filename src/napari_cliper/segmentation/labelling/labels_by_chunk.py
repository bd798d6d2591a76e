"""Labels of a large image that are computed chunk by chunk, when they are read."""

from __future__ import annotations

import math
import threading
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..tiles import Window
from .live_labels import LiveLabels
from .thresholds import Thresholds

if TYPE_CHECKING:
    from ..results import ScoreMaps, Stage
    from .label_rule import LabelArray

CHUNK = 512
"""Rows and columns of a chunk."""

FINE = 2
"""Every how many pixels are shown, at most, when chunks are used."""


class LabelsByChunk:
    """Labels of one stage for some thresholds, indexed like a NumPy array.

    A chunk is computed when it is first read, and then kept compressed, so that the labels of the
    whole image are never in memory. Threads may read at the same time.

    Parameters
    ----------
    scores : ScoreMaps
        For which `in_chunks` is true.
    stage : {'coarse', 'refined'}
    thresholds : Thresholds
        Per-class thresholds of classes that the result lacks are ignored.
    reduced : (h, w) uint8 or uint16 array
        The labels on the grid of the maps; see `ScoreMaps.on_grid`.
    """

    ndim = 2

    def __init__(
        self, scores: ScoreMaps, stage: Stage, thresholds: Thresholds, reduced: LabelArray
    ) -> None:
        self.shape = scores.shape
        self.size = math.prod(scores.shape)
        self.dtype = reduced.dtype
        self.reduced = reduced
        self._scores, self._stage = scores, stage
        self._thresholds = thresholds.only_for([one.name for one in scores.classes])
        self._known: dict[Window, bytes] = {}
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of memory of what is kept."""
        with self._lock:
            return self.reduced.nbytes + sum(map(len, self._known.values()))

    def __getitem__(self, where: Any) -> Any:
        """Labels at an index of integers and slices with a step of 1, as a copy."""
        index = where if isinstance(where, tuple) else (where,)
        region = self._region(index)
        found = np.empty(region.shape, self.dtype)
        for chunk in self._chunks(region):
            found[chunk.within(region).slices] = self._labels(chunk)[region.within(chunk).slices]
        return found[
            tuple(0 if isinstance(one, int | np.integer) else slice(None) for one in index)
        ]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Compute all of it."""
        every: NDArray[Any] = self[:, :]
        return every if dtype is None else every.astype(dtype)

    def any(self) -> bool:
        """Whether a class has a pixel, as far as the reduced labels tell."""
        return bool(self.reduced.any())

    # ------------------------------------------------------------------ what is visible

    def seen(self, region: Window, step: int = 1) -> LabelArray:
        """Every `step`-th label, without computing any: of chunks that are known, or reduced.

        Parameters
        ----------
        region : Window
        step : int
            Above `FINE`, the reduced labels are used everywhere.
        """
        down = np.arange(region.top, region.bottom, step)
        across = np.arange(region.left, region.right, step)
        found: LabelArray = self.reduced[self._cells(down, 0)][:, self._cells(across, 1)]
        for chunk in self._chunks(region) if step <= FINE else ():
            with self._lock:
                known = chunk in self._known
            if known:
                first, last = np.searchsorted(down, (chunk.top, chunk.bottom))
                left, right = np.searchsorted(across, (chunk.left, chunk.right))
                labels = self._labels(chunk)[down[first:last] - chunk.top]
                found[first:last, left:right] = labels[:, across[left:right] - chunk.left]
        return found

    def missing(self, region: Window) -> list[Window]:
        """Return the chunks of a region that are not known yet, those in its middle first."""
        with self._lock:
            found = [one for one in self._chunks(region) if one not in self._known]
        return sorted(found, key=lambda one: math.dist(_middle(one), _middle(region)))

    def compute(self, chunk: Window) -> None:
        """Compute one of the `missing` chunks."""
        self._labels(chunk)

    # ------------------------------------------------------------------ chunks

    def _labels(self, chunk: Window) -> LabelArray:
        """The labels of a chunk; read-only."""
        with self._lock:
            packed = self._known.get(chunk)
        if packed is not None:
            return np.frombuffer(zlib.decompress(packed), self.dtype).reshape(chunk.shape)
        labels = self._scores.to_labels(self._thresholds, stage=self._stage, window=chunk)
        packed = zlib.compress(labels.tobytes(), 1)
        with self._lock:
            self._known[chunk] = packed
        return labels

    def _chunks(self, region: Window) -> Iterator[Window]:
        """The chunks that a region touches."""
        height, width = self.shape
        for top in range(region.top - region.top % CHUNK, region.bottom, CHUNK):
            for left in range(region.left - region.left % CHUNK, region.right, CHUNK):
                yield Window(top, left, min(top + CHUNK, height), min(left + CHUNK, width))

    def _cells(self, pixels: NDArray[np.intp], axis: int) -> NDArray[np.intp]:
        """The cells of the reduced labels in which rows or columns lie."""
        return pixels * self.reduced.shape[axis] // self.shape[axis]

    def _region(self, index: tuple[Any, ...]) -> Window:
        """The rows and columns of an index."""
        (top, bottom), (left, right) = (
            one.indices(side)[:2] if isinstance(one, slice) else (int(one), int(one) + 1)
            for one, side in zip((*index, slice(None))[:2], self.shape, strict=True)
        )
        return Window(top, left, bottom, right)


def in_chunks(scores: ScoreMaps) -> bool:
    """Return whether a part of an image can be labelled without the rest of it."""
    return scores.masks is None and scores.settings.area_threshold == 0


def labels_by_chunk(
    live: Mapping[Stage, LiveLabels], scores: ScoreMaps, thresholds: Thresholds
) -> dict[Stage, LabelsByChunk]:
    """Return the labels of each stage of a result for some thresholds.

    Parameters
    ----------
    live : mapping of str to LiveLabels
        By stage, the labels on the grid of the maps; see `live_on_grid`.
    scores : ScoreMaps
        For which `in_chunks` is true.
    thresholds : Thresholds
    """
    return {
        stage: LabelsByChunk(scores, stage, thresholds, one.labels(thresholds))
        for stage, one in live.items()
    }


def live_on_grid(scores: ScoreMaps) -> dict[Stage, LiveLabels]:
    """Return live labels on the grid of the maps of each stage, for an overview."""
    return {stage: LiveLabels(scores.on_grid(stage), "coarse") for stage in scores.stages}


def _middle(window: Window) -> tuple[float, float]:
    return (window.top + window.bottom) / 2, (window.left + window.right) / 2
