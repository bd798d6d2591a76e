"""Sample data: two synthetic scenes with ground truth, and images of scikit-image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import data

from ...demo.scenes import KINDS, Scene, make_scene
from ...labels.palette import class_colours
from .. import ui_text

LayerData = tuple[NDArray[Any], dict[str, Any], str]


def mixed_scene() -> list[LayerData]:
    """A phase contrast scene with bubbles, yeast, crystals and bacteria, and its ground truth.

    The word ``bubble`` alone finds parts of crystals too, which hints then correct.
    """
    return _scene(ui_text.MIXED_SCENE, make_scene((512, 640), 1_000_029))


def fluorescence_scene() -> list[LayerData]:
    """A fluorescence scene, and its ground truth."""
    return _scene(ui_text.FLUORESCENCE_SCENE, make_scene((512, 640), 1_000_015))


def _scene(name: str, scene: Scene) -> list[LayerData]:
    colours: dict[int | None, Any] = {0: "transparent", None: "white"}
    for index, colour in enumerate(class_colours(len(KINDS))):
        colours[index + 1] = (colour / 255).tolist()
    names = [ui_text.BACKGROUND_NAME, *(kind.name for kind in KINDS)]
    truth = {
        "name": ui_text.ground_truth_layer(name),
        "visible": False,
        "colormap": colours,
        "features": {"index": np.arange(len(names)), "class": names},
    }
    return [(scene.image, {"name": name}, "image"), (scene.labels, truth, "labels")]


def coffee() -> list[LayerData]:
    """A cup of coffee, a spoon and a table."""
    return [(data.coffee(), {"name": "coffee"}, "image")]


def cat() -> list[LayerData]:
    """A cat's head."""
    return [(data.chelsea(), {"name": "cat"}, "image")]


def rocket() -> list[LayerData]:
    """A rocket on its launch pad."""
    return [(data.rocket(), {"name": "rocket"}, "image")]


def tissue() -> list[LayerData]:
    """Immunohistochemically stained tissue."""
    return [(data.immunohistochemistry(), {"name": "tissue"}, "image")]
