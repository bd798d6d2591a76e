"""Image layers as arrays, and the transforms that place a result over them. No Qt.

A result is a (Y, X) plane of the last two axes of an image. Pixel i covers i - 0.5 to i + 0.5
in data coordinates, as in napari; a rectangle takes the pixels whose centres are in it.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import psutil
from napari.layers import Image, Layer, Shapes
from napari.layers.utils.layer_utils import calc_data_range
from napari.utils.transforms import CompositeAffine
from napari.viewer import Viewer
from numpy.typing import NDArray

from ...labels.axes import axes_from_names
from ...segmentation import InvalidInputError
from .. import ui_text

Region = tuple[slice, slice]

Key = tuple["weakref.ref[Image]", tuple[int, ...], tuple[tuple[int, int], ...] | None]
"""An image, its plane, and the region in it."""

OUTPUT_KEY = "napari_cliper"
"""The key of the provenance in `layer.metadata`."""

MIN_SIDE = 8  # pixels; the engine refuses less
_LARGEST_PIXEL = 20  # pixels of the canvas
_EDGE = 1e-3  # pixels; tolerance for rounding: napari stores shapes in float32


@dataclass(frozen=True, eq=False)
class ImageChoice:
    """A snapshot of the image, plane and region to run on, taken when Run was pressed.

    Parameters
    ----------
    layer : Image
    name : str
        The layer's name.
    plane : tuple of int
        Indices of the leading axes; empty for a single plane.
    region : (slice, slice), optional
        Rows and columns in pixels of the image; None for the whole plane.
    """

    layer: Image
    name: str
    plane: tuple[int, ...] = ()
    region: Region | None = None
    source: Any = field(init=False, repr=False)
    """The array at full resolution; it stays the same if `layer.data` is replaced."""

    _limits: tuple[float, float] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Store the array and the contrast limits."""
        object.__setattr__(self, "source", _full_resolution(self.layer))
        limits = None if self.layer.rgb else tuple(map(float, self.layer.contrast_limits))
        object.__setattr__(self, "_limits", limits)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the region, or of the whole plane."""
        if self.region is not None:
            rows, columns = self.region
            return rows.stop - rows.start, columns.stop - columns.start
        height, width = image_shape(self.layer)[-2:]
        return height, width

    def read(self) -> NDArray[Any]:
        """Return a copy of the pixels, (Y, X) or (Y, X, 3 or 4), in the layer's dtype.

        Lazy arrays (dask, zarr) are computed. Accesses no layer, so that a thread may call it.
        """
        rows, columns = self.region or (slice(None), slice(None))
        return np.asarray(self.source[(*self.plane, rows, columns)]).copy()

    def contrast(self) -> tuple[float, float] | None:
        """Return the contrast limits of a grey image; None if they are napari's defaults.

        The defaults are the range of the dtype, or of the values of an array in memory. Accesses
        no layer, so that a thread may call it.
        """
        if self._limits is None or self._limits in _own_limits(self.source):
            return None
        return self._limits

    @property
    def is_current(self) -> bool:
        """Whether the layer still shows the array that was chosen."""
        return _full_resolution(self.layer) is self.source

    @property
    def key(self) -> Key:
        """A key that is equal for the same layer, plane and region."""
        region = self.region and tuple((part.start, part.stop) for part in self.region)
        return weakref.ref(self.layer), self.plane, region


def is_output(layer: Layer) -> bool:
    """Whether this plugin made the layer."""
    return OUTPUT_KEY in layer.metadata


def _full_resolution(layer: Image) -> Any:
    return layer.data[0] if layer.multiscale else layer.data


def _own_limits(source: Any) -> list[tuple[float, float]]:
    """The default contrast limits of napari for an array."""
    dtype = np.dtype(source.dtype)
    own: list[tuple[float, float]] = [(0.0, 1.0)]
    if dtype.kind in "iu":
        own = [(float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))]
    if isinstance(source, np.ndarray):  # anything else would be read from the disk
        low, high = calc_data_range(source)
        own.append((float(low), float(high)))
    return own


def image_shape(layer: Image) -> tuple[int, ...]:
    """Return the shape in pixels at full resolution, without the channel axis of RGB."""
    shape = tuple(_full_resolution(layer).shape)
    return shape[:-1] if layer.rgb else shape


# ------------------------------------------------------------------ where results lie


def labels_shape(choice: ImageChoice) -> tuple[int, ...]:
    """The shape of the Labels layer of a choice.

    The axes are those of the image, without the channel axis of RGB, so that the planes of a
    stack share one layer. For a region, the last two sides are those of the region.
    """
    shape = tuple(choice.source.shape)
    shape = shape[:-1] if choice.layer.rgb else shape
    return (*shape[:-2], *_sides(choice.region)) if choice.region else shape


def check_memory(choice: ImageChoice) -> None:
    """Check that the Labels layers of an image fit in the free memory.

    Raises
    ------
    InvalidInputError
        If they do not; the message gives the needed and the free memory.
    """
    shape = labels_shape(choice)
    needed = 2 * math.prod(shape)  # bytes of a coarse and a refined layer
    free = psutil.virtual_memory().available
    if needed > free:
        sides = " x ".join(map(str, shape))
        raise InvalidInputError(
            ui_text.labels_too_large(image=choice.name, sides=sides, needed=needed, free=free)
        )


def place(choice: ImageChoice) -> tuple[int | slice, ...]:
    """Return the index of the (Y, X) result in the Labels array of `labels_shape`."""
    return (*choice.plane, slice(None), slice(None))


def transforms(choice: ImageChoice) -> dict[str, Any]:
    """Return the keywords that place the Labels layer of a choice exactly over its pixels.

    Returns
    -------
    dict
        ``scale``, ``translate``, ``rotate``, ``shear``, ``affine``, ``units`` and
        ``axis_labels`` of the image at the time of the call; for a region, ``translate`` is that
        of its first pixel.
    """
    layer = choice.layer
    shape_of_axes = {
        "scale": np.array(layer.scale),
        "rotate": np.array(layer.rotate),
        "shear": np.array(layer.shear),
    }
    translate = np.array(layer.translate)
    if choice.region is not None:
        before_affine = CompositeAffine(translate=translate, ndim=layer.ndim, **shape_of_axes)
        translate = before_affine(_first_pixel(choice, layer.ndim))
    return {
        **shape_of_axes,
        "translate": translate,
        "affine": np.array(layer.affine.affine_matrix),
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def map_transforms(choice: ImageChoice, shape: tuple[int, int]) -> dict[str, Any]:
    """Return the keywords that stretch a map of another size over the pixels of a choice.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the map. Its outer edges lie on those of the plane or region.

    Returns
    -------
    dict
        ``affine``, ``units`` and ``axis_labels`` of a layer with the axes of the image; the leading
        axes have length 1 and the position of the plane.
    """
    layer = choice.layer
    step = np.ones(layer.ndim)
    step[-2:] = np.divide(labels_shape(choice)[-2:], shape)
    corner = _first_pixel(choice, layer.ndim)
    corner[: len(choice.plane)] = choice.plane
    corner[-2:] += (step[-2:] - 1) / 2  # the centre of the map's first pixel
    affine = np.eye(layer.ndim + 1)
    affine[:-1, -1] = origin = np.asarray(layer.data_to_world(corner))
    for axis in range(layer.ndim):
        moved = corner.copy()
        moved[axis] += step[axis]
        affine[:-1, axis] = np.asarray(layer.data_to_world(moved)) - origin
    return {"affine": affine, "units": layer.units, "axis_labels": layer.axis_labels}


def _sides(region: Region) -> tuple[int, int]:
    rows, columns = region
    return rows.stop - rows.start, columns.stop - columns.start


def _first_pixel(choice: ImageChoice, ndim: int) -> NDArray[np.float64]:
    """Data coordinates of the first pixel of a choice; 0 on the leading axes."""
    first = np.zeros(ndim)
    if choice.region is not None:
        first[-2:] = [part.start for part in choice.region]
    return first


# ------------------------------------------------------------------ planes and regions


def axis_name(layer: Image, axis: int) -> str:
    """Return the label of an axis; ``plane`` or ``axis -4`` if it has none."""
    label = str(layer.axis_labels[axis])
    if not label.lstrip("-").isdigit():
        return label
    only = layer.ndim == 3 and axis in (0, -3)
    return ui_text.ONLY_PLANE_AXIS if only else ui_text.unnamed_axis(label)


def current_plane(viewer: Viewer, layer: Image) -> tuple[int, ...]:
    """Return the plane of an image at the position of the viewer's sliders.

    Raises
    ------
    InvalidInputError
        If the viewer displays a leading axis instead of slicing it, or if the sliders are
        outside the image.
    """
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
    dims_units = viewer.dims.units
    corners = [
        _world_to_data(viewer, layer, _in_units(world, shapes.units, dims_units))
        for world in map(shapes.data_to_world, shapes.data[chosen])
    ]
    return _clipped(layer, np.array(corners)[:, -2:], ui_text.the_rectangle_in(shapes.name))


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


def geometry_of(layer: Layer) -> dict[str, Any]:
    """Return ``pixel_size``, ``units`` and ``axes`` of a layer, one value per axis; JSON-safe.

    The axes are the letters of `labels.axes.axes_from_names`. The pixel size is the scale of the
    layer; its affine transform is ignored.
    """
    return {
        "pixel_size": [abs(float(value)) for value in layer.scale],
        "units": [str(unit) for unit in layer.units],
        "axes": axes_from_names(layer.axis_labels, layer.ndim),
    }


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
    shapes = [layer for layer in viewer.layers if isinstance(layer, Shapes)]
    if not shapes:
        raise InvalidInputError(ui_text.NO_RECTANGLE_DRAWN)
    active = viewer.layers.selection.active
    layer = active if active in shapes else shapes[-1]
    inside = np.zeros(choice.source.shape[choice.layer.ndim - 2 :][:2], bool)
    inside[rectangle_region(viewer, choice.layer, layer)] = True
    return inside[choice.region or (slice(None), slice(None))]


def pixel_under(viewer: Viewer, layer: Layer, world: Any) -> tuple[int, ...]:
    """Return the indices of the pixel at a world position; they may be outside the layer."""
    position = _world_to_data(viewer, layer, world)
    return tuple(int(index) for index in np.round(position))


def world_of(viewer: Viewer, choice: ImageChoice, row: float, column: float) -> NDArray[np.float64]:
    """Return the world position of a pixel of a choice, one value per axis of the image.

    Raises
    ------
    InvalidInputError
        If the viewer does not display the last two axes of the image in 2-D.
    """
    layer = choice.layer
    _check_flat(viewer, layer)
    position = _first_pixel(choice, layer.ndim)
    position[: len(choice.plane)] = choice.plane
    position[-2:] += row, column
    units = viewer.dims.units
    return np.asarray(_in_units(layer.data_to_world(position), layer.units, units), float)


def go_to_plane(viewer: Viewer, choice: ImageChoice) -> None:
    """Move the sliders to the plane of a choice.

    Raises
    ------
    InvalidInputError
        If the viewer does not display the last two axes of the image in 2-D.
    """
    world, dims = world_of(viewer, choice, 0, 0), viewer.dims
    for axis, value in enumerate(world, dims.ndim - len(world)):
        if axis not in dims.displayed:
            dims.set_point(axis, value)


def go_to_pixel(viewer: Viewer, choice: ImageChoice, row: float, column: float) -> None:
    """Move the sliders to the plane of a choice, and the centre of the camera to a pixel.

    Raises
    ------
    InvalidInputError
        If the viewer does not display the last two axes of the image in 2-D.
    """
    world, dims = world_of(viewer, choice, row, column), viewer.dims
    go_to_plane(viewer, choice)
    viewer.scene.camera.center = (0, *(world[axis - dims.ndim] for axis in dims.displayed))


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
    first = world_of(viewer, choice, rows.start, columns.start)
    last = world_of(viewer, choice, rows.stop, columns.stop)
    shown = [axis - viewer.dims.ndim for axis in viewer.dims.displayed]
    sides = [abs(last[axis] - first[axis]) for axis in shown]
    pixel = max(sides[0] / (rows.stop - rows.start), sides[1] / (columns.stop - columns.start))
    canvas = viewer.canvas.viewbox_size(viewer.layers)
    fitting = min(side / (2 * length) for side, length in zip(canvas, sides, strict=True))
    viewer.scene.camera.zoom = min(fitting, _LARGEST_PIXEL / pixel)


def check_whole(layer: Image) -> None:
    """Check that an image is large enough.

    Raises
    ------
    InvalidInputError
        If a side has fewer than `MIN_SIDE` pixels.
    """
    _check_sides(image_shape(layer)[-2:], layer.name)


def _displayed(viewer: Viewer, layer: Image) -> list[int]:
    """The displayed axes, as indices of the layer; negative for axes that it does not have."""
    return [axis - viewer.dims.ndim + layer.ndim for axis in viewer.dims.displayed]


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
    return [float((value * one).to(other).magnitude) for value, one, other in reversed(pairs)]


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
    _check_sides(_sides(region), what)
    return region


def _check_flat(viewer: Viewer, layer: Image, way_out: str = "") -> None:
    if sorted(_displayed(viewer, layer)) != [layer.ndim - 2, layer.ndim - 1]:
        axes = [axis_name(layer, axis) for axis in (-2, -1)]
        raise InvalidInputError(
            ui_text.only_in_flat_view(image=layer.name, axes=axes, way_out=way_out)
        )


def _check_sides(sides: tuple[int, ...], what: str) -> None:
    if min(sides) < MIN_SIDE:
        rows, columns = (max(side, 0) for side in sides)
        raise InvalidInputError(
            ui_text.too_small(what=what, rows=rows, columns=columns, least=MIN_SIDE)
        )
