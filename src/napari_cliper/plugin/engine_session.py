"""The calls of the engine that run in threads, and the cache of embeddings. Without Qt.

An image is encoded once, and its embedding cached. The cache is bounded in bytes; the least
recently used embeddings are dropped first. When words change, the cached embedding is scored again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from ..annotation.project.prediction_store import StoredPrediction
from ..io.prototype_file import read_prototypes
from ..segmentation import (
    DamagedWeightsError,
    InvalidInputError,
    Monitor,
    Progress,
    RecentCache,
    Report,
    SegmentationConfig,
    ShouldStop,
    WeightsUnavailableError,
)
from . import ui_text
from .engine_requests import (
    LearningRequest,
    Limits,
    Outcome,
    Request,
    digest,
    outcome_of,
    usable_prototypes,
)
from .layers.lazy_planes import lazy_key
from .object_session import ObjectSession, SamChoice
from .pytorch_loading import load_pytorch
from .tile_costs import check_room

if TYPE_CHECKING:
    from ..segmentation import (
        ImageAffinity,
        ImageEmbedding,
        Prototypes,
        ScoreMaps,
        Segmenter,
        TileCosts,
        TileEstimate,
        TileStore,
    )

CACHE_BYTES = 2_000_000_000

LARGEST_SIDE = 2048
"""Longer side, in pixels, of the largest image whose corrections use the model for outlines."""

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Session:
    """Networks and embeddings of one dock."""

    def __init__(self) -> None:
        self.objects = ObjectSession()
        """Outlines of single objects."""
        self.features_of_corrections: SamChoice | None = None
        """The model whose features corrections propagate along, beside CLIP's; None for none."""
        self.tiles_on_disk = True
        """Whether features of tiles are kept on disk; set it before the first job."""
        self._tile_store: TileStore | None = None
        self._cost: tuple[tuple[Any, ...], TileCosts] | None = None  # of a tile of an image
        self._lock = threading.RLock()  # for the cache, used by the window and by threads
        self._in_use = threading.Lock()  # held by the job that uses the segmenter
        self._computing_affinity = threading.Lock()  # so that two jobs do not compute the same
        self._segmenter: Segmenter | None = None
        self._cached: RecentCache[tuple[Any, ...], ImageEmbedding] = RecentCache(
            CACHE_BYTES, at_least=1, size=self._bytes_of
        )
        self._affinities: WeakKeyDictionary[ImageEmbedding, ImageAffinity] = WeakKeyDictionary()

    def estimate(
        self, request: Request, report: Report, should_stop: ShouldStop
    ) -> TileEstimate | None:
        """What encoding the image in tiles costs; None if it is encoded as a whole.

        Encodes one tile, once, and finds which tiles are cached; called in a thread.

        Raises
        ------
        SegmentationError
            As the engine does.
        """
        with self._segmenter_for(request.config, report, should_stop) as segmenter:
            image, contrast, key = self._image(segmenter, request, report)
            known = self._cost is not None and self._cost[0] == key
            cost = segmenter.estimate(
                image,
                contrast=contrast,
                gamma=request.image.gamma,
                each=self._cost[1] if self._cost is not None and known else None,
                report=report,
                should_stop=should_stop,
            )
            if cost is not None:
                self._cost = key, cost.each
            return cost

    def run_if_short(
        self,
        request: Request,
        seconds: float,
        first: Callable[[Report, ShouldStop], None] | None,
        report: Report,
        should_stop: ShouldStop,
    ) -> Outcome | TileEstimate:
        """Run in tiles, or return the estimate if that takes longer; called in a thread.

        Parameters
        ----------
        request : Request
        seconds : float
        first : callable or None
            Called before the run with `report` and `should_stop`.

        Raises
        ------
        InvalidInputError
            If the memory or the disk has too little room.
        SegmentationError
            As the engine does.
        """
        cost = self.estimate(request, report, should_stop)
        if cost is not None:
            check_room(cost, self.tile_store, by_chunk=request.by_chunk)
            if cost.new_seconds > seconds:
                return cost
        if first is not None:
            first(report, should_stop)
        return self.run(request, report, should_stop)

    def run(self, request: Request, report: Report, should_stop: ShouldStop) -> Outcome:
        """Encode the image unless it is cached, and score the words; called in a thread.

        Raises
        ------
        SegmentationError
            As the engine does. Cached embeddings are kept.
        """
        scores, embedding, notes, encoded = self._scores(request, report, should_stop)
        report(Progress(ui_text.MAKING_LABELS, 0, 0))
        return outcome_of(request, scores, embedding, encoded=encoded, notes=notes)

    def affinity(
        self,
        embedding: ImageEmbedding,
        report: Report,
        should_stop: ShouldStop,
        *,
        shape: tuple[int, int] | None = None,
    ) -> ImageAffinity:
        """The affinity of an image, along which hints propagate; cached with its embedding.

        Takes up to a second; called in a thread. With a `shape`, it is that of a reduced copy of a
        large image, all of which is read.
        """
        from ..segmentation import image_affinity  # noqa: PLC0415 - torch

        with self._computing_affinity:
            with self._lock:
                found = self._affinities.get(embedding)
            if found is None or found.regions.shape != (shape or found.regions.shape):
                patches = self._features_of_corrections(embedding, report, should_stop)
                monitor = Monitor(report, should_stop)
                found = image_affinity(embedding, monitor, patches=patches, shape=shape)
                with self._lock:
                    self._affinities[embedding] = found
                    self._cached.trim()
        return found

    def _features_of_corrections(
        self, embedding: ImageEmbedding, report: Report, should_stop: ShouldStop
    ) -> tuple[Any, ...]:
        """Features of the model for outlines; empty without one, and for a large image.

        A large image would be reduced until small objects are lost.
        """
        model, image, tiles = self.features_of_corrections, embedding.image, embedding.tiles
        sides = image.shape if tiles is None else tiles.image.shape
        if model is None or max(sides) > LARGEST_SIDE:
            return ()
        try:
            return self.objects.features(model, image.pixels, report, should_stop)
        except (InvalidInputError, WeightsUnavailableError, DamagedWeightsError) as error:
            logger.warning("Corrections propagate along CLIP's features only: %s", error)
            return ()

    def learn(
        self, learning_request: LearningRequest, report: Report, should_stop: ShouldStop
    ) -> Prototypes:
        """Learn prototypes from one image; called in a thread.

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
                *learning_request.annotated(),
                learning_request.names,
                learning_request.source,
                pixel_size=learning_request.image.pixel_size,
            )

    def use(
        self,
        config: SegmentationConfig,
        use: Callable[[Segmenter], T],
        report: Report,
        should_stop: ShouldStop,
    ) -> T:
        """Call a function with the segmenter and return its result; called in a thread."""
        with self._segmenter_for(config, report, should_stop) as segmenter:
            return use(segmenter)

    def predict(
        self, request: Request, report: Report, should_stop: ShouldStop
    ) -> StoredPrediction:
        """The prediction of an image, to be stored on disk; called in a thread.

        Raises
        ------
        SegmentationError
            As the engine does.
        """
        scores, *_ = self._scores(request, report, should_stop, passing=True)
        from ..workflows.predict_images import stored_prediction  # noqa: PLC0415 - torch

        thresholds = request.thresholds or scores.settings.thresholds
        return stored_prediction(scores, thresholds, Monitor(report, should_stop))

    def prototypes_of(
        self,
        path: Path,
        config: SegmentationConfig | None,
        on_disk: bool,
        report: Report,
        should_stop: ShouldStop,
    ) -> Prototypes:
        """Read prototypes and check that they are of the chosen model; called in a thread.

        Parameters
        ----------
        path : Path
        config : SegmentationConfig or None
            Configuration with the chosen model; None accepts any model.
        on_disk : bool
            Whether the weights of the model are on disk; if not, only its name is compared.

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
        """Free the networks; embeddings, which are in CPU memory, stay cached."""
        with self._lock:
            if self._segmenter is not None:
                self._segmenter.unload()
            self._segmenter = None
        self.objects.unload()

    @property
    def capacity(self) -> int:
        """Bytes that all cached embeddings together may take; setting it drops the oldest ones."""
        return self._cached.limit

    @capacity.setter
    def capacity(self, capacity: int) -> None:
        with self._lock:
            self._cached.limit = capacity
            self._cached.trim()

    def forget(self) -> None:
        """Drop all cached embeddings, those of outlines too."""
        with self._lock:
            self._cached.clear()
        self.objects.forget()

    @property
    def tile_store(self) -> TileStore:
        """Where the features of tiles are kept."""
        if self._tile_store is None:
            from ..segmentation import TileCache, TileMemory  # noqa: PLC0415 - heavy

            self._tile_store = TileCache() if self.tiles_on_disk else TileMemory()
        return self._tile_store

    @property
    def kept(self) -> tuple[int, int]:
        """Number of cached embeddings, and their bytes with those of their affinities."""
        with self._lock:
            return len(self._cached), self._cached.nbytes

    @property
    def kept_of_all(self) -> tuple[int, int]:
        """Number and bytes of cached embeddings, those of outlines too."""
        (images, kept), (tiles, more) = self.kept, self.objects.kept
        return images + tiles, kept + more

    @property
    def network_bytes(self) -> int:
        """Bytes of memory of the loaded networks; 0 after `unload`."""
        with self._lock:
            main = 0 if self._segmenter is None else self._segmenter.nbytes
        return main + self.objects.network_bytes

    def _scores(
        self, request: Request, report: Report, should_stop: ShouldStop, *, passing: bool = False
    ) -> tuple[ScoreMaps, ImageEmbedding, tuple[str, ...], bool]:
        """Scores, embedding, notes, and whether the image was encoded."""
        with self._segmenter_for(request.config, report, should_stop) as segmenter:
            segmenter.check_words(request.classes, request.background)
            embedding, encoded = self._embedding(
                segmenter, request, report, should_stop, passing=passing
            )
            prototypes, notes = usable_prototypes(segmenter, request.prototypes)
            scores = segmenter.score(
                embedding,
                request.classes,
                background=request.background,
                prototypes=prototypes,
                prototype_weight=request.prototype_weight,
                pixel_size=request.image.pixel_size,
                report=report,
                should_stop=should_stop,
            )
        return scores, embedding, notes, encoded

    def _embedding(
        self,
        segmenter: Segmenter,
        requested: Request | LearningRequest,
        report: Report,
        should_stop: ShouldStop,
        *,
        passing: bool = False,
    ) -> tuple[ImageEmbedding, bool]:
        """The cached or new embedding of an image, and whether it is new.

        With `passing`, a new embedding is cached only if no other has to be dropped for it.
        """
        image, contrast, key = self._image(segmenter, requested, report)
        masks = requested.image.masks()
        key = (*key, None if masks is None else digest(masks))
        with self._lock:
            known = self._cached.get(key)
        if known is not None:
            return known, False
        embedding = segmenter.embed(
            image,
            contrast=contrast,
            gamma=requested.image.gamma,
            masks=masks,
            report=report,
            should_stop=should_stop,
        )
        if not passing or self.kept[1] + embedding.nbytes <= self.capacity:
            with self._lock:
                self._cached.put(key, embedding)
        return embedding, True

    def _image(
        self, segmenter: Segmenter, requested: Request | LearningRequest, report: Report
    ) -> tuple[Any, Limits | None, tuple[Any, ...]]:
        """The image, its contrast limits, and the key of its embedding."""
        report(Progress(ui_text.READING_IMAGE, 0, 0))
        given = requested.image
        image, contrast = given.read(), given.contrast()
        pixels = lazy_key(image) or digest(image)
        return image, contrast, (segmenter.config.embedding_key, pixels, contrast, given.gamma)

    @contextmanager
    def _segmenter_for(
        self, config: SegmentationConfig, report: Report, should_stop: ShouldStop
    ) -> Iterator[Segmenter]:
        """The segmenter of a configuration, used by one job at a time.

        Waits for the job before, which may be a cancelled one that still runs.

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
                    self._segmenter = Segmenter(config, tile_store=self.tile_store)
                elif self._segmenter.config != config:
                    self._segmenter = self._segmenter.with_config(config)
                segmenter = self._segmenter
            yield segmenter
        finally:
            self._in_use.release()

    def _bytes_of(self, embedding: ImageEmbedding) -> int:
        affinity = self._affinities.get(embedding)
        return embedding.nbytes + (0 if affinity is None else affinity.nbytes)
