"""Texts of the demo window and the sample data."""

from __future__ import annotations

DEMO_TITLE = "napari-cliper demo"
DEMO_SCENE = "scene"
MIXED_SCENE = "mixed scene"
FLUORESCENCE_SCENE = "fluorescence scene"


def ground_truth_layer(scene: str) -> str:
    """The name of a scene's labels."""
    return f"{scene} ground truth"
