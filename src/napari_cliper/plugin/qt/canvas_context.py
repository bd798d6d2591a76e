"""napari's canvas, ready for the removal of layers."""

from __future__ import annotations

from typing import Any

from napari.viewer import Viewer
from qtpy.QtWidgets import QOpenGLWidget, QWidget

from .focus import main_window


class CanvasContext:
    """Makes the OpenGL context of napari's canvas current before napari removes a layer.

    napari (0.9.2) deletes textures and buffers of a removed layer at once, in whichever context is
    current. If none is, the next drawing may crash the process: removing two layers that are shown,
    with a third one below, is enough.

    Parameters
    ----------
    widget : QWidget
        Any widget of the window, also in a dock that floats.
    viewer : Viewer
    """

    def __init__(self, widget: QWidget, viewer: Viewer) -> None:
        self._widget = widget
        events = viewer.layers.events
        self._emitters = (events.removed, events.end_batch)  # the second follows `layers.clear`
        for emitter in self._emitters:
            emitter.connect(self._make_current, position="first")

    def close(self) -> None:
        """Disconnect from the viewer."""
        for emitter in self._emitters:
            emitter.disconnect(self._make_current)

    def _make_current(self, _event: Any = None) -> None:
        window = main_window(self._widget)
        centre = None if window is None else window.centralWidget()
        if centre is None:
            return  # the dock is in no window of napari
        for canvas in centre.findChildren(QOpenGLWidget):
            if canvas.isValid():  # else nothing was drawn yet
                canvas.makeCurrent()
