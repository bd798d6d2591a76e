"""Combine channels into one RGB image, as napari's additive blending shows them.

A channel's values are scaled from its contrast limits to 0 to 1, raised to gamma, and coloured by
its colormap. The coloured channels, times their opacities, are added and clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..lazy_array import LazyArray
from .contrast import Limits, check_gamma, checked_limits

Colour = tuple[float, float, float]
"""Red, green and blue, each 0 to 1."""

COLOUR_STEPS = np.linspace(0, 1, 256)
"""Where a colormap is sampled for `Channel.of_table`."""


@dataclass(frozen=True)
class Channel:
    """How one channel is shown.

    Parameters
    ----------
    name : str
        For messages and records.
    colours : tuple of (float, float, float)
        The colormap: evenly spaced colours from the black to the white point, between which is
        interpolated linearly. At least two.
    limits : (float, float)
        The values that get the first and the last colour.
    gamma : float
        Exponent of the scaled values; above 0.
    opacity : float
        0 to 1.

    Raises
    ------
    InvalidInputError
        For limits that do not increase, and for a gamma, an opacity or colours out of range.
    """

    name: str
    colours: tuple[Colour, ...]
    limits: Limits
    gamma: float = 1.0
    opacity: float = 1.0

    def __post_init__(self) -> None:
        """Check the values."""
        checked_limits(self.limits)
        check_gamma(self.gamma)
        if not 0 <= self.opacity <= 1:
            raise InvalidInputError(
                f"The opacity of {self.name} is {self.opacity:g}. Give a number from 0 to 1."
            )
        shape = np.shape(self.colours)
        if len(shape) != 2 or shape[0] < 2 or shape[1] != 3:
            raise InvalidInputError(f"The colormap of {self.name} needs two RGB colours or more.")

    @classmethod
    def of_table(
        cls,
        name: str,
        table: NDArray[Any],
        limits: Limits,
        gamma: float = 1.0,
        opacity: float = 1.0,
    ) -> Channel:
        """Return the channel of a sampled colormap.

        Parameters
        ----------
        table : (N, 4) array
            Red, green, blue and alpha at `COLOUR_STEPS`, each 0 to 1.
        name, limits, gamma, opacity
            As of `Channel`.
        """
        colours = table[:, :3] * table[:, 3:]
        if np.allclose(colours, np.linspace(colours[0], colours[-1], len(colours)), atol=1e-3):
            colours = colours[[0, -1]]
        return cls(
            name,
            tuple((float(red), float(green), float(blue)) for red, green, blue in colours),
            limits,
            gamma,
            opacity,
        )

    @property
    def colour(self) -> str:
        """The colour of the highest values, such as ``#00ff00``."""
        return "#" + "".join(f"{round(255 * part):02x}" for part in self.colours[-1])

    @property
    def record(self) -> dict[str, Any]:
        """The channel as JSON, with the colour of its highest values."""
        black, white = self.limits
        return {
            "name": self.name,
            "colour": self.colour,
            "black": float(black),
            "white": float(white),
            "gamma": float(self.gamma),
            "opacity": float(self.opacity),
        }

    def shown(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the coloured values, (..., 3) from 0 to 1, times the opacity.

        Raises
        ------
        InvalidInputError
            For values that are NaN or infinite.
        """
        if not np.isfinite(values).all():
            raise InvalidInputError(
                f"{self.name} has pixels that are NaN or infinite. Replace them first, for example "
                "with numpy.nan_to_num."
            )
        black, white = self.limits
        scaled = ((values.astype(np.float32) - np.float32(black)) / np.float32(white - black)).clip(
            0, 1
        )
        if self.gamma != 1:
            scaled = scaled ** np.float32(self.gamma)
        table = np.asarray(self.colours, np.float32) * np.float32(self.opacity)
        if len(table) == 2:
            between: NDArray[np.float32] = table[0] + scaled[..., None] * (table[1] - table[0])
            return between
        steps = np.linspace(0, 1, len(table), dtype=np.float32)
        mixed = [np.interp(scaled, steps, one).astype(np.float32) for one in table.T]
        return np.stack(mixed, axis=-1)


@dataclass(frozen=True, eq=False)
class Composite(LazyArray):
    """Channels as one 8-bit RGB array, combined where it is indexed.

    `Segmenter.embed` accepts it as an image; with tiles, each tile is combined when it is read.

    Parameters
    ----------
    planes : sequence of (..., Y, X) arrays
        The values of each channel, all of one shape: NumPy, dask, zarr or any other array that can
        be sliced. Any real dtype.
    channels : sequence of Channel
        How each is shown.

    Raises
    ------
    InvalidInputError
        For no channel, and for arrays of different shapes.
    """

    planes: Sequence[Any]
    channels: Sequence[Channel]

    def __post_init__(self) -> None:
        """Check that there is one array of one shape for each channel."""
        shapes = sorted({tuple(plane.shape) for plane in self.planes})
        if len(shapes) != 1 or len(self.planes) != len(self.channels):
            sizes = ", ".join(" x ".join(map(str, shape)) for shape in shapes) or "none"
            raise InvalidInputError(
                f"{len(self.channels)} channels need as many images of one shape; there are "
                f"{len(self.planes)} ({sizes})."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """(..., Y, X, 3)."""
        return (*(int(side) for side in self.planes[0].shape), 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always uint8."""
        return np.dtype(np.uint8)

    @property
    def note(self) -> str:
        """What was combined, for the user."""
        parts = [
            f"{one.name} ({one.colour}, {one.limits[0]:g} to {one.limits[1]:g})"
            for one in self.channels
        ]
        return f"Channels shown together: {', '.join(parts)}."

    @property
    def record(self) -> dict[str, Any]:
        """The channels as JSON, see `Channel.record`."""
        return {"channels": [one.record for one in self.channels]}

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Return the colours of a part of the image, (..., 3) uint8.

        Parameters
        ----------
        index
            As of a NumPy array without the axis of colours.
        """
        mixed: NDArray[np.float32] | None = None
        for plane, channel in zip(self.planes, self.channels, strict=True):
            shown = channel.shown(np.asarray(plane[index]))
            if mixed is None:
                mixed = shown
            else:
                mixed += shown
        assert mixed is not None  # noqa: S101 - there is a channel
        mixed *= 255
        np.rint(mixed.clip(0, 255, out=mixed), out=mixed)
        return mixed.astype(np.uint8)

    def read(self, index: Any) -> Composite:
        """Return a part of the image as a composite whose planes are copies in memory."""
        return Composite([np.array(plane[index]) for plane in self.planes], self.channels)
