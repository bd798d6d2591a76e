"""Score maps at the resolution of the image, one part of the image at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..tiles import Window
from .interpolation import bilinear_region

BLOCK_BYTES = 1 << 22
"""Bytes of memory for one block of rows of an `InterpolatedPlanes`."""


class PixelPlanes(Protocol):
    """Planes with a value for each pixel of an image, computed on request."""

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of the image."""
        ...

    @property
    def count(self) -> int:
        """Number of planes."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        ...

    def windows(self) -> Iterator[Window]:
        """Parts that together cover the image, of a size that is efficient to compute."""
        ...

    def at(self, window: Window, chosen: Sequence[int] | None = None) -> Tensor:
        """Planes in a part of the image, (C, height, width) float32; a new tensor.

        Parameters
        ----------
        window : Window
        chosen : sequence of int, optional
            Indices of the planes. Default: all of them.
        """
        ...


@dataclass(frozen=True, eq=False)
class InterpolatedPlanes:
    """Maps on a grid, interpolated bilinearly to the image.

    Parameters
    ----------
    maps : (C, h, w) float tensor
    shape : (int, int)
        (Y, X) of the image.
    """

    maps: Tensor
    shape: tuple[int, int]

    @property
    def count(self) -> int:
        """Number of planes."""
        return len(self.maps)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.maps.nbytes

    def windows(self) -> Iterator[Window]:
        """Blocks of rows."""
        height, width = self.shape
        step = max(BLOCK_BYTES // (4 * self.count * width), 1)
        for top in range(0, height, step):
            yield Window(top, 0, min(top + step, height), width)

    def at(self, window: Window, chosen: Sequence[int] | None = None) -> Tensor:
        """Planes in a part of the image, (C, height, width) float32."""
        maps = self.maps if chosen is None else self.maps[list(chosen)]
        return bilinear_region(maps.float(), self.shape, window)
