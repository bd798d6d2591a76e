"""Layers that show something for a moment, and go by themselves."""

from __future__ import annotations

from napari.layers import Layer
from napari.viewer import Viewer
from qtpy.QtCore import QObject

from ..qt.timers import once
from .image_layers import OUTPUT_KEY

PASSING = "passing"
"""What the record of such a layer says."""


class PassingLayer(QObject):
    """One layer at a time, above all others, for some milliseconds; the active layer stays so.

    Parameters
    ----------
    parent : QObject
    viewer : Viewer
    milliseconds : int
    """

    def __init__(self, parent: QObject, viewer: Viewer, milliseconds: int) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Layer | None = None
        self._timer = once(self, milliseconds, self.clear)

    def show(self, layer: Layer) -> None:
        """Show a layer in the place of the one before."""
        self.clear()
        layer.metadata = {**layer.metadata, OUTPUT_KEY: {PASSING: True}}
        selection = self._viewer.layers.selection
        active, chosen = selection.active, set(selection)
        self._viewer.add_layer(layer)
        selection.clear()
        selection.update(chosen)
        selection.active = active
        self._layer = layer
        self._timer.start()

    def clear(self) -> None:
        """Take the layer away at once."""
        self._timer.stop()
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
