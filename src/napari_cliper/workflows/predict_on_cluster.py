"""Predict the images of a project on the workers of a cluster: a task is an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from zarr.storage import MemoryStore

from ..annotation.project.prediction_store import StoredPrediction, written
from ..io.files import FileError
from ..segmentation import (
    ClassPrompt,
    Composite,
    InvalidInputError,
    LabelsByChunk,
    Monitor,
    OutOfMemoryError,
    Prototypes,
    SegmentationConfig,
    Segmenter,
    Thresholds,
    TileCache,
    TileMemory,
)
from .cluster import Cluster
from .predict_images import Plane, Predicted, Way, stored_prediction


@dataclass(frozen=True, eq=False)
class PredictionJob:
    """Everything that predictions depend on, except the images.

    Parameters
    ----------
    config : SegmentationConfig
    classes : tuple of ClassPrompt
    background : tuple of str
    thresholds : Thresholds
    prototypes : Prototypes, optional
        Not used with another model than theirs.
    prototype_weight : float, optional
    tiles_on_disk : bool
        Whether a worker keeps the features of tiles in the cache folder of its user.
    """

    config: SegmentationConfig
    classes: tuple[ClassPrompt, ...]
    background: tuple[str, ...]
    thresholds: Thresholds
    prototypes: Prototypes | None = None
    prototype_weight: float | None = None
    tiles_on_disk: bool = True


def on_cluster(cluster: Cluster, job: PredictionJob) -> Way:
    """Return a function that predicts images on a cluster; their pixels are sent to the workers."""

    def way(planes: Iterator[Plane], monitor: Monitor) -> Iterator[Predicted]:
        unread: list[Predicted] = []

        def sent() -> Iterator[Plane]:
            for plane in planes:
                try:
                    yield plane._replace(pixels=_in_memory(plane.pixels))
                except FileError as error:
                    unread.append((plane.name, error))

        with cluster.workplace(partial(_Predicting, job), monitor) as place:
            for plane, found in place.each(_predict, sent(), monitor):
                yield plane.name, found
        yield from unread

    return way


def _in_memory(pixels: Any) -> Any:
    return pixels if isinstance(pixels, Composite) else np.asarray(pixels)


class _Predicting:
    """What a worker keeps between images."""

    def __init__(self, job: PredictionJob) -> None:
        self.job = job
        store = TileCache() if job.tiles_on_disk else TileMemory()
        self.segmenter = Segmenter(job.config, tile_store=store)
        self.prototypes = job.prototypes
        if self.prototypes is not None and self.prototypes.identity != self.segmenter.identity:
            self.prototypes = None

    def predict(self, plane: Plane) -> StoredPrediction:
        """Return the prediction of an image."""
        job = self.job
        scores = self.segmenter.score(
            self.segmenter.embed(plane.pixels),
            job.classes,
            background=job.background,
            prototypes=self.prototypes,
            prototype_weight=job.prototype_weight,
            pixel_size=plane.pixel_size,
        )
        found = stored_prediction(scores, job.thresholds)
        if isinstance(found.labels, LabelsByChunk):  # without the scores, to be sent back
            return replace(found, labels=written(found.labels, MemoryStore()))
        return found


def _predict(own: _Predicting, plane: Plane) -> StoredPrediction | Exception:
    """Predict an image in a worker."""
    try:
        return own.predict(plane)
    except (InvalidInputError, OutOfMemoryError) as error:
        return error
