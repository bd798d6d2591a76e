"""What runs in the thread, and what is kept between runs. Knows no widget and no Qt.

An image is encoded once; its embedding is kept, bounded in bytes, least recently used
leaves first. Changed words ask the kept embedding again.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..segmentation import (
    REGISTRY,
    ClassPrompt,
    LiveLabels,
    Monitor,
    Progress,
    SegmentationConfig,
    SegmentationError,
    Thresholds,
    WeightsEntry,
)

if TYPE_CHECKING:
    from ..segmentation import ImageEmbedding, ScoreMaps, Segmenter, Stage

CACHE_BYTES = 2_000_000_000


@dataclass(frozen=True, eq=False)
class Request:
    """A frozen snapshot of the wishes, taken when Run was pressed.

    Parameters
    ----------
    read : callable
        Gives the image's pixels, in the thread.
    config : SegmentationConfig
    classes : tuple of ClassPrompt
    background : tuple of str
    thresholds : Thresholds, optional
        What labels are made with first; by default, as published.
    """

    read: Callable[[], NDArray[Any]]
    config: SegmentationConfig
    classes: tuple[ClassPrompt, ...]
    background: tuple[str, ...]
    thresholds: Thresholds | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a request.

    Parameters
    ----------
    scores : ScoreMaps
    live : mapping of str to LiveLabels
        By stage: labels that follow thresholds.
    thresholds : Thresholds
        Those for which the labels are ready.
    seconds : float
        From start to end.
    encoded : bool
        Whether an image network ran, or the kept embedding served.
    """

    scores: ScoreMaps
    live: Mapping[Stage, LiveLabels]
    thresholds: Thresholds
    seconds: float
    encoded: bool


class Session:
    """Networks and embeddings of one dock.

    Parameters
    ----------
    capacity : int
        Bytes that the kept embeddings may take together.
    """

    def __init__(self, capacity: int = CACHE_BYTES) -> None:
        self.capacity = capacity
        self._lock = threading.RLock()  # the thread fills, the window asks
        self._segmenter: Segmenter | None = None
        self._kept: OrderedDict[tuple[Any, ...], ImageEmbedding] = OrderedDict()

    def run(
        self, request: Request, report: Callable[[Progress], None], should_stop: Callable[[], bool]
    ) -> Outcome:
        """Encode the image where it is new, and score the words; called in a thread.

        Raises
        ------
        SegmentationError
            As the engine does; nothing that was kept is lost.
        """
        start = time.perf_counter()
        segmenter = self._segmenter_for(request.config)
        segmenter.check_words(request.classes, request.background)
        report(Progress("Reading the image", 0, 0))
        pixels = request.read()
        key = (request.config.embedding_key, _digest(pixels))
        embedding = self._recall(key)
        encoded = embedding is None
        if embedding is None:
            embedding = segmenter.embed(pixels, report=report, should_stop=should_stop)
            self._keep(key, embedding)
        scores = segmenter.score(
            embedding,
            request.classes,
            background=request.background,
            report=report,
            should_stop=should_stop,
        )
        report(Progress("Making labels", 0, 0))
        settings = scores.settings
        thresholds = request.thresholds or Thresholds(
            settings.class_threshold, settings.background_threshold, settings.min_max
        )
        live = {stage: LiveLabels(scores, stage) for stage in scores.stages}
        for one in live.values():
            one.prepare(thresholds)
        return Outcome(scores, live, thresholds, time.perf_counter() - start, encoded)

    def unload(self) -> None:
        """Free the networks; embeddings are kept, as they are in the CPU's memory."""
        with self._lock:
            if self._segmenter is not None:
                self._segmenter.unload()
            self._segmenter = None

    def forget(self) -> None:
        """Drop every kept embedding."""
        with self._lock:
            self._kept.clear()

    @property
    def kept(self) -> tuple[int, int]:
        """How many embeddings are kept, and their bytes."""
        with self._lock:
            return len(self._kept), sum(one.nbytes for one in self._kept.values())

    @property
    def network_bytes(self) -> int:
        """Bytes of memory that this dock's networks take; 0 after `unload`."""
        with self._lock:
            return 0 if self._segmenter is None else self._segmenter.nbytes

    def _segmenter_for(self, config: SegmentationConfig) -> Segmenter:
        load_triton_apart()
        from ..segmentation import Segmenter  # noqa: PLC0415 - torch, only when it runs

        with self._lock:
            if self._segmenter is None:
                self._segmenter = Segmenter(config)
            elif self._segmenter.config != config:
                self._segmenter = self._segmenter.with_config(config)
            return self._segmenter

    def _recall(self, key: tuple[Any, ...]) -> ImageEmbedding | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: tuple[Any, ...], embedding: ImageEmbedding) -> None:
        with self._lock:
            self._kept[key] = embedding
            while len(self._kept) > 1 and self.kept[1] > self.capacity:
                self._kept.popitem(last=False)


def load_triton_apart() -> None:
    """Load PyTorch's Triton, where it is, with symbols of its own.

    A window on Linux has loaded Mesa's OpenGL, and with it an LLVM; Triton brings another one,
    and loaded the usual way it calls into the first and crashes.
    """
    if sys.platform != "linux" or "triton" in sys.modules or find_spec("triton") is None:
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        with suppress(ImportError):  # torch does without it
            import_module("triton")
    finally:
        sys.setdlopenflags(flags)


def _digest(pixels: NDArray[Any]) -> str:
    """What two images share only if they are equal."""
    hasher = hashlib.blake2b(f"{pixels.shape}{pixels.dtype}".encode())
    hasher.update(pixels.tobytes())
    return hasher.hexdigest()


def classes_of(rows: Sequence[Any]) -> tuple[tuple[ClassPrompt, ...], tuple[str, ...]]:
    """Rows of the class table as the engine's classes and background words."""
    classes = tuple(
        ClassPrompt(row.name, row.synonyms, row.prompt) for row in rows if not row.background
    )
    words = tuple(w for row in rows if row.background for w in (row.name, *row.synonyms))
    return classes, words


def fetch_weights(
    name: str, report: Callable[[Progress], None], should_stop: Callable[[], bool]
) -> None:
    """Fetch the weights of a name; called in a thread."""
    from ..segmentation import fetch, weights_of  # noqa: PLC0415 - heavy

    for row in weights_of(name):
        fetch(row, monitor=Monitor(report, should_stop))


@dataclass(frozen=True)
class WeightsFound:
    """Which weights are on disk.

    Parameters
    ----------
    on_disk : mapping of str to bool
        By name: those of the registry, and the one that was asked for.
    asked : str
        The name that was asked for beside the registry's; empty for none.
    row : WeightsEntry or None
        Its weights, where they can be fetched.
    known_words : tuple of str
        The words of the demo model.
    """

    on_disk: Mapping[str, bool]
    asked: str
    row: WeightsEntry | None
    known_words: tuple[str, ...]


def weights_on_disk(
    name: str, _report: Callable[[Progress], None], _should_stop: Callable[[], bool]
) -> WeightsFound:
    """Which weights of the registry are on disk, and those of one more name; called in a thread.

    Parameters
    ----------
    name : str
        A model of open_clip's table, or empty; what cannot be fetched is passed over.
    """
    from ..segmentation import cached, known_words  # noqa: PLC0415 - heavy

    on_disk = {one: cached(entry) is not None for one, entry in REGISTRY.items()}
    row = None
    if name:
        load_triton_apart()
        from ..segmentation import weights_of  # noqa: PLC0415 - torch

        with suppress(SegmentationError):  # a run says what is wrong with it
            rows = weights_of(name)
            row = rows[0]
            on_disk[name] = all(cached(one) is not None for one in rows)
    return WeightsFound(on_disk, name, row, known_words(REGISTRY["demo"]))
