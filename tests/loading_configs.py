"""Two words, and configurations to load a model with."""

from __future__ import annotations

from napari_cliper.segmentation import ClassPrompt, SegmentationConfig

WORDS = [ClassPrompt("dog"), ClassPrompt("cat")]


def config(model, **options):
    return SegmentationConfig(
        **{
            "model": str(model),
            "refiner": "none",
            "shorter_side": 64,
            "device": "cpu",
            "templates": "word",
            "offline": True,
        }
        | options
    )
