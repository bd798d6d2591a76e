"""The demo without a window: a scene, the small model, and how good it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..evaluation.metrics import confusion_matrix, mean_iou
from ..segmentation import (
    ClassPrompt,
    Progress,
    ScoreMaps,
    SegmentationConfig,
    Segmenter,
)
from .scenes import KINDS, Scene, make_scene

HELD_OUT_SEED = 1_000_000
DEMO_SEED = 23
"""A scene with four kinds, some of them touching."""
"""Scenes from this seed on are never trained on."""
COMPARED: tuple[str, ...] = ("cliper", "maskclip", "clearclip", "sclip", "clip")
SCENE_SHAPE = (512, 640)
"""What the demo shows."""
MEASURED_SHAPE = (256, 256)


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the demo shows.

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
        """Against the scene's ground truth, over its kinds and the background."""
        return mean_iou(confusion_matrix(self.scene.labels, self.labels, len(KINDS) + 1))


def all_classes() -> list[ClassPrompt]:
    """Every kind of object of the scenes as a class, in the order of their labels."""
    return [ClassPrompt(kind.name, kind.synonyms) for kind in KINDS]


def segment_scene(report: Callable[[Progress], None], seed: int = DEMO_SEED) -> DemoResult:
    """Make the held-out scene of a seed and segment it with the demo model."""
    scene = make_scene(SCENE_SHAPE, HELD_OUT_SEED + seed)
    segmenter = Segmenter(SegmentationConfig(model="demo"))
    scores = segmenter.score(segmenter.embed(scene.image, report=report), all_classes())
    return DemoResult(scene, scores, scores.to_labels())


def compare_methods(
    scenes: int, report: Callable[[Progress], None]
) -> Iterator[tuple[str, float, float]]:
    """Measure every method that the demo model can run, on held-out scenes.

    Yields
    ------
    method : str
    coarse, refined : float
        mIoU over the nine kinds and the background, pixels of all scenes together; refined
        with PAMR.
    """
    for method in COMPARED:
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
