"""Score maps as image layers, on request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from numpy.typing import NDArray

from ...labels.label_class import ClassRow
from .. import ui_text
from .image_layers import OUTPUT_KEY, ImageChoice, map_transforms
from .quick_layers import add_unselected

MOST = 20  # layers: the classes with the highest scores


class ScoreMapLayers:
    """The score map layers of one dock.

    Parameters
    ----------
    viewer : Viewer
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layers: list[Image] = []

    def clear(self) -> None:
        """Remove the layers that are still in the viewer."""
        for layer in self._layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._layers.clear()

    def show(
        self,
        choice: ImageChoice,
        rows: Sequence[ClassRow],
        maps: NDArray[Any],
        scores: NDArray[Any],
    ) -> None:
        """Add a layer for each class over the image; only that of the highest score is visible.

        Parameters
        ----------
        maps : (T, h, w) float array
            On the grid of the method.
        scores : (T,) float array
        """
        for index in np.argsort(-scores)[:MOST]:
            layer = Image(
                maps[index].copy().reshape((1,) * len(choice.plane) + maps.shape[1:]),
                name=ui_text.score_layer(image=choice.name, name=rows[index].name),
                colormap="magma",
                blending="additive",
                contrast_limits=(0, max(float(scores.max()), 1e-3)),
                visible=not self._layers,
                metadata={OUTPUT_KEY: {"score_map_of": rows[index].name}},
                **map_transforms(choice, maps.shape[1:]),
            )
            self._layers.append(layer)
            add_unselected(self._viewer.layers, layer)
