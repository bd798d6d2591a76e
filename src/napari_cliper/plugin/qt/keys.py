"""Key bindings of the viewer, for any active layer, and of single layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari.layers import Layer
from napari.viewer import Viewer

Keys = Mapping[str, Callable[[], None]]
"""Callbacks by key, in napari's notation."""


class ViewerKeys:
    """Keys that work whichever layer is active, until `clear`.

    Parameters
    ----------
    viewer : Viewer
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._bound: list[str] = []

    def bind(self, keys: Keys) -> None:
        """Bind keys, replacing earlier bindings."""
        for key, press in keys.items():
            self._viewer.bind_key(key, _pressed(press), overwrite=True)
            self._bound.append(key)

    def clear(self) -> None:
        """Unbind the keys."""
        for key in self._bound:
            self._viewer.bind_key(key, None)
        self._bound.clear()


def bind(layer: Layer, keys: Keys | None) -> None:
    """Bind keys for a layer; they work while it is active."""
    for key, press in (keys or {}).items():
        layer.bind_key(key, _pressed(press))


def _pressed(press: Callable[[], None]) -> Callable[[Any], None]:
    """A callback with a `__name__`, which napari needs and a partial lacks."""

    def pressed(_owner: Any) -> None:
        press()

    return pressed
