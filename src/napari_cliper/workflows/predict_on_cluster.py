"""Predict the images of a project on the workers of a cluster: a task is an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..annotation.project.prediction_store import StoredPrediction
from ..segmentation import (
    ClassPrompt,
    Composite,
    InvalidInputError,
    Monitor,
    OutOfMemoryError,
    Prototypes,
    SegmentationConfig,
    Segmenter,
    Thresholds,
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
    """

    config: SegmentationConfig
    classes: tuple[ClassPrompt, ...]
    background: tuple[str, ...]
    thresholds: Thresholds
    prototypes: Prototypes | None = None
    prototype_weight: float | None = None


def on_cluster(cluster: Cluster, job: PredictionJob) -> Way:
    """Return a function that predicts images on a cluster; their pixels are sent to the workers."""

    def way(planes: Iterator[Plane], monitor: Monitor) -> Iterator[Predicted]:
        with cluster.workplace(partial(_Predicting, job), monitor) as place:
            sent = (one._replace(pixels=_in_memory(one.pixels)) for one in planes)
            for plane, found in place.each(_predict, sent, monitor):
                yield plane.name, found

    return way


def _in_memory(pixels: Any) -> Any:
    return pixels if isinstance(pixels, Composite) else np.asarray(pixels)


class _Predicting:
    """What a worker keeps between images."""

    def __init__(self, job: PredictionJob) -> None:
        self.job = job
        self.segmenter = Segmenter(job.config)
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
        return stored_prediction(scores, job.thresholds, whole=True)


def _predict(own: _Predicting, plane: Plane) -> StoredPrediction | Exception:
    """Predict an image in a worker."""
    try:
        return own.predict(plane)
    except (InvalidInputError, OutOfMemoryError) as error:
        return error
