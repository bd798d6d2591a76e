"""Temporary layers: shown for a moment, then hidden, then removed."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels, Layer, Points
from napari.viewer import Viewer
from qtpy.QtCore import QObject

from ..qt.timers import once
from .image_layers import OUTPUT_KEY
from .quick_layers import SoonShown, add_unselected, drawn_when_used

TEMPORARY = "temporary"
"""The key that marks a temporary layer in its metadata."""

KEPT = 5000  # ms for which a hidden layer can be shown again


class TemporaryLayer(QObject):
    """Shows one layer at a time on top for some milliseconds; the active layer stays active.

    Afterwards the layer is hidden and soon removed. It is not removed at once, because a series of
    clicks shows the same layer again and again.

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
        self._soon = SoonShown(self, viewer)
        self._hide = once(self, milliseconds, self._on_shown)
        self._remove = once(self, KEPT, self.clear)

    def show(self, layer: Layer) -> None:
        """Show a layer; it replaces the previous one."""
        if not self._show_again(layer):
            self.clear()
            self._add(layer)
        self._remove.stop()
        self._hide.start()

    def clear(self) -> None:
        """Remove the layer now."""
        self._hide.stop()
        self._remove.stop()
        layer, self._layer = self._layer, None
        if layer is not None:
            take_away(self._viewer, layer)

    def _add(self, layer: Layer) -> None:
        layer.metadata = {**layer.metadata, OUTPUT_KEY: {TEMPORARY: True}}
        layer.visible = False
        if isinstance(layer, Labels):
            drawn_when_used(layer)
        add_unselected(self._viewer.layers, layer)
        self._layer = layer
        self._soon.show(layer)

    def _show_again(self, layer: Layer) -> bool:
        """Show the data of a layer in the previous one if it is of that kind and place."""
        old = self._layer
        alike = any(isinstance(old, kind) and isinstance(layer, kind) for kind in (Labels, Points))
        if (
            old is None
            or not alike
            or old not in self._viewer.layers
            or old.data.shape != layer.data.shape
            or old.units != layer.units
            or not np.array_equal(old.affine.affine_matrix, layer.affine.affine_matrix)
        ):
            return False
        old.data = layer.data
        if isinstance(old, Labels):
            old.colormap = layer.colormap
        self._viewer.layers.move(self._viewer.layers.index(old), len(self._viewer.layers))
        old.visible = True
        return True

    def _on_shown(self) -> None:
        if self._layer is not None:
            self._layer.visible = False
        self._remove.start()


def take_away(viewer: Viewer, layer: Layer) -> None:
    """Remove a temporary layer if it is in the viewer."""
    if layer in viewer.layers:
        viewer.layers.remove(layer)
