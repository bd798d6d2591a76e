"""Labels layers as the masks of a method: which ones are offered, and their numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Labels
from numpy.typing import NDArray

from ...segmentation import SegmentationConfig
from ..engine_requests import ImageInput, no_masks
from ..layers.image_layers import ImageChoice
from ..layers.object_layers import object_layers, reader_of
from ..panels.engine_panel import EnginePanel
from ..qt.listeners import Listeners
from ..state import DockState
from .base import Controller

_EVENTS = ("inserted", "removed", "reordered")


class MaskLayers(Controller):
    """Offers the Labels layers that fit the chosen image as masks.

    Parameters
    ----------
    state : DockState
    panel : EnginePanel
    """

    def __init__(self, state: DockState, panel: EnginePanel) -> None:
        super().__init__(panel)
        self._state = state
        self._panel = panel
        self._named: list[Labels] = []
        self._listeners = Listeners()
        for name in _EVENTS:
            emitter = getattr(state.viewer.layers.events, name)
            self._listeners.connect("list", emitter, self._offer)
        state.image_changed.connect(self._offer)
        self._offer()

    def close(self) -> None:
        """Stop following the viewer."""
        self._listeners.clear()
        super().close()

    def image(self, choice: ImageChoice, config: SegmentationConfig) -> ImageInput:
        """Return the image of a choice for the engine, with the masks of the chosen layer."""
        return ImageInput(
            choice.reader(config),
            choice.contrast,
            choice.gamma,
            self._masks(choice, config),
            choice.pixel_size,
        )

    def _masks(
        self, choice: ImageChoice, config: SegmentationConfig
    ) -> Callable[[], NDArray[Any] | None]:
        """A function that reads the masks of a choice; it returns None without a layer."""
        name = self._panel.mask_layer() if config.uses_masks else ""
        if name:
            for layer in object_layers(self._state.viewer, choice):
                if layer.name == name:
                    return reader_of(layer, choice)
        return no_masks

    def _offer(self, _event: object = None) -> None:
        choice = self._state.choice
        layers = [] if choice is None else object_layers(self._state.viewer, choice)
        for layer in self._named:
            if layer not in layers:
                self._listeners.disconnect(layer)
        for layer in layers:
            if layer not in self._named:
                self._listeners.connect(layer, layer.events.name, self._offer)
        self._named = layers
        self._panel.offer_mask_layers([layer.name for layer in layers])
