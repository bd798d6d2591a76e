"""What the viewer shows of an image: plane, regions and pixels; moving sliders and camera. No Qt.

Pixel i covers i - 0.5 to i + 0.5 in data coordinates, as in napari; a rectangle takes the pixels
whose centres are in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from napari.layers import Image, Layer, Shapes
from napari.viewer import Viewer
from numpy.typing import NDArray

from ...segmentation import InvalidInputError
from .. import ui_text
from .image_layers import (
    ImageChoice,
    Region,
    axis_name,
    check_axes,
    check_sides,
    data_position,
    image_shape,
    sides_of,
)

_LARGEST_PIXEL = 20  # pixels of the canvas
_STEPS = 20  # of the cursor, from the centre of the view to its nearest edge
_EDGE = 1e-3  # pixels; tolerance for rounding: napari stores shapes in float32


# ------------------------------------------------------------------ planes and regions


def current_plane(viewer: Viewer, layer: Image) -> tuple[int, ...]:
    """Return the plane of an image at the position of the viewer's sliders.

    Raises
    ------
    InvalidInputError
        If the viewer displays a leading axis instead of slicing it, if the sliders are outside the
        image, or as `check_axes`.
    """
    check_axes(layer)
    leading, dims = layer.ndim - 2, viewer.dims
    shown = [axis for axis in _displayed(viewer, layer) if 0 <= axis < leading]
    if shown:
        raise InvalidInputError(ui_text.no_plane_on_screen(image=layer.name))
    world = np.array(dims.point, dtype=float)
    world[list(dims.displayed)] = 0  # as napari slices: displayed axes have no slider
    position = _world_to_data(viewer, layer, world)[:leading]
    plane = tuple(int(index) for index in np.round(position))
    for axis, index in enumerate(plane):
        last = image_shape(layer)[axis] - 1
        if not 0 <= index <= last:
            raise InvalidInputError(
                ui_text.slider_outside(
                    axis=axis_name(layer, axis), index=index, image=layer.name, last=last
                )
            )
    return plane


def rectangles(shapes: Shapes) -> list[int]:
    """Return the indices of the rectangles of a Shapes layer."""
    return [index for index, kind in enumerate(shapes.shape_type) if kind == "rectangle"]


def rectangle_region(viewer: Viewer, layer: Image, shapes: Shapes) -> Region:
    """Return the region of an image in the selected rectangle, or in the last one.

    For a rectangle that is rotated against the image, this is its bounding box.

    Raises
    ------
    InvalidInputError
        If there is no rectangle, or if it contains too few pixels of the image.
    """
    found = rectangles(shapes)
    if not found:
        raise InvalidInputError(ui_text.no_rectangle_in(shapes.name))
    chosen = max(set(found) & set(shapes.selected_data), default=found[-1])
    corners = _corners(viewer, layer, shapes, chosen)
    return _clipped(layer, corners, ui_text.the_rectangle_in(shapes.name))


def box_of_shape(viewer: Viewer, layer: Image, shapes: Shapes, index: int) -> tuple[float, float]:
    """Return the height and width of the bounding box of a shape, in pixels of an image."""
    corners = _corners(viewer, layer, shapes, index)
    height, width = corners.max(axis=0) - corners.min(axis=0)
    return float(height), float(width)


def _corners(viewer: Viewer, layer: Image, shapes: Shapes, index: int) -> NDArray[np.float64]:
    """The corners of a shape, (N, 2) in data coordinates of an image."""
    dims_units = viewer.dims.units
    corners = [
        _world_to_data(viewer, layer, _in_units(world, shapes.units, dims_units))
        for world in map(shapes.data_to_world, shapes.data[index])
    ]
    return np.array(corners)[:, -2:]


def rectangle_mask(viewer: Viewer, choice: ImageChoice) -> NDArray[np.bool_]:
    """The rectangle of the active Shapes layer, or else of the topmost, as a mask of a choice.

    Returns
    -------
    (Y, X) bool array

    Raises
    ------
    InvalidInputError
        If there is no rectangle, or it lies outside of the image.
    """
    corner = (0, 0) if choice.region is None else tuple(part.start for part in choice.region)
    found = rectangle_of(viewer, choice.layer)
    inside = np.zeros(choice.shape, bool)
    rows, columns = (
        slice(max(part.start - start, 0), max(part.stop - start, 0))
        for part, start in zip(found, corner, strict=True)
    )
    inside[rows, columns] = True
    return inside


def rectangle_of(viewer: Viewer, image: Image) -> Region:
    """Return the rectangle of `rectangle_mask` as rows and columns; raises the same errors."""
    shapes = [layer for layer in viewer.layers if isinstance(layer, Shapes)]
    if not shapes:
        raise InvalidInputError(ui_text.NO_RECTANGLE_DRAWN)
    active = viewer.layers.selection.active
    layer = active if active in shapes else shapes[-1]
    return rectangle_region(viewer, image, layer)


def visible_region(viewer: Viewer, layer: Image) -> Region:
    """Return the region of an image that the canvas shows, even if the layer is hidden.

    Raises
    ------
    InvalidInputError
        If the viewer does not display the last two axes of the image in 2-D, or shows too few
        pixels of it.
    """
    _check_flat(viewer, layer, ui_text.OR_WHOLE_IMAGE)
    return _clipped(layer, _view_corners(viewer, layer), ui_text.THE_VISIBLE_REGION)


def seen_region(viewer: Viewer, layer: Image) -> Region | None:
    """Return the region of an image that the canvas shows, of any size; None if there is none."""
    try:
        _check_flat(viewer, layer)
    except InvalidInputError:
        return None
    points = _view_corners(viewer, layer)
    if not np.isfinite(points).all():
        return None
    low, high = np.floor(points.min(axis=0) + 0.5), np.ceil(points.max(axis=0) + 0.5)
    rows, columns = (
        slice(min(max(int(start), 0), side), min(max(int(stop), 0), side))
        for start, stop, side in zip(low, high, image_shape(layer)[-2:], strict=True)
    )
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


# ------------------------------------------------------------------ pixels


def pixel_under(viewer: Viewer, layer: Layer, world: Any) -> tuple[int, ...]:
    """Return the indices of the pixel at a world position; they may be outside the layer."""
    position = _world_to_data(viewer, layer, world)
    return tuple(int(index) for index in np.round(position))


def _world_of(
    viewer: Viewer, choice: ImageChoice, row: float, column: float
) -> NDArray[np.float64]:
    """Return the world position of a pixel of a choice, one value per axis of the image.

    Raises
    ------
    InvalidInputError
        If the viewer does not display the last two axes of the image in 2-D.
    """
    layer = choice.layer
    _check_flat(viewer, layer)
    position = data_position(choice, row, column)
    units = viewer.dims.units
    return np.asarray(_in_units(layer.data_to_world(position), layer.units, units), float)


# ------------------------------------------------------------------ moving sliders and camera


def go_to_plane(viewer: Viewer, choice: ImageChoice) -> None:
    """Move the sliders to the plane of a choice.

    Raises
    ------
    InvalidInputError
        If the viewer does not display the last two axes of the image in 2-D.
    """
    world, dims = _world_of(viewer, choice, 0, 0), viewer.dims
    for axis, value in enumerate(world, dims.ndim - len(world)):
        if axis not in dims.displayed:
            dims.set_point(axis, value)


def go_to_pixel(viewer: Viewer, choice: ImageChoice, row: float, column: float) -> None:
    """Move the sliders to the plane of a choice, and camera and cursor to a pixel.

    Raises
    ------
    InvalidInputError
        If the viewer does not display the last two axes of the image in 2-D.
    """
    world, dims = _world_of(viewer, choice, row, column), viewer.dims
    go_to_plane(viewer, choice)
    _point_at(viewer, [world[axis - dims.ndim] for axis in dims.displayed], centre=True)


def step_cursor(viewer: Viewer, choice: ImageChoice, rows: int, columns: int) -> None:
    """Move the cursor by steps of a fortieth of the view; the camera follows it.

    A cursor outside of the view moves to its centre.

    Raises
    ------
    InvalidInputError
        If the viewer does not display the last two axes of the image in 2-D.
    """
    _check_flat(viewer, choice.layer)
    camera, shown = viewer.scene.camera, list(viewer.dims.displayed)
    half = np.array(viewer.canvas.viewbox_size(viewer.layers)) / camera.zoom / 2
    centre = np.array(camera.center[-2:])
    at = np.array(viewer.cursor.position)[shown]
    if (abs(at - centre) <= half).all():
        at = at + np.array([rows, columns]) * min(half) / _STEPS
    else:
        at = centre
    _point_at(viewer, at, centre=bool((abs(at - centre) > half).any()))


def _point_at(viewer: Viewer, at: Sequence[float] | NDArray[Any], *, centre: bool) -> None:
    """Move the cursor to a world position on the displayed axes, and perhaps the camera too."""
    if centre:
        viewer.scene.camera.center = (0, *at)
    position = np.array(viewer.dims.point, dtype=float)
    position[list(viewer.dims.displayed)] = at
    viewer.cursor.position = tuple(position)


def go_to_box(viewer: Viewer, choice: ImageChoice, box: Region) -> None:
    """Move sliders and camera to a box of a choice, which then fills half of the canvas.

    Parameters
    ----------
    viewer : Viewer
    choice : ImageChoice
    box : (slice, slice)
        Rows and columns, in pixels of the choice. The zoom is limited by `_LARGEST_PIXEL`.

    Raises
    ------
    InvalidInputError
        As `go_to_pixel`.
    """
    rows, columns = box
    middle = (rows.start + rows.stop - 1) / 2, (columns.start + columns.stop - 1) / 2
    go_to_pixel(viewer, choice, *middle)
    first = _world_of(viewer, choice, rows.start, columns.start)
    last = _world_of(viewer, choice, rows.stop, columns.stop)
    shown = [axis - viewer.dims.ndim for axis in viewer.dims.displayed]
    sides = [abs(last[axis] - first[axis]) for axis in shown]
    pixel = max(sides[0] / (rows.stop - rows.start), sides[1] / (columns.stop - columns.start))
    canvas = viewer.canvas.viewbox_size(viewer.layers)
    fitting = min(side / (2 * length) for side, length in zip(canvas, sides, strict=True))
    viewer.scene.camera.zoom = min(fitting, _LARGEST_PIXEL / pixel)


# ------------------------------------------------------------------ coordinates


def view_events(viewer: Viewer) -> tuple[Any, ...]:
    """Return the events of what moves the view or changes its size."""
    camera = viewer.scene.camera.events
    return camera.center, camera.zoom, viewer.canvas.events.size


def _displayed(viewer: Viewer, layer: Image) -> list[int]:
    """The displayed axes, as indices of the layer; negative for axes that it does not have."""
    return [axis - viewer.dims.ndim + layer.ndim for axis in viewer.dims.displayed]


def _check_flat(viewer: Viewer, layer: Image, way_out: str = "") -> None:
    if sorted(_displayed(viewer, layer)) != [layer.ndim - 2, layer.ndim - 1]:
        axes = [axis_name(layer, axis) for axis in (-2, -1)]
        raise InvalidInputError(
            ui_text.only_in_flat_view(image=layer.name, axes=axes, way_out=way_out)
        )


def _view_corners(viewer: Viewer, layer: Image) -> NDArray[np.float64]:
    """The corners of the canvas, (4, 2) in data coordinates."""
    camera = viewer.scene.camera
    half = np.array(viewer.canvas.viewbox_size(viewer.layers)) / camera.zoom / 2
    corners = []
    for sides in product((-1, 1), repeat=2):
        world = np.array(viewer.dims.point, dtype=float)
        world[list(viewer.dims.displayed)] = camera.center[-2:] + sides * half
        corners.append(_world_to_data(viewer, layer, world)[-2:])
    return np.array(corners)


def _world_to_data(viewer: Viewer, layer: Layer, world: Any) -> NDArray[np.float64]:
    """World coordinates as data coordinates of a layer; the units may differ."""
    units = viewer.dims.units  # None where the layers' units differ
    return np.asarray(layer.world_to_data(_in_units(world, units, layer.units)))


def _in_units(values: Any, old: Any, new: Any) -> Any:
    """World coordinates in other units; axes are aligned at the last one."""
    if old is None or new is None:
        return values
    pairs = list(zip(reversed(values), reversed(old), reversed(new), strict=False))
    return [float(value) * _ratio(one, other) for value, one, other in reversed(pairs)]


@cache
def _ratio(old: Any, new: Any) -> float:
    """How many of the new unit are one of the old; kept, since the view asks at each move."""
    return float((1.0 * old).to(new).magnitude)


def _clipped(layer: Image, points: NDArray[np.float64], what: str) -> Region:
    """The region of the pixels whose centres are in the bounding box of points."""
    shape = image_shape(layer)[-2:]
    low, high = points.min(axis=0), points.max(axis=0)
    edge = np.array(shape) - 0.5
    if not (np.isfinite(points).all() and (high >= -0.5).all() and (low <= edge).all()):
        raise InvalidInputError(ui_text.lies_outside(what=what, image=layer.name))
    start = [max(int(np.ceil(value - _EDGE)), 0) for value in low]
    stop = [
        min(int(np.floor(value + _EDGE)) + 1, side) for value, side in zip(high, shape, strict=True)
    ]
    region = slice(start[0], stop[0]), slice(start[1], stop[1])
    check_sides(sides_of(region), what)
    return region
