"""The reduced labels of a large annotation around its window."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels
from napari.viewer import Viewer
from numpy.typing import NDArray

from .. import ui_text
from .image_layers import OUTPUT_KEY, ImageChoice, map_transforms
from .large_annotation_layer import LargeAnnotationLayer
from .quick_layers import SoonShown, add_unselected, drawn_when_used
from .temporary_layers import TEMPORARY, take_away


class OverviewLayer:
    """A Labels layer that cannot be edited, below the one of an annotation.

    Parameters
    ----------
    viewer : Viewer
    annotation : LargeAnnotationLayer
    soon : SoonShown
        Shows the new layer.
    """

    def __init__(self, viewer: Viewer, annotation: LargeAnnotationLayer, soon: SoonShown) -> None:
        self._viewer = viewer
        self._soon = soon
        self._annotation = annotation
        self._layer: Labels | None = None

    def show(self, labels: NDArray[np.uint16]) -> None:
        """Show reduced labels of the whole image, in the colours of the annotation."""
        above = self._annotation.layer
        layer = self._layer
        if layer is None or layer not in self._viewer.layers:
            layer = self._layer = self._added(labels)
        else:
            layer.data = labels
        layer.colormap = above.colormap
        layer.opacity = above.opacity
        if not above.visible:
            self.hide()
        elif not layer.visible:
            self._soon.show(layer)

    def hide(self) -> None:
        """Hide the layer."""
        if self._layer is not None:
            self._soon.leave_hidden(self._layer)
            self._layer.visible = False

    def remove(self) -> None:
        """Remove the layer."""
        layer, self._layer = self._layer, None
        if layer is not None:
            take_away(self._viewer, layer)

    def _added(self, labels: NDArray[np.uint16]) -> Labels:
        annotation, layers = self._annotation, self._viewer.layers
        choice = ImageChoice(annotation.image, annotation.name)
        layer = Labels(
            labels,
            name=ui_text.overview_layer(annotation.name),
            metadata={OUTPUT_KEY: {TEMPORARY: True}},
            visible=False,
            **map_transforms(choice, (labels.shape[0], labels.shape[1])),
        )
        layer.editable = False
        add_unselected(layers, drawn_when_used(layer), layers.index(annotation.layer))
        return layer
