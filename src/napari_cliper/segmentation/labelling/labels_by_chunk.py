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
from scipy.ndimage import maximum_filter
from skimage.color import rgb2lab

from ..tiles import Window
from .live_labels import LiveLabels, UserHints
from .thresholds import Thresholds

if TYPE_CHECKING:
    from ..results import ImageEmbedding, ScoreMaps, Stage
    from .label_rule import LabelArray

CHUNK = 512
"""Rows and columns of a chunk."""
UNLIKELY = -4.0
"""Logarithm of how probable other labels are, before edges are smoothed."""


class HintedCells:
    """Cells of the grid whose labels follow hints, and the image along which edges are smoothed.

    Parameters
    ----------
    moved : (h, w) bool array
    embedding : ImageEmbedding
    """

    def __init__(self, moved: NDArray[np.bool_], embedding: ImageEmbedding) -> None:
        self.moved = moved
        self._image = embedding.image
        coarse = rgb2lab(embedding.resized)[..., 0]
        self._mean, self._deviation = float(coarse.mean()), max(float(coarse.std()), 1.0)

    def lightness(self, region: Window) -> NDArray[np.float32]:
        """The lightness of a part of the image in standard deviations of that of the grid."""
        from ..features.tiled_image import TiledImage  # noqa: PLC0415 - torch

        image = self._image
        pixels = (
            image.region(region) if isinstance(image, TiledImage) else image.pixels[region.slices]
        )
        found: NDArray[np.float32] = rgb2lab(pixels)[..., 0].astype(np.float32)
        return (found - np.float32(self._mean)) / np.float32(self._deviation)


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
    hinted : HintedCells, optional
        Where `reduced` follows hints: pixels of these cells have the label of `reduced`, and edges
        between labels are smoothed along those of the image.
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
        hinted: HintedCells | None = None,
    ) -> None:
        self.shape = scores.shape
        self.size = math.prod(scores.shape)
        self.dtype = reduced.dtype
        self.reduced = reduced
        self._hinted = hinted
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
        labels = self._corrected(chunk)
        packed = zlib.compress(labels.tobytes(), 1)
        with self._lock:
            self._known[chunk] = packed
        return labels

    def _corrected(self, chunk: Window) -> LabelArray:
        """Compute the labels of a chunk."""
        from .edge_smoothing import reach, smoothed_best, window_radius  # noqa: PLC0415 - torch

        by_text = self._scores.to_labels(self._thresholds, stage=self._stage, window=chunk)
        if self._hinted is None:
            return by_text
        radius = window_radius(self.size, self.reduced.size)
        around = chunk.grown(reach(radius), self.shape)
        moved = self._of_cells(self._hinted.moved, around)
        if not moved.any():
            return by_text
        labels, inner = self._of_cells(self.reduced, around), chunk.within(around).slices
        labels[inner] = np.where(moved[inner], labels[inner], by_text)
        present, index = np.unique(labels, return_inverse=True)
        same = np.arange(len(present))[:, None, None] == index.reshape(labels.shape)
        scores = np.where(same, np.float32(0), np.float32(UNLIKELY))
        lightness = self._hinted.lightness(around)
        smooth = present[smoothed_best(scores, lightness, radius, slice(0, len(labels)))]
        near = maximum_filter(moved, 2 * radius + 1)
        return np.where(near, smooth, labels)[inner]

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
    embedding: ImageEmbedding,
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
    embedding : ImageEmbedding
        Of the image: edges of what follows hints are smoothed along those of the image.
    hints : UserHints, optional
        On the grid of the maps.
    """
    found = {}
    for stage, one in live.items():
        reduced, hinted = one.labels(thresholds), None
        if hints is not None:
            by_text, reduced = reduced, one.labels(thresholds, hints)
            hinted = HintedCells(reduced != by_text, embedding)
        found[stage] = LabelsByChunk(scores, stage, thresholds, reduced, hinted)
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
