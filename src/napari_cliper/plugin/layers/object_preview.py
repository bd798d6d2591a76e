"""The outline of an object before it is kept, with the clicks and the box that it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from napari.layers import Labels, Layer, Points, Vectors
from napari.utils.colormaps import DirectLabelColormap
from napari.viewer import Viewer
from numpy.typing import NDArray

from .. import ui_text
from .image_layers import OUTPUT_KEY, ImageChoice, Key, map_transforms
from .quick_layers import add_unselected
from .temporary_layers import TEMPORARY

CLICK = 10  # diameter of a click, in pixels of the canvas
LINE = 2  # width of the box, in pixels of the canvas

Place = tuple[float, float]
Box = tuple[float, float, float, float]


class ObjectPreview:
    """Three temporary layers; the active layer stays active.

    Parameters
    ----------
    viewer : Viewer
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layers: dict[str, Layer] = {}
        self._tile: Key | None = None  # of the mask

    def show_mask(self, tile: ImageChoice, mask: NDArray[Any], colour: tuple[float, ...]) -> None:
        """Show the mask of a tile of an image.

        Parameters
        ----------
        tile : ImageChoice
            Its region is the tile.
        mask : (Y, X) bool array
        colour : tuple of float
            RGB or RGBA, 0 to 1.
        """
        data = np.array(mask, np.uint8).reshape((1,) * len(tile.plane) + mask.shape)
        colours: dict[int | None, Any] = {None: "transparent", 0: "transparent", 1: colour}
        colormap = DirectLabelColormap(color_dict=colours)
        shown = self._there(ui_text.OUTLINE_LAYER)
        if shown is not None and self._tile == tile.key:
            shown.data = data
            shown.colormap = colormap
            return
        self._tile = tile.key
        self._show(
            Labels(
                data,
                name=ui_text.OUTLINE_LAYER,
                colormap=colormap,
                opacity=0.6,
                **map_transforms(tile, (mask.shape[0], mask.shape[1])),
            )
        )

    def hide_mask(self) -> None:
        """Remove the mask; the clicks and the box stay."""
        self._remove(ui_text.OUTLINE_LAYER)

    def show_clicks(
        self, plane: ImageChoice, inside: list[Place], outside: list[Place], pixel: float
    ) -> None:
        """Show clicks on a plane: white discs in the object, black crosses outside.

        Parameters
        ----------
        plane : ImageChoice
        inside, outside : list of (float, float)
            Rows and columns.
        pixel : float
            Size of a pixel of the canvas, in pixels of the image.
        """
        lead = (0,) * len(plane.plane)
        if not (inside or outside):
            self._remove(ui_text.OUTLINE_CLICKS_LAYER)
            return
        signs = [True] * len(inside) + [False] * len(outside)
        places = [(*lead, *place) for place in (*inside, *outside)]
        how = {
            "symbol": ["disc" if sign else "x" for sign in signs],
            "face_color": ["white" if sign else "black" for sign in signs],
            "border_color": ["black" if sign else "white" for sign in signs],
            "size": CLICK * pixel,
        }
        shown = self._there(ui_text.OUTLINE_CLICKS_LAYER)
        if shown is None:
            given = {**how, **map_transforms(plane, plane.shape)}
            self._show(Points(places, name=ui_text.OUTLINE_CLICKS_LAYER, **given))
            return
        shown.data = np.array(places)
        for name, values in how.items():
            setattr(shown, name, values)

    def show_box(self, plane: ImageChoice, box: Box | None, pixel: float) -> None:
        """Show a box on a plane, or none."""
        if box is None:
            self._remove(ui_text.OUTLINE_BOX_LAYER)
            return
        top, left, bottom, right = box
        corners = [(top, left), (top, right), (bottom, right), (bottom, left), (top, left)]
        self.show_lines(plane, corners, pixel)

    def show_lines(self, plane: ImageChoice, path: Sequence[Place], pixel: float) -> None:
        """Show a line through places on a plane, instead of the box."""
        lead = (0,) * len(plane.plane)
        vectors = [
            ((*lead, *start), (*lead, stop[0] - start[0], stop[1] - start[1]))
            for start, stop in pairwise(path)
        ]
        shown = self._there(ui_text.OUTLINE_BOX_LAYER)
        if shown is not None:
            shown.data = np.array(vectors)
            return
        self._show(
            Vectors(
                np.array(vectors),
                name=ui_text.OUTLINE_BOX_LAYER,
                edge_width=LINE * pixel,
                edge_color="white",
                vector_style="line",
                **map_transforms(plane, plane.shape),
            )
        )

    def clear(self) -> None:
        """Remove all layers."""
        for name in list(self._layers):
            self._remove(name)

    def _there(self, name: str) -> Layer | None:
        layer = self._layers.get(name)
        return layer if layer is not None and layer in self._viewer.layers else None

    def _show(self, layer: Layer) -> None:
        name = layer.name
        self._remove(name)
        layer.metadata = {**layer.metadata, OUTPUT_KEY: {TEMPORARY: True}}
        add_unselected(self._viewer.layers, layer)
        self._layers[name] = layer

    def _remove(self, name: str) -> None:
        layer = self._layers.pop(name, None)
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
