"""The planes of an image file as the engine takes them: axes, channels and contrast."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..io.images import open_image_with_axes, read_image_with_axes
from ..labels.axes import NAMES, UNKNOWN, described
from ..segmentation import MIN_SIDE, Composite, InvalidInputError, LazyArray
from .channels import ChannelColour, ContrastRule, check_channels

Plane = tuple[int, ...]
"""Index along each of the axes whose planes are segmented one by one."""


@dataclass(frozen=True)
class Reading:
    """How image files are read.

    Parameters
    ----------
    channels : tuple of ChannelColour
        Channels that are shown together; empty for grey and RGB images as they are.
    contrast : ContrastRule, optional
        Default: the percentiles of each plane, of channels those of the whole stack.
    axes : str
        Letters of the axes whose planes are segmented one by one, such as "Z" or "TZ". Axes without
        a name in the file get these names, in this order.
    """

    channels: tuple[ChannelColour, ...] = ()
    contrast: ContrastRule | None = None
    axes: str = ""

    def __post_init__(self) -> None:
        """Check the letters, and that each range of values belongs to a channel that is shown."""
        letters = self.axes.upper().replace(",", "").replace(" ", "")
        object.__setattr__(self, "axes", letters)
        if not set(letters) <= set(NAMES) or len(set(letters)) != len(letters):
            raise InvalidInputError(
                f"{self.axes!r} are no axes. Give Z, T or both as TZ, in the order of the file."
            )
        ranges = () if self.contrast is None else self.contrast.ranges
        shown = {one.index for one in self.channels} or {0}
        unused = sorted(set(ranges) - shown)
        if unused:
            raise InvalidInputError(
                f"--contrast has values of channel {unused[0]}, which is not shown. "
                + ("Add it to --channels." if self.channels else "A grey image is channel 0; name "
                   "the channels of other images with --channels.")
            )  # fmt: skip

    @property
    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        rule = self.contrast
        return {
            "channels": [[one.index, list(one.colour)] for one in self.channels],
            "contrast": None if rule is None else [
                list(rule.percentiles),
                [[index, *limits] for index, limits in sorted(rule.ranges.items())],
            ],
            "axes": self.axes,
        }  # fmt: skip

    def open(self, path: Path, *, lazily: bool = False) -> ImagePlanes:
        """Open an image file.

        Parameters
        ----------
        path : Path
        lazily : bool
            Whether the pixels of a large file are read when they are needed; those of a stack
            always are.

        Raises
        ------
        FileError
            For a file that cannot be read.
        InvalidInputError
            If its axes and channels are not those that are asked for.
        """
        read = open_image_with_axes if lazily or self.axes else read_image_with_axes
        array, axes = read(path)
        return arranged(array, axes, self)


AS_STORED = Reading()
"""Grey and RGB images as they are, without channels and planes to choose."""


@dataclass(frozen=True, eq=False)
class ImagePlanes:
    """The planes of an image.

    Parameters
    ----------
    array : array
        Of any library, with axes in any order.
    order : str
        A letter for each axis of the array; S for samples of a colour.
    reading : Reading
        Its axes are those of this image.
    """

    array: Any
    order: str
    reading: Reading

    @property
    def axes(self) -> str:
        """Letters of the axes whose planes are segmented one by one, in the order of the file."""
        return "".join(one for one in self.order if one in self.reading.axes)

    @property
    def leading(self) -> tuple[int, ...]:
        """Length of each of `axes`."""
        return tuple(self._length(axis) for axis in self.axes)

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X)."""
        return self._length("Y"), self._length("X")

    def __len__(self) -> int:
        """Return the number of planes."""
        return math.prod(self.leading)

    def __iter__(self) -> Iterator[Plane]:
        """Iterate over the indices of the planes, the last axis fastest."""
        return iter(np.ndindex(*self.leading))

    def image(self, plane: Plane = ()) -> Any:
        """Return a plane: a grey or RGB array of any library, or a `Composite` of its channels."""
        if not self.reading.channels:
            return self._part(plane)
        rule = self.reading.contrast or ContrastRule()
        chosen = [
            one.channel(rule.limits(one.index, self._samples(one.index)))
            for one in self.reading.channels
        ]
        return Composite([self._part(plane, one.index) for one in self.reading.channels], chosen)

    def contrast(self) -> tuple[float, float] | None:
        """Return the black and the white value of a grey image; None for percentiles of each plane.

        Reads a sample of the image for percentiles.
        """
        rule = self.reading.contrast
        if rule is None or self.reading.channels or "S" in self.order:
            return None
        return rule.limits(0, self._samples(None))

    @contextmanager
    def named(self, plane: Plane) -> Iterator[None]:
        """Begin the message of an `InvalidInputError` with the index of a plane of a stack."""
        try:
            yield
        except InvalidInputError as error:
            if not plane:
                raise
            place = ", ".join(f"{axis} {at}" for axis, at in zip(self.axes, plane, strict=True))
            raise InvalidInputError(f"Plane {place}: {error}") from error

    # ------------------------------------------------------------------ parts

    def _samples(self, channel: int | None) -> Sequence[Any]:
        return _Lazy(self, list(self), channel)

    def _length(self, axis: str) -> int:
        return int(self.array.shape[self.order.index(axis)])

    def _part(self, plane: Plane, channel: int | None = None) -> Any:
        """One plane, of one channel: rows and columns, and the samples of a colour last."""
        at = dict(zip(self.axes, plane, strict=True))
        channels = "S" if "C" not in self.order else "C"
        if channel is not None:
            at[channels] = channel
        return PlaneView(self.array, self.order, at) if at else self.array


@dataclass(frozen=True, eq=False)
class PlaneView(LazyArray):
    """One plane of an array; a part of it is read when it is indexed.

    Parameters
    ----------
    array, order
        As of `ImagePlanes`.
    at : mapping of str to int
        The index along each axis but Y, X and the samples of a colour.
    """

    array: Any
    order: str
    at: Mapping[str, int]

    @property
    def shape(self) -> tuple[int, ...]:
        """(Y, X), or (Y, X, C) for colours."""
        sides = zip(self.order, self.array.shape, strict=True)
        return tuple(int(side) for axis, side in sides if axis not in self.at)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the array."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read a part of the plane; the index has slices of rows and columns."""
        parts = iter(self._parts(index))
        return np.asarray(
            self.array[tuple(self.at[a] if a in self.at else next(parts) for a in self.order)]
        )


@dataclass(frozen=True, eq=False)
class _Lazy(Sequence[Any]):
    """Planes that are read when they are asked for."""

    planes: ImagePlanes
    indices: list[Plane]
    channel: int | None

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, at: Any) -> Any:
        return self.planes._part(self.indices[at], self.channel)  # noqa: SLF001 - same file


def arranged(array: Any, axes: str, reading: Reading) -> ImagePlanes:
    """Find the planes and channels of an array.

    Parameters
    ----------
    array : (..., Y, X) or (..., Y, X, S) array
    axes : str
        A letter for each axis but S; see `labels.axes`.
    reading : Reading

    Raises
    ------
    InvalidInputError
        If axes and channels are not the requested ones; the message says how to request those that
        exist.
    """
    order = axes + "S" * (array.ndim - len(axes))
    wants_channels = bool(reading.channels)
    sides = [int(side) for side in array.shape[-3:]]
    if wants_channels and not {"C", "S"} & set(order) and len(sides) == 3:
        *others, last = sides
        if last < MIN_SIDE <= min(others):  # no side of an image is so short
            order = order[:-3] + "YXC"
    order = _named(order, reading, array.shape)
    left = [
        axis
        for axis in order
        if axis not in "YXS" + reading.axes and not (axis == "C" and wants_channels)
    ]
    missing = [axis for axis in reading.axes if axis not in order and axis != "C"]
    if left or missing:
        raise _unasked(order, array.shape, left, missing)
    if wants_channels:
        channels = "C" if "C" in order else "S" if "S" in order else ""
        count = int(array.shape[order.index(channels)]) if channels else 1
        check_channels((one.index for one in reading.channels), count)
        if not channels:
            array, order = array[None], "C" + order
    elif reading.contrast is not None and "S" in order:
        raise InvalidInputError(
            "--contrast is for grey images and channels; this is a colour image. Leave out "
            '--contrast, or name its channels with --channels "0:red, 1:green, 2:blue".'
        )
    planes = "".join(axis for axis in reading.axes if not (axis == "C" and wants_channels))
    return ImagePlanes(array, order, replace(reading, axes=planes))


def _named(order: str, reading: Reading, shape: Sequence[int]) -> str:
    """Name the unnamed axes with those requested names that no axis has."""
    asked = ("C" if reading.channels and "C" not in reading.axes else "") + reading.axes
    new = [axis for axis in asked if axis not in order and not (axis == "C" and "S" in order)]
    unnamed = order.count(UNKNOWN)
    if not unnamed or not new:
        return order
    if unnamed != len(new) or (unnamed > 1 and "C" in new and "C" not in reading.axes):
        raise InvalidInputError(
            f"The image has {described(order, shape)} pixels, and the file does not say what its "
            f"first {unnamed} axes are. Name them all with --axis in their order, such as TZ; "
            "write C for channels."
        )
    names = iter(new)
    return "".join(next(names) if axis == UNKNOWN else axis for axis in order)


def _unasked(
    order: str, shape: Sequence[int], left: Sequence[str], missing: Sequence[str]
) -> InvalidInputError:
    """Return the error for axes that were not requested, or that do not exist."""
    size = described(order.replace("S", ""), shape[: len(order.replace("S", ""))])
    if missing:
        return InvalidInputError(
            f"The image ({size}) has no axis {missing[0]}. Leave it out of --axis."
        )
    ways = []
    planes = "".join(axis for axis in left if axis != "C")
    if planes:
        letters = "Z" if planes == UNKNOWN else planes.replace(UNKNOWN, "Z")
        ways.append(f"segment all its planes with --axis {letters}")
    if "C" in left or UNKNOWN in left:
        ways.append('show its channels together with --channels "0:green, 1:magenta"')
    first, *others = (*ways, "save the plane as a file of its own")
    return InvalidInputError(
        f"The image has the axes {size}; a single plane is needed. "
        f"{', or '.join((first[0].upper() + first[1:], *others))}."
    )
