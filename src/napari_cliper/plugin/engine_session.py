"""What runs in the thread, and what is kept between runs. Knows no widget and no Qt.

An image is encoded once; its embedding is kept, bounded in bytes, least recently used
leaves first. Changed words ask the kept embedding again.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..annotation.project.prediction_store import StoredPrediction
from ..io.prototype_file import read_prototypes
from ..labels.regions import connected_regions
from ..segmentation import (
    REGISTRY,
    ClassPrompt,
    InvalidInputError,
    LiveLabels,
    Monitor,
    Progress,
    SegmentationConfig,
    SegmentationError,
    Thresholds,
    WeightsEntry,
)
from . import ui_text
from .pytorch_loading import load_pytorch

if TYPE_CHECKING:
    from ..segmentation import (
        ImageAffinity,
        ImageEmbedding,
        Prototypes,
        ScoreMaps,
        Segmenter,
        Shortfall,
        Stage,
    )

COUNTED_UP_TO = 2**24
"""Pixels of the largest image whose objects are counted by a run."""

CACHE_BYTES = 2_000_000_000


Limits = tuple[float, float]


def _percentiles() -> Limits | None:
    """No contrast limits: percentiles of the image take their place."""
    return None


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
    prototypes : Prototypes, optional
        What classes look like; those of another model are left out, with a note.
    prototype_weight : float, optional
        Their weight against the words, 0 to 1; None chooses it per class.
    contrast : callable
        Gives the contrast limits of a grey image or None, in the thread.
    """

    read: Callable[[], NDArray[Any]]
    config: SegmentationConfig
    classes: tuple[ClassPrompt, ...]
    background: tuple[str, ...]
    thresholds: Thresholds | None = None
    prototypes: Prototypes | None = None
    prototype_weight: float | None = None
    contrast: Callable[[], Limits | None] = _percentiles


@dataclass(frozen=True, eq=False)
class LearningRequest:
    """What an image teaches: a frozen snapshot of its annotation.

    Parameters
    ----------
    read : callable
        Gives the image's pixels, in the thread.
    config : SegmentationConfig
    labels : (Y, X) array of int
    confirmed : (Y, X) bool array
        Which of them a person stands behind.
    names : mapping of int to str
        The class of each label.
    source : str
        What the image is called.
    contrast : callable
        As for a `Request`.
    """

    read: Callable[[], NDArray[Any]]
    config: SegmentationConfig
    labels: NDArray[Any]
    confirmed: NDArray[Any]
    names: Mapping[int, str]
    source: str
    contrast: Callable[[], Limits | None] = _percentiles


@dataclass(frozen=True, eq=False)
class Found:
    """What a result contains at its first thresholds.

    Parameters
    ----------
    classes : int
        How many classes have a pixel.
    objects : int or None
        Connected regions of one class; None where counting would take too much memory.
    short : tuple of Shortfall
        Classes without a pixel that stay below a threshold, the best first.
    """

    classes: int
    objects: int | None
    short: tuple[Shortfall, ...]


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
    embedding : ImageEmbedding
        What was scored.
    found : Found
    notes : tuple of str
        What a person should know of it.
    """

    scores: ScoreMaps
    live: Mapping[Stage, LiveLabels]
    thresholds: Thresholds
    seconds: float
    encoded: bool
    embedding: ImageEmbedding
    found: Found
    notes: tuple[str, ...] = ()


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
        self._in_use = threading.Lock()  # held by the job that works with the segmenter
        self._computing_affinity = threading.Lock()  # one at a time: two ask for the same
        self._segmenter: Segmenter | None = None
        self._cached: OrderedDict[tuple[Any, ...], ImageEmbedding] = OrderedDict()
        self._affinities: WeakKeyDictionary[ImageEmbedding, ImageAffinity] = WeakKeyDictionary()

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
        scores, embedding, notes, encoded = self._scores(request, report, should_stop)
        report(Progress(ui_text.MAKING_LABELS, 0, 0))
        thresholds = request.thresholds or scores.settings.thresholds
        live = {stage: LiveLabels(scores, stage) for stage in scores.stages}
        for one in live.values():
            one.labels(thresholds)  # remembers what the next ones need
        found = _found(live[scores.stages[-1]], thresholds)
        seconds = time.perf_counter() - start
        return Outcome(scores, live, thresholds, seconds, encoded, embedding, found, notes)

    def affinity(
        self,
        embedding: ImageEmbedding,
        report: Callable[[Progress], None],
        should_stop: Callable[[], bool],
    ) -> ImageAffinity:
        """How the parts of an image belong together; kept as long as its embedding.

        Takes up to a second; called in a thread.
        """
        from ..segmentation import image_affinity  # noqa: PLC0415 - torch

        with self._computing_affinity:
            with self._lock:
                found = self._affinities.get(embedding)
            if found is None:
                found = image_affinity(embedding, Monitor(report, should_stop))
                with self._lock:
                    self._affinities[embedding] = found
                    self._make_room()
        return found

    def learn(
        self,
        learning_request: LearningRequest,
        report: Callable[[Progress], None],
        should_stop: Callable[[], bool],
    ) -> Prototypes:
        """What an image teaches of its classes, alone; called in a thread.

        Raises
        ------
        SegmentationError
            As the engine does.
        """
        with self._segmenter_for(learning_request.config, report, should_stop) as segmenter:
            embedding, _ = self._embedding(segmenter, learning_request, report, should_stop)
            report(Progress(ui_text.LEARNING, 0, 0))
            return segmenter.learn(
                embedding,
                learning_request.labels,
                learning_request.confirmed,
                learning_request.names,
                learning_request.source,
            )

    def predict(
        self, request: Request, report: Callable[[Progress], None], should_stop: Callable[[], bool]
    ) -> StoredPrediction:
        """The prediction of an image, to be kept on disk; called in a thread.

        Raises
        ------
        SegmentationError
            As the engine does.
        """
        scores, *_ = self._scores(request, report, should_stop, passing=True)
        stage = scores.stages[-1]
        live = LiveLabels(scores, stage)
        thresholds = request.thresholds or scores.settings.thresholds
        return StoredPrediction(
            live.labels(thresholds),
            live.uncertainty(thresholds),
            stage,
            tuple(scores.stage().class_scores.tolist()),
            record={**scores.record, "thresholds": thresholds.as_dict},
        )

    def prototypes_of(
        self,
        path: Path,
        config: SegmentationConfig | None,
        on_disk: bool,
        report: Callable[[Progress], None],
        should_stop: Callable[[], bool],
    ) -> Prototypes:
        """The prototypes of a file, if they are of the chosen model; called in a thread.

        Parameters
        ----------
        path : Path
        config : SegmentationConfig or None
            What has chosen it; None takes any.
        on_disk : bool
            Whether its weights are there; if not, only its name is compared.

        Raises
        ------
        FileError
            For a file that cannot be read.
        InvalidInputError
            For prototypes of another model.
        """
        load_pytorch(report)
        found = read_prototypes(path)
        if config is not None and found.model != config.model:
            found.check_model("", config.model)
        elif config is not None and on_disk:
            with self._segmenter_for(config, report, should_stop) as segmenter:
                found.check_model(segmenter.identity, config.model)
        return found

    def unload(self) -> None:
        """Free the networks; embeddings are kept, as they are in the CPU's memory."""
        with self._lock:
            if self._segmenter is not None:
                self._segmenter.unload()
            self._segmenter = None

    def set_capacity(self, capacity: int) -> None:
        """Change how many bytes the kept embeddings may take; the oldest make room."""
        with self._lock:
            self.capacity = capacity
            self._make_room()

    def forget(self) -> None:
        """Drop every kept embedding."""
        with self._lock:
            self._cached.clear()

    @property
    def kept(self) -> tuple[int, int]:
        """How many embeddings are kept, and their bytes with what was made of them."""
        with self._lock:
            return len(self._cached), sum(map(self._bytes_of, self._cached.values()))

    @property
    def network_bytes(self) -> int:
        """Bytes of memory that this dock's networks take; 0 after `unload`."""
        with self._lock:
            return 0 if self._segmenter is None else self._segmenter.nbytes

    def _scores(
        self,
        request: Request,
        report: Callable[[Progress], None],
        should_stop: Callable[[], bool],
        *,
        passing: bool = False,
    ) -> tuple[ScoreMaps, ImageEmbedding, tuple[str, ...], bool]:
        """Scores, what was scored, notes, and whether an image network ran."""
        with self._segmenter_for(request.config, report, should_stop) as segmenter:
            segmenter.check_words(request.classes, request.background)
            embedding, encoded = self._embedding(
                segmenter, request, report, should_stop, passing=passing
            )
            prototypes, notes = _usable(segmenter, request.prototypes)
            scores = segmenter.score(
                embedding,
                request.classes,
                background=request.background,
                prototypes=prototypes,
                prototype_weight=request.prototype_weight,
                report=report,
                should_stop=should_stop,
            )
        return scores, embedding, notes, encoded

    def _embedding(
        self,
        segmenter: Segmenter,
        requested: Request | LearningRequest,
        report: Callable[[Progress], None],
        should_stop: Callable[[], bool],
        *,
        passing: bool = False,
    ) -> tuple[ImageEmbedding, bool]:
        """The kept embedding of an image, or a new one; and whether it is new.

        One that is only passed by is kept where there is room, and takes no other's place.
        """
        report(Progress(ui_text.READING_IMAGE, 0, 0))
        pixels, contrast = requested.read(), requested.contrast()
        key = (segmenter.config.embedding_key, _digest(pixels), contrast)
        embedding = self._recall(key)
        if embedding is not None:
            return embedding, False
        embedding = segmenter.embed(
            pixels, contrast=contrast, report=report, should_stop=should_stop
        )
        if not passing or self.kept[1] + embedding.nbytes <= self.capacity:
            self._keep(key, embedding)
        return embedding, True

    @contextmanager
    def _segmenter_for(
        self,
        config: SegmentationConfig,
        report: Callable[[Progress], None],
        should_stop: Callable[[], bool],
    ) -> Iterator[Segmenter]:
        """The segmenter of a configuration, for one job at a time: a cancelled one may still run.

        Raises
        ------
        Stopped
            While it waits for PyTorch or for the job before.
        """
        monitor = Monitor(report, should_stop)
        load_pytorch(report)
        monitor.check()
        from ..segmentation import Segmenter  # noqa: PLC0415 - torch, only when it runs

        while not self._in_use.acquire(timeout=0.1):
            monitor.tell(ui_text.WAITING_FOR_CANCELLED, 0, 0)
        try:
            with self._lock:
                if self._segmenter is None:
                    self._segmenter = Segmenter(config)
                elif self._segmenter.config != config:
                    self._segmenter = self._segmenter.with_config(config)
                segmenter = self._segmenter
            yield segmenter
        finally:
            self._in_use.release()

    def _recall(self, key: tuple[Any, ...]) -> ImageEmbedding | None:
        with self._lock:
            if key in self._cached:
                self._cached.move_to_end(key)
            return self._cached.get(key)

    def _keep(self, key: tuple[Any, ...], embedding: ImageEmbedding) -> None:
        with self._lock:
            self._cached[key] = embedding
            self._make_room()

    def _make_room(self) -> None:
        """Let the images go that were asked for longest ago; the last one stays."""
        while len(self._cached) > 1 and self.kept[1] > self.capacity:
            self._cached.popitem(last=False)

    def _bytes_of(self, embedding: ImageEmbedding) -> int:
        affinity = self._affinities.get(embedding)
        return embedding.nbytes + (0 if affinity is None else affinity.nbytes)


def _found(live: LiveLabels, thresholds: Thresholds) -> Found:
    labels = live.labels(thresholds)
    short = live.shortfalls(thresholds)
    if labels.size > COUNTED_UP_TO:
        return Found(len(set(np.unique(labels).tolist()) - {0}), None, short)
    regions = connected_regions(labels)
    return Found(len(regions.class_sizes()), len(regions.areas), short)


def _usable(
    segmenter: Segmenter, prototypes: Prototypes | None
) -> tuple[Prototypes | None, tuple[str, ...]]:
    """The prototypes, if they are of this model, and a note if they are not."""
    if not prototypes:
        return None, ()
    try:
        prototypes.check_model(segmenter.identity, segmenter.config.model)
    except InvalidInputError as error:
        return None, (ui_text.prototypes_left_out(error),)
    return prototypes, ()


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


def find_models(
    report: Callable[[Progress], None], _should_stop: Callable[[], bool]
) -> tuple[str, ...]:
    """Load PyTorch, and return the models of open_clip's table; called in a thread."""
    load_pytorch(report)
    from ..segmentation import listed_models  # noqa: PLC0415 - torch

    return listed_models()


def fetch_weights(
    names: Sequence[str], report: Callable[[Progress], None], should_stop: Callable[[], bool]
) -> None:
    """Fetch the weights of some names; called in a thread."""
    load_pytorch(report)
    from ..segmentation import fetch, weights_of  # noqa: PLC0415 - heavy

    for name in names:
        for row in weights_of(name):
            fetch(row, monitor=Monitor(report, should_stop))


@dataclass(frozen=True)
class WeightsFound:
    """Which weights are on disk.

    Parameters
    ----------
    on_disk : mapping of str to bool
        By name: those of the registry, and the one that was asked for.
    requested : str
        The name that was asked for beside the registry's; empty for none.
    row : WeightsEntry or None
        Its weights, where they can be fetched.
    vocabulary : tuple of str
        The words of the demo model.
    free : int
        Bytes that are free where downloads are stored.
    """

    on_disk: Mapping[str, bool]
    requested: str
    row: WeightsEntry | None
    vocabulary: tuple[str, ...]
    free: int


def weights_on_disk(
    name: str, _report: Callable[[Progress], None], _should_stop: Callable[[], bool]
) -> WeightsFound:
    """Which weights of the registry are on disk, and those of one more name; called in a thread.

    Parameters
    ----------
    name : str
        A model of open_clip's table, or empty; what cannot be fetched is passed over.
    """
    from ..segmentation import cached, free_space, vocabulary  # noqa: PLC0415 - heavy

    on_disk = {one: cached(entry) is not None for one, entry in REGISTRY.items()}
    row = None
    if name:
        load_pytorch()
        from ..segmentation import weights_of  # noqa: PLC0415 - torch

        with suppress(SegmentationError):  # a run says what is wrong with it
            rows = weights_of(name)
            row = rows[0]
            on_disk[name] = all(cached(one) is not None for one in rows)
    return WeightsFound(on_disk, name, row, vocabulary(REGISTRY["demo"]), free_space())
