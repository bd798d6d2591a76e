"""Labels of a large image that are computed chunk by chunk, when they are read."""

from __future__ import annotations

import math
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..tiles import Window
from .live_labels import LiveLabels, UserHints
from .thresholds import Thresholds

if TYPE_CHECKING:
    from ..results import ScoreMaps, Stage
    from .label_rule import LabelArray

CHUNK = 512
"""Rows and columns of a chunk."""


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
        The labels on the grid of the maps; see `live_on_grid`.
    by_text : (h, w) array, optional
        The same without hints, where `reduced` follows hints: where both differ, pixels have the
        label of `reduced`.
    """

    ndim = 2

    FINE = 2
    """The largest step at which `seen` uses chunks."""

    def __init__(
        self,
        scores: ScoreMaps,
        stage: Stage,
        thresholds: Thresholds,
        reduced: LabelArray,
        by_text: LabelArray | None = None,
    ) -> None:
        self.shape = scores.shape
        self.size = math.prod(scores.shape)
        self.dtype = reduced.dtype
        self.reduced = reduced
        self._moved = None if by_text is None else reduced != by_text
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
            Above `LabelsByChunk.FINE`, the reduced labels are used everywhere.
        """
        down = np.arange(region.top, region.bottom, step)
        across = np.arange(region.left, region.right, step)
        found: LabelArray = self._of_cells(self.reduced, region, step)
        for chunk in self._chunks(region) if step <= self.FINE else ():
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
        if self._moved is not None:
            labels = np.where(
                self._of_cells(self._moved, chunk), self._of_cells(self.reduced, chunk), labels
            )
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

    def _of_cells(self, grid: NDArray[Any], region: Window, step: int = 1) -> NDArray[Any]:
        """The value of the cell of a grid in which each pixel of a region lies."""
        down = np.arange(region.top, region.bottom, step) * grid.shape[0] // self.shape[0]
        across = np.arange(region.left, region.right, step) * grid.shape[1] // self.shape[1]
        found: NDArray[Any] = grid[down][:, across]
        return found

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
    scores: ScoreMaps,
    live: Mapping[Stage, LiveLabels],
    thresholds: Thresholds,
    hints: UserHints | None = None,
) -> dict[Stage, LabelsByChunk]:
    """Return the labels of each stage of a result for thresholds and hints.

    Parameters
    ----------
    scores : ScoreMaps
        For which `in_chunks` is true.
    live : mapping of str to LiveLabels
        The labels of each stage on the grid of the maps; see `live_on_grid`.
    thresholds : Thresholds
    hints : UserHints, optional
        On the same grid.
    """
    found = {}
    for stage, one in live.items():
        by_text = one.labels(thresholds)
        reduced = by_text if hints is None else one.labels(thresholds, hints)
        without = None if hints is None else by_text
        found[stage] = LabelsByChunk(scores, stage, thresholds, reduced, without)
    return found


def live_on_grid(scores: ScoreMaps) -> dict[Stage, LiveLabels]:
    """Return live labels of each stage for an image of the size of the coarse maps."""
    shape = scores.on_grid("coarse").shape
    return {
        stage: LiveLabels(replace(scores.on_grid(stage), shape=shape), "coarse")
        for stage in scores.stages
    }


def _middle(window: Window) -> tuple[float, float]:
    return (window.top + window.bottom) / 2, (window.left + window.right) / 2
