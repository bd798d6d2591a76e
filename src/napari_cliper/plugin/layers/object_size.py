"""The size of one object in an image, from a shape that the user draws around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from napari.layers import Image, Shapes
from napari.viewer import Viewer

from .. import ui_text
from .image_layers import OUTPUT_KEY, ImageChoice, transforms
from .image_view import box_of_shape


def size_in_shape(viewer: Viewer, image: Image, shapes: Shapes) -> float:
    """Return the size of the selected shape, or of the last one, in pixels of an image.

    It is the square root of the area of the bounding box; 0 without a shape.
    """
    if not shapes.nshapes:
        return 0.0
    index = max(shapes.selected_data, default=shapes.nshapes - 1)
    height, width = box_of_shape(viewer, image, shapes, index)
    return math.sqrt(height * width)


class BoxLayer:
    """A Shapes layer for one rectangle around an object, ready to be drawn in.

    Parameters
    ----------
    viewer : Viewer
    choice : ImageChoice
        The image and plane with the object.
    on_drawn : callable
        Called when the mouse button is released, in napari's mouse event: the layer must not be
        removed there.
    """

    def __init__(self, viewer: Viewer, choice: ImageChoice, on_drawn: Callable[[], None]) -> None:
        self._viewer, self._image, self._on_drawn = viewer, choice.layer, on_drawn
        self._active = viewer.layers.selection.active
        whole = ImageChoice(choice.layer, choice.name)
        self.layer = Shapes(
            ndim=choice.layer.ndim,
            name=ui_text.MEASURED_LAYER,
            face_color="transparent",
            edge_color="yellow",
            edge_width=2,
            metadata={OUTPUT_KEY: {"measures": choice.name}},
            **transforms(whole),
        )
        viewer.add_layer(self.layer)
        viewer.layers.selection.active = self.layer
        self.layer.mode = "add_rectangle"
        self.layer.mouse_drag_callbacks.append(self._on_drag)

    def size(self) -> float:
        """Return the size of the box in pixels of the image; 0 if there is none."""
        return size_in_shape(self._viewer, self._image, self.layer)

    def remove(self) -> None:
        """Remove the layer; the layer that was active before is active again."""
        layers = self._viewer.layers
        if self.layer in layers:
            layers.remove(self.layer)
        if self._active in layers:
            layers.selection.active = self._active

    def _on_drag(self, _layer: Any, event: Any) -> Iterator[None]:
        yield
        while event.type == "mouse_move":
            yield
        self._on_drawn()
