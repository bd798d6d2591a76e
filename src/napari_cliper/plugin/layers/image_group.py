"""Image layers, or the channels of one, shown together as one RGB image. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache, partial
from itertools import product
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from napari.layers.utils.layer_utils import calc_data_range
from napari.utils.colormaps import AVAILABLE_COLORMAPS, CMYBGR, MAGENTA_GREEN, Colormap
from napari.viewer import Viewer
from numpy.typing import NDArray

from ...io.axis_slice import AxisSlice
from ...io.ome_zarr_images import OmeZarr
from ...io.tiff_decoding import LazyTiff
from ...labels.axes import axes_from_names
from ...segmentation import COLOUR_STEPS, Channel, Composite, LazyArray, percentile_limits
from .. import ui_text

_MOVES = ("scale", "translate", "rotate", "shear", "affine")


class ChannelArray(LazyArray):
    """The RGB pixels of a group, as an array that is combined where it is indexed.

    The display settings of the channels are those at creation; they are evaluated on first read.

    Parameters
    ----------
    planes : sequence of (..., Y, X) arrays
        The channels, of any library.
    displays : sequence of callable
        Each returns a `Channel`; called in the thread that reads.
    """

    def __init__(self, planes: Sequence[Any], displays: Sequence[Callable[[], Channel]]) -> None:
        self._planes = planes
        self._displays = displays
        self.shape = (*planes[0].shape, 3)
        self.dtype = np.dtype(np.uint8)

    @cached_property
    def composite(self) -> Composite:
        """The channels as they are displayed."""
        return Composite(self._planes, [display() for display in self._displays])

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Return the colours of a part; index as for an array without the axis of colours."""
        return self.composite[index]


class ImageGroup(Image):
    """Layers shown together, as one RGB image that is not in the layer list.

    It has the place of its first layer, and follows it with `follow`.

    Parameters
    ----------
    members : sequence of Image
        Grey layers of one shape, the lowest first; or a single one with an axis of channels.
    axis : int, optional
        The axis of channels of the single layer. The group has length 1 along it, and covers all
        channels there.
    title : str
        The name of the group; by default, the names of its layers.
    """

    def __init__(
        self, members: Sequence[Image], axis: int | None = None, *, title: str = ""
    ) -> None:
        self.members = tuple(members)
        self.axis = axis
        self.title = title
        super().__init__(
            self._combined(), rgb=True, visible=False, name=self._joined_name(), **self._placement()
        )

    def _combined(self) -> ChannelArray:
        if self.axis is None:
            planes = [full_resolution(one) for one in self.members]
            return ChannelArray(planes, [_look(one) for one in self.members])
        layer = self.members[0]
        source = full_resolution(layer)
        count = int(source.shape[self.axis])
        slices = [AxisSlice(source, self.axis, index) for index in range(count)]
        limits = None if default_limits(layer) else _limits(layer)
        return ChannelArray(
            slices,
            [
                partial(
                    _channel_of_axis,
                    ui_text.channel_name(index),
                    AVAILABLE_COLORMAPS[self.colormaps[index]],
                    one,
                    limits,
                    float(layer.gamma),
                )
                for index, one in enumerate(slices)
            ],
        )

    @property
    def colormaps(self) -> tuple[str, ...]:
        """The name of the colormap of each channel."""
        if self.axis is None:
            return tuple(str(one.colormap.name) for one in self.members)
        count = int(full_resolution(self.members[0]).shape[self.axis])
        names = MAGENTA_GREEN if count == 2 else CMYBGR
        return tuple(names[index % len(names)] for index in range(count))

    @property
    def display(self) -> tuple[Any, ...]:
        """What is equal as long as the layers show their channels in the same way."""
        return tuple(
            (one.name, one.colormap.name, _limits(one), float(one.gamma), float(one.opacity))
            for one in self.members
        )

    def _joined_name(self) -> str:
        if self.title:
            return self.title
        names = [one.name for one in self.members]
        return ui_text.group_name(names) if self.axis is None else ui_text.channels_of(names[0])

    def _placement(self) -> dict[str, Any]:
        """Transforms of the first layer; along the axis of channels, one pixel covers all."""
        layer = self.members[0]
        scale, translate = np.array(layer.scale), np.array(layer.translate)
        if self.axis is not None:
            count = full_resolution(layer).shape[self.axis]
            middle = np.zeros(layer.ndim)
            middle[self.axis] = (count - 1) / 2 * scale[self.axis]
            rotation = np.asarray(layer.rotate)
            translate = translate + (rotation @ middle if rotation.ndim == 2 else middle)
            scale[self.axis] *= count
        return {
            "scale": scale,
            "translate": translate,
            "rotate": np.array(layer.rotate),
            "shear": np.array(layer.shear),
            "affine": np.array(layer.affine.affine_matrix),
            "units": layer.units,
            "axis_labels": layer.axis_labels,
        }

    def snapshot(self) -> ChannelArray:
        """Return the pixels as the layers show them now."""
        return self._combined()

    @property
    def fits(self) -> bool:
        """Whether the layers still have one shape and place, which is that of the group."""
        if self.axis is not None:
            shape = list(full_resolution(self.members[0]).shape)
            named = channel_axis(self.members[0]) == self.axis
            shape[self.axis] = 1
            return named and (*shape, 3) == tuple(self.data.shape)
        shapes = {tuple(full_resolution(one).shape) for one in self.members}
        return shapes == {tuple(self.data.shape[:-1])} and _one_place(self.members)

    def follow(self) -> None:
        """Take name and place of the layers."""
        self.name = self._joined_name()
        for key, value in self._placement().items():
            setattr(self, key, value)


# ------------------------------------------------------------------ finding groups


def groups_in(viewer: Viewer, images: Sequence[Image], known: Sequence[ImageGroup]) -> list[Any]:
    """Return the groups that can be chosen: visible layers that add up, and axes of channels.

    Parameters
    ----------
    viewer : Viewer
    images : sequence of Image
        The layers that may be members.
    known : sequence of ImageGroup
        Groups made earlier, which are returned for the same layers.
    """
    grey = [one for one in images if not one.rgb]
    places: list[list[Image]] = []
    for layer in viewer.layers:
        if layer in grey and layer.visible:
            beside = next((one for one in places if _one_place([one[0], layer])), None)
            if beside is None:
                places.append([layer])
            else:
                beside.append(layer)
    wanted: list[tuple[tuple[Image, ...], int | None]] = [
        (tuple(one), None) for one in places if len(one) > 1 and _adds_up(one)
    ]
    for layer in reversed(list(viewer.layers)):
        axis = channel_axis(layer) if layer in grey else None
        if axis is not None:
            wanted.append(((layer,), axis))
    return [
        next(
            (one for one in known if (one.members, one.axis) == (members, axis) and one.fits),
            None,
        )
        or ImageGroup(members, axis)
        for members, axis in wanted
    ]


def channel_axis(layer: Image) -> int | None:
    """Return the axis of channels of a grey layer, by its label; None without one."""
    letters = axes_from_names(layer.axis_labels, layer.ndim)
    axis = letters.find("C")
    return axis if axis >= 0 and full_resolution(layer).shape[axis] > 1 else None


def members_of(image: Layer) -> tuple[Layer, ...]:
    """Return the layers of a group; of another image, itself."""
    return image.members if isinstance(image, ImageGroup) else (image,)


def in_viewer(viewer: Viewer, image: Layer) -> bool:
    """Whether an image, or each layer of a group, is in the viewer."""
    return image in viewer.layers or (
        isinstance(image, ImageGroup) and all(one in viewer.layers for one in image.members)
    )


def full_resolution(layer: Image) -> Any:
    """Return the array of a layer; of a pyramid, the largest."""
    return layer.data[0] if layer.multiscale else layer.data


def _adds_up(members: Sequence[Image]) -> bool:
    """Whether napari adds the layers up: all but the lowest visible one blend additively."""
    return all(one.blending == "additive" for one in members[1:])


def _one_place(members: Sequence[Image]) -> bool:
    """Whether layers have one shape, and lie exactly over each other."""
    first, *others = members
    return all(
        tuple(full_resolution(one).shape) == tuple(full_resolution(first).shape)
        and all(
            np.array_equal(np.asarray(getattr(one, key)), np.asarray(getattr(first, key)))
            for key in _MOVES
        )
        for one in others
    )


# ------------------------------------------------------------------ how channels are shown


def _look(layer: Image) -> Callable[[], Channel]:
    """Return a function that returns the channel that a layer shows now."""
    return partial(
        _channel,
        layer.name,
        layer.colormap,
        _limits(layer),
        float(layer.gamma),
        float(layer.opacity),
    )


def _limits(layer: Image) -> tuple[float, float]:
    low, high = map(float, layer.contrast_limits)
    return (low, high) if low < high else (low, low + 1)


def _channel(
    name: str, colormap: Colormap, limits: tuple[float, float], gamma: float, opacity: float
) -> Channel:
    return Channel.of_table(name, colormap.map(COLOUR_STEPS), limits, gamma, opacity)


def _channel_of_axis(
    name: str,
    colormap: Colormap,
    values: AxisSlice,
    limits: tuple[float, float] | None,
    gamma: float,
) -> Channel:
    """A channel between the limits of its layer, or else between its percentiles."""
    return _channel(name, colormap, limits or percentile_limits(_Planes(values)), gamma, 1.0)


class _Planes(Sequence[Any]):
    """The planes of an array, read one by one."""

    def __init__(self, values: AxisSlice) -> None:
        self._values = values
        self._places = list(product(*map(range, values.shape[:-2])))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, at: Any) -> Any:
        return self._values[self._places[at]]


def default_limits(layer: Image) -> bool:
    """Whether the contrast limits of a grey layer are those that napari has chosen."""
    return tuple(map(float, layer.contrast_limits)) in own_limits(full_resolution(layer))


def own_limits(source: Any) -> list[tuple[float, float]]:
    """Return the contrast limits that napari chooses for an array."""
    dtype = np.dtype(source.dtype)
    own: list[tuple[float, float]] = [(0.0, 1.0)]
    if dtype.kind in "iu":
        own = [(float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))]
    if isinstance(source, np.ndarray):
        low, high = calc_data_range(source)
        own.append((float(low), float(high)))
    elif isinstance(source, LazyTiff | OmeZarr):  # anything else would be read from the disk
        own.append(value_range(source))
    return own


@lru_cache(maxsize=64)
def value_range(source: LazyTiff | OmeZarr) -> tuple[float, float]:
    """Return lowest and highest value of three planes of a file; read once, call it in a thread."""
    low, high = calc_data_range(source)
    return float(low), float(high)
