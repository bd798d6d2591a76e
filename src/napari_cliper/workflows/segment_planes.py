"""Segment the planes of one image, a single one or all planes of a stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ..io.writers.tiff import LabelPlanes
from ..labels.regions import label_counts
from ..segmentation import (
    ClassPrompt,
    LiveLabels,
    Monitor,
    Prototypes,
    RGBImage,
    ScoreMaps,
    Segmenter,
    Stage,
    Thresholds,
    TiledImage,
)
from .image_planes import ImagePlanes, Plane

Create = Callable[
    [Stage, Sequence[ClassPrompt], tuple[int, ...], np.dtype[Any]], NDArray[Any] | LabelPlanes
]


def in_memory(
    _stage: Stage, _classes: Sequence[ClassPrompt], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Return an array for labels in memory; see `SegmentedPlanes.create`."""
    return np.zeros(shape, dtype)


@dataclass(eq=False)
class SegmentedPlanes:
    """The labels of all planes of an image, and what each plane's result was.

    Parameters
    ----------
    planes : ImagePlanes
    create : callable
        Returns a (..., Y, X) array for the labels of a stage, such as a file: takes the stage, the
        classes, the shape and the dtype. Default: in memory.
    labels : dict of str to (..., Y, X) array
        By stage, the final one last. Those of a large image are in an OME-Zarr, those of a stack in
        a TIFF.
    counts : list of int
        Number of pixels of each label, background first.
    results : list of dict
        JSON-safe record of each plane: ``position``, ``scores``, ``pixels`` and ``uncertainty``.
    scores : ScoreMaps
        Those of the last plane.
    shown : (RGBImage or TiledImage, tuple of int)
        The middle plane as the networks saw it, and its index; for the overlay.
    """

    planes: ImagePlanes
    create: Create = in_memory
    labels: dict[Stage, NDArray[Any] | zarr.Array[Any] | LabelPlanes] = field(default_factory=dict)
    counts: list[int] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    scores: ScoreMaps | None = None
    shown: tuple[RGBImage | TiledImage, Plane] | None = None

    @property
    def uncertainty(self) -> float:
        """The mean of all planes, 0 to 1."""
        return float(np.mean([one["uncertainty"] for one in self.results]))

    @property
    def class_scores(self) -> list[float]:
        """The highest score of each class on any plane."""
        found: list[float] = np.max([one["scores"] for one in self.results], axis=0).tolist()
        return found

    def add(
        self, plane: Plane, image: RGBImage | TiledImage, scores: ScoreMaps, thresholds: Thresholds
    ) -> None:
        """Label a plane, and add it."""
        leading = self.planes.leading
        for stage in scores.stages:
            labels = scores.to_labels(thresholds, stage=stage)
            if stage not in self.labels:
                shape = (*leading, *labels.shape)
                self.labels[stage] = self.create(stage, scores.classes, shape, labels.dtype)
            self.labels[stage][plane] = labels
        counts = label_counts(labels, len(scores.classes) + 1).tolist()
        live = LiveLabels(scores.on_grid(), "coarse", limit=0)
        self.counts = np.add(counts, self.counts or 0).tolist()
        self.results.append(
            {
                "position": dict(zip(self.planes.axes, plane, strict=True)),
                "scores": scores.stage().class_scores.tolist(),
                "pixels": counts,
                "uncertainty": float(live.uncertainty(thresholds).mean(dtype="float64")),
            }
        )
        self.scores = scores
        if plane == tuple((side - 1) // 2 for side in leading):
            self.shown = image, plane


def segment_planes(
    segmenter: Segmenter,
    planes: ImagePlanes,
    classes: Sequence[ClassPrompt],
    thresholds: Thresholds,
    monitor: Monitor,
    *,
    prototypes: Prototypes | None = None,
    prototype_weight: float | None = None,
    pixel_size: float | None = None,
    create: Create = in_memory,
) -> SegmentedPlanes:
    """Segment all planes of an image, one by one; only their labels are kept.

    Parameters
    ----------
    segmenter : Segmenter
    planes : ImagePlanes
    classes, thresholds
    prototypes, prototype_weight, pixel_size
        As in `Segmenter.score`.
    monitor : Monitor
        For a stack, told of each plane and of downloads.
    create : callable
        Where the labels are kept; see `SegmentedPlanes`.

    Raises
    ------
    InvalidInputError
        For a plane that cannot be segmented; the message gives its index.
    SegmentationError
        As raised by the engine.
    """
    found, contrast = SegmentedPlanes(planes, create), planes.contrast()
    report = (monitor if len(planes) == 1 else monitor.downloads_only()).report
    for number, plane in enumerate(planes):
        if len(planes) > 1:
            monitor.tell("Segmenting the planes", number, len(planes))
        callbacks: dict[str, Any] = {"report": report, "should_stop": monitor.should_stop}
        with planes.named(plane):
            embedding = segmenter.embed(planes.image(plane), contrast=contrast, **callbacks)
        scores = segmenter.score(
            embedding,
            classes,
            prototypes=prototypes,
            prototype_weight=prototype_weight,
            pixel_size=pixel_size,
            **callbacks,
        )
        found.add(plane, embedding.image, scores, thresholds)
    return found
