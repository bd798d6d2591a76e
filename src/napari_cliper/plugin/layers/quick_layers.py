"""Layers that are added in short steps, between which the window responds.

Adding a layer and drawing many pixels for the first time each take up to a tenth of a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from napari.components import LayerList
from napari.layers import Labels, Layer
from napari.viewer import Viewer
from qtpy.QtCore import QObject

from ..qt.timers import once

DRAWINGS = ("polygon", "brush_stroke")
"""The outline of a polygon, and the circle that closes a stroke of the right mouse button."""

NEXT = 25  # milliseconds until a new layer is drawn, in which the window responds


def drawn_when_used(layer: Labels) -> Labels:
    """Return a Labels layer for which napari makes the drawings of tools only when they are used.

    napari (0.9.2) makes them for every Labels layer, although few of them are ever painted: a fifth
    of the time of adding a layer.
    """
    for name in DRAWINGS:
        overlay: Any = layer._overlays.get(name)  # noqa: SLF001 - there is no public way
        if overlay is not None and not overlay.enabled:
            overlay.visible = False
            overlay.events.enabled.connect(partial(_make, overlay))
    return layer


def _make(overlay: Any, used: bool) -> None:
    if used:
        overlay.visible = True


def add_unselected(layers: LayerList, layer: Layer, index: int | None = None) -> None:
    """Add a layer on top, or at an index; the same layers stay selected.

    napari selects each new layer. To select the others again afterwards would make and draw the
    controls of two layers for nothing.
    """
    selects = layers._activate_on_insert  # noqa: SLF001 - there is no public way
    layers._activate_on_insert = False  # noqa: SLF001
    try:
        layers.insert(len(layers) if index is None else index, layer)
    finally:
        layers._activate_on_insert = selects  # noqa: SLF001


class SoonShown(QObject):
    """Shows new layers that were added hidden, one in each turn of the event loop.

    Parameters
    ----------
    parent : QObject
    viewer : Viewer
    """

    def __init__(self, parent: QObject, viewer: Viewer) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._waiting: deque[tuple[Layer, Callable[[], object] | None]] = deque()
        self._timer = once(self, NEXT, self._show_next)

    @property
    def idle(self) -> bool:
        """Whether no layer waits to be shown."""
        return not self._waiting

    def close(self) -> None:
        """Show all layers that wait."""
        self._timer.close()
        while self._waiting:
            self._show(*self._waiting.popleft())

    def show(self, layer: Layer, then: Callable[[], object] | None = None) -> None:
        """Show a hidden layer in a later turn, and then call a function."""
        self._waiting.append((layer, then))
        self._timer.start()

    def leave_hidden(self, layer: Layer) -> None:
        """Do not show a layer after all."""
        self._waiting = deque(one for one in self._waiting if one[0] is not layer)

    def waits(self, layer: Layer) -> bool:
        """Return whether a layer will be shown."""
        return any(one is layer for one, _ in self._waiting)

    def _show_next(self) -> None:
        if self._waiting:
            shown, then = self._waiting.popleft()
            if self._waiting:
                self._timer.start()
            self._show(shown, then)

    def _show(self, layer: Layer, then: Callable[[], object] | None) -> None:
        if layer in self._viewer.layers:
            layer.visible = True
            if then is not None:
                then()
