"""The uncertainty of a result as an image layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Image, Layer
from napari.viewer import Viewer
from numpy.typing import NDArray

from .. import ui_text
from .image_layers import OUTPUT_KEY, ImageChoice, map_transforms
from .quick_layers import add_unselected
from .temporary_layers import take_away


class UncertaintyLayer:
    """The uncertainty layer of one dock.

    Parameters
    ----------
    viewer : Viewer
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._choice: ImageChoice | None = None
        self.layer: Image | None = None

    def clear(self) -> None:
        """Remove the layer if it is still in the viewer."""
        layer, self.layer = self.layer, None
        if layer is not None:
            take_away(self._viewer, layer)

    def show(
        self,
        choice: ImageChoice,
        uncertainty: NDArray[np.float32],
        above: Sequence[Layer],
    ) -> None:
        """Show a map in the layer of the choice, or in a new layer.

        Parameters
        ----------
        choice : ImageChoice
        uncertainty : (Y, X) float32 array
            0 to 1.
        above : sequence of Layer
            A new layer is inserted below these layers.
        """
        data = uncertainty.reshape((1,) * len(choice.plane) + uncertainty.shape)
        if self._choice is not None and self._choice.key == choice.key and self.layer is not None:
            self.layer.data = data
            return
        self.clear()
        self.layer = Image(
            data,
            name=ui_text.uncertainty_layer(choice.name),
            colormap="magma",
            blending="translucent",  # additive would be white over a bright image
            opacity=0.6,
            contrast_limits=(0, 1),
            metadata={OUTPUT_KEY: {"uncertainty_of": choice.name}},
            **map_transforms(choice, uncertainty.shape),
        )
        self._choice = choice
        layers = self._viewer.layers
        places = [layers.index(one) for one in above if one in layers]
        add_unselected(layers, self.layer, min(places, default=len(layers)))
