"""Keys: of the viewer, whichever layer is active, and of single layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari.layers import Layer
from napari.viewer import Viewer

Keys = Mapping[str, Callable[[], None]]
"""By key, as napari writes it."""


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
        """Let keys do something, in the place of what they did before."""
        for key, press in keys.items():
            self._viewer.bind_key(key, _pressed(press), overwrite=True)
            self._bound.append(key)

    def clear(self) -> None:
        """Let the keys do nothing any more."""
        for key in self._bound:
            self._viewer.bind_key(key, None)
        self._bound.clear()


def bind(layer: Layer, keys: Keys | None) -> None:
    """Let keys do something while a layer is active."""
    for key, press in (keys or {}).items():
        layer.bind_key(key, _pressed(press))


def _pressed(press: Callable[[], None]) -> Callable[[Any], None]:
    """A function proper: napari asks what is bound for its `__name__`, which a partial lacks."""

    def pressed(_owner: Any) -> None:
        press()

    return pressed
