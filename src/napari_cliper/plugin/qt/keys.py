"""What keys do while one of our layers is active."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari.layers import Layer

Keys = Mapping[str, Callable[[], None]]
"""By key, as napari writes it."""


def bind(layer: Layer, keys: Keys | None) -> None:
    """Let keys do something while a layer is active."""
    for key, press in (keys or {}).items():
        layer.bind_key(key, _on_layer(press))


def _on_layer(press: Callable[[], None]) -> Callable[[Any], None]:
    """A function proper: napari asks what is bound for its `__name__`, which a partial lacks."""

    def pressed(_layer: Any) -> None:
        press()

    return pressed
