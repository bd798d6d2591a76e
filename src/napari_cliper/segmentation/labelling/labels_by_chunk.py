"""Labels of a large image that are computed chunk by chunk, when they are read."""

from __future__ import annotations

import math
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..lazy_array import LazyArray
from ..recent import RecentCache
from ..tiles import Window
from .live_labels import LiveLabels, UserHints
from .thresholds import Thresholds

if TYPE_CHECKING:
    from ..propagation.label_propagation import Propagated
    from ..results import ScoreMaps, Stage
    from .corrected_labels import TextScores
    from .label_rule import LabelArray

CHUNK = 512
"""Rows and columns of a chunk."""

REDUCED_PIXELS = 1 << 20
"""Pixels of the copy of a large image on which hints are propagated, unless its maps have more."""

PLANES_BYTES = 1 << 28
"""Memory for scores of the parts that were labelled last."""

_OPEN = -1


class CompressedLabels(NamedTuple):
    """Labels of a chunk, compressed, and how many pixels have each label, (T + 1,)."""

    labels: bytes
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, labels: LabelArray, classes: int) -> CompressedLabels:
        """Compress and count labels."""
        counts = np.bincount(labels.ravel(), minlength=classes + 1)
        return cls(zlib.compress(labels.tobytes(), 1), counts)


def reduced_shape(scores: ScoreMaps) -> tuple[int, int]:
    """Return (Y, X) of the reduced copy of a large image on which hints are propagated."""
    grid = scores.on_grid().shape
    scale = (REDUCED_PIXELS / math.prod(scores.shape)) ** 0.5
    if scale >= 1:
        return scores.shape
    rows, columns = (max(round(side * scale), 1) for side in scores.shape)
    return (rows, columns) if rows * columns > math.prod(grid) else grid


class WordLabels:
    """Labels by the words alone of one stage for some thresholds, and scores; kept once known.

    Parameters
    ----------
    scores : ScoreMaps
        For which `in_chunks` is true.
    stage : {'coarse', 'refined'}
    thresholds : Thresholds
        Of classes that the result has.
    """

    def __init__(self, scores: ScoreMaps, stage: Stage, thresholds: Thresholds) -> None:
        self.scores, self.stage, self.thresholds = scores, stage, thresholds
        self._packed: dict[Window, CompressedLabels] = {}
        self._parts = RecentCache[Window, LiveLabels](
            PLANES_BYTES, at_least=1, size=lambda one: one.nbytes + one.scores.nbytes
        )
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        with self._lock:
            return sum(len(one.labels) for one in self._packed.values()) + self._parts.nbytes

    @property
    def known(self) -> dict[Window, CompressedLabels]:
        """The labels of the chunks that were computed."""
        with self._lock:
            return dict(self._packed)

    def labels(self, chunk: Window) -> CompressedLabels:
        """The labels of a chunk."""
        with self._lock:
            found = self._packed.get(chunk)
        if found is None:
            labels = self.scores.to_labels(self.thresholds, stage=self.stage, window=chunk)
            found = CompressedLabels.of(labels, len(self.scores.classes))
            with self._lock:
                self._packed[chunk] = found
        return found

    def part(self, window: Window) -> LiveLabels:
        """Labels of a part of the image that remember its scores."""
        from .window_scores import scores_in  # noqa: PLC0415 - torch

        with self._lock:
            found = self._parts.get(window)
            if found is None:
                found = LiveLabels(scores_in(self.scores, self.stage, window), "coarse", limit=0)
            self._parts.put(window, found)  # even if it is there: it may have grown
        return found


@dataclass(frozen=True, eq=False)
class HintedLabels:
    """What hints say of a large image.

    Parameters
    ----------
    hints : UserHints
        On a reduced copy of the image.
    propagated : Propagated
        On the copy.
    text : TextScores
        Of the copy.
    """

    hints: UserHints
    propagated: Propagated
    text: TextScores

    def labels(self, words: WordLabels, chunk: Window) -> LabelArray:
        """The labels of a chunk: those of the whole image at its pixels."""
        from .corrected_labels import corrected_labels, propagated_in  # noqa: PLC0415 - torch
        from .edge_smoothing import reach, window_radius  # noqa: PLC0415 - torch

        scores = words.scores
        radius = window_radius(math.prod(scores.shape), len(self.propagated.affinity.means))
        around = chunk.grown(reach(radius), scores.shape)
        text = words.part(around).by_text(words.thresholds, self.hints, self.text)
        hint_labels = self._hints_at(around, scores.shape)
        propagated = propagated_in(self.propagated, scores.shape, around, hint_labels)
        return corrected_labels(propagated, text, radius)[chunk.within(around).slices]

    def _hints_at(self, window: Window, shape: tuple[int, int]) -> NDArray[np.int32]:
        """The hints at the pixels of a part of the image."""
        pixels = self.hints.pixels
        here: NDArray[np.int32] = of_cells(self.hints.labels, window, shape)
        if pixels is None or (here == _OPEN).all():
            return here
        return pixels.at(window)


class LabelsByChunk(LazyArray):
    """Labels of one stage for some thresholds and hints, indexed like a NumPy array.

    A chunk is computed when it is first read, and then kept compressed, so that the labels of the
    whole image are never in memory. Threads may read at the same time.

    Parameters
    ----------
    words : WordLabels
        Labels without hints; shared by those of the same thresholds.
    reduced : (h, w) uint8 or uint16 array
        The labels of the reduced copy of the image; see `live_on_grid`.
    hinted : HintedLabels, optional
        The hints that the labels follow.
    """

    FINE = 2
    """The largest step at which `seen` uses chunks."""

    def __init__(
        self, words: WordLabels, reduced: LabelArray, hinted: HintedLabels | None = None
    ) -> None:
        self.words = words
        self.shape = words.scores.shape
        self.dtype = reduced.dtype
        self.reduced = reduced
        self._hinted = hinted
        self._known = {} if hinted is not None else words.known
        none = np.zeros(len(words.scores.classes) + 1, np.int64)
        self._counts = sum((one.counts for one in self._known.values()), start=none)
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of memory of what is kept."""
        with self._lock:
            own = sum(len(one.labels) for one in self._known.values())
        hinted = self._hinted is not None  # else the words have them
        return self.reduced.nbytes + own * hinted + self.words.nbytes

    @property
    def complete(self) -> bool:
        """Whether every chunk was computed."""
        return int(self.counts.sum()) == self.size

    @property
    def counts(self) -> NDArray[np.int64]:
        """Pixels of each label in the chunks that were computed, (T + 1,)."""
        with self._lock:
            return self._counts.copy()

    def __getitem__(self, where: Any) -> Any:
        """Labels at an index of integers and slices with a step of 1, as a copy."""
        index = self._parts(where)
        region = self._region(index)
        found = np.empty(region.shape, self.dtype)
        for chunk in self.chunks(region):
            found[chunk.within(region).slices] = self._labels(chunk)[region.within(chunk).slices]
        return found[
            tuple(0 if isinstance(one, int | np.integer) else slice(None) for one in index)
        ]

    def any(self) -> bool:
        """Whether a class has a pixel, as far as it is known: see `found`."""
        return bool(self.found)

    @property
    def found(self) -> frozenset[int]:
        """The labels of classes with pixels: of the chunks, and until all are known, reduced ones.

        A class may have pixels in chunks that were not computed yet.
        """
        known = set(np.flatnonzero(self.counts).tolist())
        if not self.complete:
            known |= set(np.unique(self.reduced).tolist())
        return frozenset(known - {0})

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
        found: LabelArray = of_cells(self.reduced, region, self.shape, step)
        for chunk in self.chunks(region) if step <= self.FINE else ():
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
            found = [one for one in self.chunks(region) if one not in self._known]
        return sorted(found, key=lambda one: math.dist(_middle(one), _middle(region)))

    def compute(self, chunk: Window) -> None:
        """Compute one of the `missing` chunks."""
        self._labels(chunk)

    # ------------------------------------------------------------------ chunks

    def _labels(self, chunk: Window) -> LabelArray:
        """The labels of a chunk; read-only."""
        with self._lock:
            packed = self._known.get(chunk)
        if packed is None:
            if self._hinted is None:
                packed = self.words.labels(chunk)
            else:
                labels = self._hinted.labels(self.words, chunk)
                packed = CompressedLabels.of(labels, len(self._counts) - 1)
            with self._lock:
                if chunk not in self._known:
                    self._known[chunk] = packed
                    self._counts = self._counts + packed.counts
        flat: LabelArray = np.frombuffer(zlib.decompress(packed.labels), self.dtype)
        return flat.reshape(chunk.shape)

    def chunks(self, region: Window) -> Iterator[Window]:
        """Yield the chunks that a region touches."""
        height, width = self.shape
        for top in range(region.top - region.top % CHUNK, region.bottom, CHUNK):
            for left in range(region.left - region.left % CHUNK, region.right, CHUNK):
                yield Window(top, left, min(top + CHUNK, height), min(left + CHUNK, width))

    def _region(self, parts: Sequence[Any]) -> Window:
        """The rows and columns of an index, given for both axes."""
        (top, bottom), (left, right) = (
            one.indices(side)[:2] if isinstance(one, slice) else (int(one), int(one) + 1)
            for one, side in zip(parts, self.shape, strict=True)
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
    before: Mapping[Stage, LabelsByChunk] | None = None,
) -> dict[Stage, LabelsByChunk]:
    """Return the labels of each stage of a result for thresholds and hints.

    Parameters
    ----------
    scores : ScoreMaps
        For which `in_chunks` is true.
    live : mapping of str to LiveLabels
        The labels of each stage of a reduced copy of the image; see `live_on_grid`.
    thresholds : Thresholds
        Per-class thresholds of classes that the result lacks are ignored.
    hints : UserHints, optional
        On the copy, with the hints in the pixels of the image.
    before : mapping of str to LabelsByChunk, optional
        Earlier labels of the result; what they know of the same thresholds is used again.
    """
    thresholds = thresholds.only_for([one.name for one in scores.classes])
    found = {}
    for stage, one in live.items():
        words = None if before is None or stage not in before else before[stage].words
        if words is None or words.scores is not scores or words.thresholds != thresholds:
            words = WordLabels(scores, stage, thresholds)
        hinted, reduced = None, one.labels(thresholds, hints)
        if hints is not None and (hints.labels != _OPEN).any():
            hinted = HintedLabels(hints, *one.propagated(thresholds, hints))
        found[stage] = LabelsByChunk(words, reduced, hinted)
    return found


def live_on_grid(scores: ScoreMaps) -> dict[Stage, LiveLabels]:
    """Return live labels of each stage for a reduced copy of the image, of `reduced_shape`."""
    shape = reduced_shape(scores)
    return {
        stage: LiveLabels(replace(scores.on_grid(stage), shape=shape), "coarse")
        for stage in scores.stages
    }


def of_cells(
    grid: NDArray[Any], region: Window, shape: tuple[int, int], step: int = 1
) -> NDArray[Any]:
    """The value of the cell of a grid in which each pixel of a region of an image lies."""
    down = np.arange(region.top, region.bottom, step) * grid.shape[0] // shape[0]
    across = np.arange(region.left, region.right, step) * grid.shape[1] // shape[1]
    found: NDArray[Any] = grid[down][:, across]
    return found


def _middle(window: Window) -> tuple[float, float]:
    return (window.top + window.bottom) / 2, (window.left + window.right) / 2
