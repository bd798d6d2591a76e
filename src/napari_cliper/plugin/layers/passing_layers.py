"""Temporary layers: shown for a moment, then removed."""

from __future__ import annotations

from napari.layers import Layer
from napari.viewer import Viewer
from qtpy.QtCore import QObject

from ..qt.timers import once
from .image_layers import OUTPUT_KEY

PASSING = "passing"
"""The key that marks a temporary layer in its metadata."""


class PassingLayer(QObject):
    """Shows one layer at a time on top for some milliseconds; the active layer stays active.

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
        """Show a layer; it replaces the previous one."""
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
        """Remove the layer now."""
        self._timer.stop()
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
