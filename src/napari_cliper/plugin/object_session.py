"""Outlines of single objects: the calls of the engine that run in a thread. Without Qt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..segmentation import Monitor, RecentCache, Report, ShouldStop
from .engine_requests import Limits, digest
from .pytorch_loading import load_pytorch

if TYPE_CHECKING:
    from ..segmentation import ObjectEmbedding, ObjectPrompt, ObjectSegmenter

CACHE_BYTES = 500_000_000
"""Bytes that the embedded tiles may take together."""


@dataclass(frozen=True)
class SamChoice:
    """Which model outlines objects, and where it runs; as in `ObjectSegmenter`."""

    sam: str
    device: str


@dataclass(frozen=True, eq=False)
class OutlineRequest:
    """A tile of an image, and clicks on one object in it.

    Parameters
    ----------
    model : SamChoice
    read : callable
        Returns the pixels of the tile; called in the thread.
    contrast : callable
        Returns the contrast limits of a grey image, or None; called in the thread.
    gamma : float
        Gamma of a grey image.
    prompt : ObjectPrompt or None
        In pixels of the tile. None only embeds the tile, so that the first click is fast.
    likely : (Y, X) bool array or None
        Where the class is predicted in the tile, for a single click.
    previous : (h, w) float32 array or None
        The `Outline.logits` that the newest click corrects.
    """

    model: SamChoice
    read: Callable[[], NDArray[Any]]
    contrast: Callable[[], Limits | None]
    gamma: float
    prompt: ObjectPrompt | None
    likely: NDArray[Any] | None
    previous: NDArray[Any] | None = None


@dataclass(frozen=True, eq=False)
class Outline:
    """A possible outline of an object.

    Parameters
    ----------
    mask : (Y, X) bool array
        Of the tile.
    logits : (h, w) float32 array
        The same as the model gives it, to be corrected by further clicks.
    """

    mask: NDArray[Any]
    logits: NDArray[Any]


class ObjectSession:
    """The model that outlines objects, and the tiles that it has embedded."""

    def __init__(self) -> None:
        self._in_use = threading.Lock()  # held by the job that uses the model
        self._segmenter: tuple[SamChoice, ObjectSegmenter] | None = None
        self._cached: RecentCache[tuple[Any, ...], ObjectEmbedding] = RecentCache(
            CACHE_BYTES, at_least=1
        )

    def outline(
        self, request: OutlineRequest, report: Report, should_stop: ShouldStop
    ) -> tuple[Outline, ...]:
        """Outline an object; called in a thread.

        Returns
        -------
        tuple of Outline
            The one that fits the predicted class first; empty without a prompt.

        Raises
        ------
        SegmentationError
            As the engine does.
        """
        with self._for_one_job(request.model, report, should_stop) as segmenter:
            embedding = self._embedding(segmenter, request, report, should_stop)
            if request.prompt is None:
                return ()
            found = segmenter.masks(embedding, request.prompt, request.previous)
        from ..segmentation import best_fitting  # noqa: PLC0415 - torch

        order = best_fitting(found, request.likely)
        return tuple(
            Outline(found.masks[index], found.logits[index])
            for index in order
            if found.masks[index].any()
        )

    def features(
        self, model: SamChoice, pixels: NDArray[Any], report: Report, should_stop: ShouldStop
    ) -> tuple[Any, ...]:
        """Feature grids of an image, from fine to coarse; called in a thread.

        Parameters
        ----------
        model : SamChoice
        pixels : (Y, X, 3) uint8 array

        Raises
        ------
        SegmentationError
            As the engine does.
        """
        with self._for_one_job(model, report, should_stop) as segmenter:
            return segmenter.embed(pixels, report=report, should_stop=should_stop).features

    @contextmanager
    def _for_one_job(
        self, model: SamChoice, report: Report, should_stop: ShouldStop
    ) -> Iterator[ObjectSegmenter]:
        """The segmenter of a model, used by one job at a time."""
        monitor = Monitor(report, should_stop)
        load_pytorch(report)
        while not self._in_use.acquire(timeout=0.1):
            monitor.check()
        try:
            yield self._segmenter_of(model)
        finally:
            self._in_use.release()

    def unload(self) -> None:
        """Free the model; embedded tiles stay cached."""
        self._segmenter = None

    def forget(self) -> None:
        """Drop all embedded tiles."""
        self._cached.clear()

    @property
    def kept(self) -> tuple[int, int]:
        """Number of embedded tiles, and their bytes."""
        return len(self._cached), self._cached.nbytes

    @property
    def network_bytes(self) -> int:
        """Bytes of memory of the loaded model."""
        held = self._segmenter
        return 0 if held is None else held[1].nbytes

    def _segmenter_of(self, model: SamChoice) -> ObjectSegmenter:
        from ..segmentation import ObjectSegmenter  # noqa: PLC0415 - torch

        held = self._segmenter
        if held is None or held[0] != model:
            self._segmenter = held = (
                model,
                ObjectSegmenter(model.sam, device=model.device, offline=True),
            )
        return held[1]

    def _embedding(
        self,
        segmenter: ObjectSegmenter,
        request: OutlineRequest,
        report: Report,
        should_stop: ShouldStop,
    ) -> ObjectEmbedding:
        pixels, contrast = request.read(), request.contrast()
        key = (request.model, digest(pixels), contrast, request.gamma)
        found = self._cached.get(key)
        if found is None:
            found = segmenter.embed(
                pixels,
                contrast=contrast,
                gamma=request.gamma,
                report=report,
                should_stop=should_stop,
            )
            self._cached.put(key, found)
        return found
