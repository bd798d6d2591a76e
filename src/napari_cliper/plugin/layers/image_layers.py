"""Image layers as arrays, and the transforms that place a result over them. No Qt.

A result is a (Y, X) plane of the last two axes of an image. Pixel i covers i - 0.5 to i + 0.5
in data coordinates, as in napari.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import psutil
from napari.layers import Image, Layer
from napari.utils.transforms import CompositeAffine
from numpy.typing import NDArray

from ...labels.axes import axes_from_names, misplaced_axis
from ...labels.units import micrometres
from ...segmentation import MIN_SIDE, Composite, InvalidInputError, SegmentationConfig
from .. import ui_text
from .image_group import ChannelArray, ImageGroup, full_resolution, members_of, own_limits
from .lazy_planes import LazyPlane, lazy_levels

Region = tuple[slice, slice]

LARGEST_AT_ONCE = 2048
"""Side of the largest square image whose annotation is changed as a whole, in the window's thread.
Those of larger images are changed chunk by chunk, in threads."""

LARGEST_IN_MEMORY = 8192
"""Side of the largest square image whose labels are in memory as a whole: the smallest limit of the
textures of today's GPUs. Labels of larger images are on disk, with a window over a part."""

ANNOTATION_BYTES = 14
"""Bytes for each pixel that an annotation takes at most, with its undo history and its layer."""

WINDOW_BYTES = 4
"""Bytes for each pixel of the layer of an annotation in chunks, which are compressed."""

OBJECT_BYTES = 40
"""Bytes for each pixel that the objects of labels take at most."""

RUN_BYTES = 33
"""Bytes for each pixel that a run takes at most: the image, scores and labels of two stages."""

Key = tuple["weakref.ref[Image]", tuple[int, ...], tuple[tuple[int, int], ...] | None]
"""An image, its plane, and the region in it."""

OUTPUT_KEY = "napari_cliper"
"""The key of the provenance in `layer.metadata`."""

AXES_KEY = "napari_cliper_axes"
"""The key in `layer.metadata` of an image whose axes without a name are of another kind."""

OBJECTS_OF = "objects_of"
"""The key of the image's name in the provenance of a layer of objects."""


@dataclass(frozen=True, eq=False)
class ImageChoice:
    """A snapshot of the image, plane and region to run on, taken when Run was pressed.

    Parameters
    ----------
    layer : Image
        The layer, or an `ImageGroup` of several.
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

    arrays: tuple[Any, ...] = field(init=False, repr=False)
    """The array of the layer, or those of all layers of a group."""

    levels: tuple[Any, ...] = field(init=False, repr=False)
    """The source at all resolutions, the largest first."""

    gamma: float = field(init=False, repr=False)
    """Gamma of a grey layer; 1 for colours."""

    _limits: tuple[float, float] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Store the arrays, the contrast limits and gamma."""
        layer, grey = self.layer, not self.layer.rgb
        group = isinstance(layer, ImageGroup)
        source = layer.snapshot() if group else full_resolution(layer)
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "arrays", _arrays(layer))
        levels = tuple(layer.data) if layer.multiscale and not group else (source,)
        object.__setattr__(self, "levels", levels)
        limits = tuple(map(float, layer.contrast_limits)) if grey else None
        object.__setattr__(self, "_limits", limits)
        object.__setattr__(self, "gamma", float(layer.gamma) if grey else 1.0)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the region, or of the whole plane."""
        if self.region is not None:
            return sides_of(self.region)
        height, width = image_shape(self.layer)[-2:]
        return height, width

    @property
    def pixel_size(self) -> float | None:
        """Side of a pixel in micrometres; None if the layer has no unit of length."""
        geometry = geometry_of(self.layer)
        return micrometres(geometry["pixel_size"][-2:], geometry["units"][-2:])

    def read(self) -> NDArray[Any]:
        """Return a copy of the pixels, (Y, X) or (Y, X, 3 or 4), in the layer's dtype.

        Lazy arrays (dask, zarr) are computed. Accesses no layer, so that a thread may call it.
        """
        rows, columns = self.region or (slice(None), slice(None))
        return np.asarray(self.source[(*self.plane, rows, columns)]).copy()

    def image(self) -> Any:
        """Return what the engine is given: the pixels of `read`, or a `Composite` of a group.

        Accesses no layer, so that a thread may call it.
        """
        if not isinstance(self.source, ChannelArray):
            return self.read()
        rows, columns = self.region or (slice(None), slice(None))
        return self.source.composite.read((*self.plane, rows, columns))

    def reader(self, config: SegmentationConfig) -> Callable[[], Any]:
        """Return a function that reads the image for the engine in a thread; in tiles, lazily."""
        return self.image if config.tiles is None else self.lazily

    def lazily(self) -> Any:
        """Return what the engine is given in tiles: what is not in memory is read by tile.

        Arrays in memory are copied, as by `image`. Accesses no layer, so that a thread may call it.
        """
        region = self.region or (slice(0, self.shape[0]), slice(0, self.shape[1]))
        if isinstance(self.source, ChannelArray):
            every = self.source.composite
            if all(isinstance(one, np.ndarray) for one in self.arrays):
                return self.image()
            planes = [LazyPlane(one, self.plane, region) for one in every.planes]
            return Composite(planes, every.channels)
        if isinstance(self.source, np.ndarray):
            return self.image()
        return lazy_levels(self.levels, self.plane, region)

    def contrast(self) -> tuple[float, float] | None:
        """Return the contrast limits of a grey image; None if they are napari's defaults.

        The defaults are the range of the dtype, or of the values of an array in memory. Accesses
        no layer, so that a thread may call it.
        """
        if self._limits is None or self._limits in own_limits(self.source):
            return None
        return self._limits

    @property
    def is_current(self) -> bool:
        """Whether the layers still show the arrays that were chosen."""
        now = _arrays(self.layer)
        return all(one is other for one, other in zip(now, self.arrays, strict=True))

    @property
    def key(self) -> Key:
        """A key that is equal for the same layer, plane and region."""
        region = self.region and tuple((part.start, part.stop) for part in self.region)
        return weakref.ref(self.layer), self.plane, region


def is_output(layer: Layer) -> bool:
    """Whether this plugin made the layer."""
    return OUTPUT_KEY in layer.metadata


def _arrays(layer: Image) -> tuple[Any, ...]:
    return tuple(full_resolution(one) for one in members_of(layer))


def part_of_choice(choice: ImageChoice, rectangle: Region) -> tuple[ImageChoice, Region]:
    """Return the part of a choice that lies in a rectangle of the image, and where it is in it."""
    whole = choice.region or tuple(slice(0, side) for side in choice.shape)
    rows, columns = (
        slice(min(max(one.start, two.start), two.stop), max(min(one.stop, two.stop), two.start))
        for one, two in zip(rectangle, whole, strict=True)
    )
    inner = tuple(
        slice(part.start - one.start, part.stop - one.start)
        for part, one in zip((rows, columns), whole, strict=True)
    )
    return replace(choice, region=(rows, columns)), (inner[0], inner[1])


def image_shape(layer: Image) -> tuple[int, ...]:
    """Return the shape in pixels at full resolution, without the channel axis of RGB."""
    shape = tuple(full_resolution(layer).shape)
    return shape[:-1] if layer.rgb else shape


# ------------------------------------------------------------------ where results lie


def labels_shape(choice: ImageChoice) -> tuple[int, ...]:
    """The shape of the Labels layer of a choice.

    The axes are those of the image, without the channel axis of RGB, so that the planes of a
    stack share one layer. For a region, the last two sides are those of the region.
    """
    shape = tuple(choice.source.shape)
    shape = shape[:-1] if choice.layer.rgb else shape
    return (*shape[:-2], *sides_of(choice.region)) if choice.region else shape


def is_in_chunks(image: Image) -> bool:
    """Whether the annotation of an image is in chunks."""
    return goes_in_chunks(image_shape(image))


def goes_in_chunks(shape: tuple[int, ...]) -> bool:
    """Whether an annotation of this shape is in chunks: a plane with many pixels."""
    many = math.prod(shape) > LARGEST_AT_ONCE**2 or exceeds_memory(shape)
    return len(shape) == 2 and many


def runs_by_chunk(choice: ImageChoice, config: SegmentationConfig) -> bool:
    """Whether the labels of a run are computed chunk by chunk: those of a large image in tiles.

    Not with masks and thresholds of the area, which need all labels at once.
    """
    shape = image_shape(choice.layer)
    large = len(shape) == 2 and exceeds_memory(shape) and exceeds_memory(choice.shape)
    whole = config.uses_masks or config.settings().area_threshold > 0
    return large and config.tiles is not None and not whole


def exceeds_memory(shape: tuple[int, ...]) -> bool:
    """Whether labels of (Y, X) pixels are not kept in memory as a whole."""
    longest = max(shape) > 2 * LARGEST_IN_MEMORY  # no GPU draws such a layer in full
    return longest or math.prod(shape) > LARGEST_IN_MEMORY**2


def check_memory(choice: ImageChoice) -> None:
    """Check that a run, and the Labels layers of its image, fit in the free memory.

    Raises
    ------
    InvalidInputError
        If they do not; the message gives the needed and the free memory.
    """
    needed, free = _needed(choice), psutil.virtual_memory().available
    if needed > free:
        raise InvalidInputError(
            ui_text.labels_too_large(
                image=choice.name, sides=_sides(labels_shape(choice)), needed=needed, free=free
            )
        )


def fits_memory(choice: ImageChoice) -> bool:
    """Whether a run, and the Labels layers of its image, fit in the free memory."""
    return _needed(choice) <= psutil.virtual_memory().available


def check_annotation_memory(choice: ImageChoice) -> None:
    """Check that an annotation of an image fits in the free memory, unless it is on disk.

    Raises
    ------
    InvalidInputError
        If it does not; the message gives the needed and the free memory.
    """
    shape = labels_shape(choice)
    in_chunks = is_in_chunks(choice.layer)
    needed = (WINDOW_BYTES if in_chunks else ANNOTATION_BYTES) * math.prod(shape)
    free = psutil.virtual_memory().available
    if needed > free and not (in_chunks and exceeds_memory(shape)):
        raise InvalidInputError(
            ui_text.annotation_too_large(
                image=choice.name, sides=_sides(shape), needed=needed, free=free
            )
        )


def check_objects_memory(choice: ImageChoice) -> None:
    """Check that the objects of all labels of a choice fit in the free memory.

    Raises
    ------
    InvalidInputError
        If they do not; the message gives the needed and the free memory.
    """
    needed, free = OBJECT_BYTES * math.prod(choice.shape), psutil.virtual_memory().available
    if needed > free:
        raise InvalidInputError(
            ui_text.objects_too_large(
                image=choice.name, sides=_sides(choice.shape), needed=needed, free=free
            )
        )


def _needed(choice: ImageChoice) -> int:
    """Bytes of a run, with a coarse and a refined layer."""
    return 2 * math.prod(labels_shape(choice)) + RUN_BYTES * math.prod(choice.shape)


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


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
    layer, region = choice.layer, choice.region
    shape_of_axes = {
        "scale": np.array(layer.scale),
        "rotate": np.array(layer.rotate),
        "shear": np.array(layer.shear),
    }
    translate = np.array(layer.translate)
    if region is not None:
        before_affine = CompositeAffine(translate=translate, ndim=layer.ndim, **shape_of_axes)
        leading = (0,) * (layer.ndim - 2)
        translate = before_affine((*leading, region[0].start, region[1].start))
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
    corner = data_position(choice, *(step[-2:] - 1) / 2)  # the centre of the map's first pixel
    affine = np.eye(layer.ndim + 1)
    affine[:-1, -1] = origin = np.asarray(layer.data_to_world(corner))
    for axis in range(layer.ndim):
        moved = corner.copy()
        moved[axis] += step[axis]
        affine[:-1, axis] = np.asarray(layer.data_to_world(moved)) - origin
    return {"affine": affine, "units": layer.units, "axis_labels": layer.axis_labels}


def sides_of(region: Region) -> tuple[int, int]:
    """Return the number of rows and columns of a region."""
    rows, columns = region
    return rows.stop - rows.start, columns.stop - columns.start


def data_position(choice: ImageChoice, row: float, column: float) -> NDArray[np.float64]:
    """Return the data coordinates of a place in the plane or region of a choice, in pixels."""
    rows, columns = choice.region or (slice(0, None), slice(0, None))
    return np.array([*choice.plane, rows.start + row, columns.start + column], float)


# ------------------------------------------------------------------ axes and sizes


def axis_name(layer: Image, axis: int) -> str:
    """Return the label of an axis; ``plane`` or ``axis -4`` if it has none."""
    label = str(layer.axis_labels[axis])
    if not label.lstrip("-").isdigit():
        return label
    only = layer.ndim == 3 and axis in (0, -3)
    return ui_text.ONLY_PLANE_AXIS if only else ui_text.unnamed_axis(label)


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


def whole_sides(choice: ImageChoice) -> tuple[int, int]:
    """Return the rows and columns of the whole plane of a choice."""
    return replace(choice, region=None).shape


def depth_of(choice: ImageChoice) -> int | None:
    """Return the leading axis Z of an image if it has several planes along it, or None."""
    axes = geometry_of(choice.layer)["axes"][:-2]
    depth = axes.find("Z")
    return depth if depth >= 0 and image_shape(choice.layer)[depth] > 1 else None


def planes_along(choice: ImageChoice, axis: int) -> list[ImageChoice]:
    """Return all planes of an image along an axis, at the position of a choice on the others."""
    at = choice.plane
    return [
        replace(choice, plane=(*at[:axis], index, *at[axis + 1 :]), region=None)
        for index in range(image_shape(choice.layer)[axis])
    ]


def check_whole(layer: Image) -> None:
    """Check that the last two axes of an image are rows and columns, and long enough.

    Raises
    ------
    InvalidInputError
        As `check_axes`, and if a side has fewer than `MIN_SIDE` pixels.
    """
    check_axes(layer)
    shape = image_shape(layer)
    if len(shape) > 2 and shape[-1] < MIN_SIDE <= min(shape[-3:-1]):
        raise InvalidInputError(ui_text.channels_last(image=layer.name, shape=shape))
    check_sides(shape[-2:], layer.name)


def check_axes(layer: Image) -> None:
    """Check that the last two axes of an image are not named time, depth or channel.

    Raises
    ------
    InvalidInputError
        If one of them is.
    """
    ndim = layer.ndim
    axis = misplaced_axis(layer.axis_labels, ndim)
    if axis is not None:
        order = (axis, *(other for other in range(ndim) if other != axis))
        raise InvalidInputError(
            ui_text.axis_misplaced(
                image=layer.name,
                name=str(layer.axis_labels[axis]),
                channels=axes_from_names((layer.axis_labels[axis], "y", "x"), 3)[0] == "C",
                axis=axis,
                order=order,
            )
        )


def check_sides(sides: tuple[int, ...], what: str) -> None:
    """Check that an image or region, which a message calls `what`, is large enough.

    Raises
    ------
    InvalidInputError
        If a side has fewer than `MIN_SIDE` pixels.
    """
    if min(sides) < MIN_SIDE:
        rows, columns = (max(side, 0) for side in sides)
        raise InvalidInputError(
            ui_text.too_small(what=what, rows=rows, columns=columns, least=MIN_SIDE)
        )
