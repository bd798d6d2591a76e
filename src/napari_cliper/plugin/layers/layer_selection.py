"""The layers that are selected in napari's layer list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.components import LayerList


@contextmanager
def selection_kept(layers: LayerList) -> Iterator[None]:
    """Context manager to select afterwards what is selected now, as far as it is still there.

    napari selects each layer that is added.
    """
    before = set(layers.selection)
    try:
        yield
    finally:
        kept = before.intersection(layers)
        if kept != set(layers.selection):
            if len(kept) == 1:
                (layers.selection.active,) = kept
            else:
                layers.selection = kept
