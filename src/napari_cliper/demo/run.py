"""Run the demo model on synthetic scenes and measure its accuracy; no window is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..evaluation.metrics import confusion_matrix, mean_iou
from ..segmentation import (
    METHODS,
    ClassPrompt,
    Progress,
    Report,
    ScoreMaps,
    SegmentationConfig,
    Segmenter,
)
from .scenes import KINDS, Scene, make_scene

HELD_OUT_SEED = 1_000_000
"""Scenes with this seed or a higher one are never used for training."""

DEMO_SEED = 23
"""Added to `HELD_OUT_SEED`: a scene with four kinds of objects, some of which touch."""

COMPARED: tuple[str, ...] = tuple(name for name, row in METHODS.items() if not row.needs)
"""The methods that need no other network than CLIP, which the demo model can run."""

SCENE_SHAPE = (512, 640)
"""Shape of the scene that the demo shows."""

MEASURED_SHAPE = (256, 256)
"""Shape of the scenes on which accuracy is measured."""


@dataclass(frozen=True, eq=False)
class DemoResult:
    """A scene and its segmentation.

    Parameters
    ----------
    scene : Scene
    scores : ScoreMaps
    labels : (Y, X) uint8 array
    """

    scene: Scene
    scores: ScoreMaps
    labels: NDArray[np.uint8 | np.uint16]

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes and the background of the scene, 0 to 1."""
        return mean_iou(confusion_matrix(self.scene.labels, self.labels, len(KINDS) + 1))


def all_classes() -> list[ClassPrompt]:
    """Every kind of object in the scenes as a class, in the order of their labels."""
    return [ClassPrompt(kind.name, kind.synonyms) for kind in KINDS]


def segment_scene(report: Report, seed: int = DEMO_SEED) -> DemoResult:
    """Make a held-out scene and segment it with the demo model."""
    scene = make_scene(SCENE_SHAPE, HELD_OUT_SEED + seed)
    segmenter = Segmenter(SegmentationConfig(model="demo"))
    scores = segmenter.score(segmenter.embed(scene.image, report=report), all_classes())
    return DemoResult(scene, scores, scores.to_labels())


def compare_methods(
    scenes: int, report: Report, methods: Sequence[str] = COMPARED
) -> Iterator[tuple[str, float, float]]:
    """Measure the accuracy of methods that the demo model can run, on held-out scenes.

    Yields
    ------
    method : str
    coarse, refined : float
        Mean IoU, 0 to 1, over the nine kinds and the background, from the pixels of all scenes
        together, without and with PAMR.
    """
    for method in methods:
        segmenter = Segmenter(SegmentationConfig(method=method, model="demo"))
        labels = len(KINDS) + 1
        coarse, refined = (np.zeros((labels, labels), dtype=np.int64) for _ in range(2))
        for index in range(scenes):
            report(Progress(f"Measuring {method}", index, scenes))
            scene = make_scene(MEASURED_SHAPE, HELD_OUT_SEED + index)
            scores = segmenter.score(segmenter.embed(scene.image), all_classes())
            coarse += confusion_matrix(scene.labels, scores.to_labels(stage="coarse"), labels)
            refined += confusion_matrix(scene.labels, scores.to_labels(), labels)
        yield method, mean_iou(coarse), mean_iou(refined)
