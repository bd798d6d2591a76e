"""The pixels of a decoded image file, with axes, colour type and metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .files import FileError

Colours = Literal["grey", "white is zero", "palette", "rgb", "rgba", "grey and alpha", "cmyk"]
"""The colour type of an image file."""


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """The pixels of an image file, with axes, colour type and metadata.

    Parameters
    ----------
    pixels : array
        Values as in the file, with the orientation of the file applied.
    axes : str
        A letter for each axis, as in tifffile: Y, X, Z, T, C (channel), S (samples of a colour,
        always last), and I or Q for axes without a name.
    colours : str
        See `Colours`. "grey" includes labels and other single values.
    bits : int
        Bits per sample in the file; `pixels` has the next larger dtype.
    format : str
        ``"TIFF"`` or one of `FORMATS`.
    palette : (N, 3) or (N, 4) uint8 array, optional
        RGB or RGBA by index; a grey TIFF may have one too (a LUT).
    ome : str
        OME-XML; empty if there is none.
    imagej : mapping of str to Any
        ImageJ's metadata by key ("Info", "unit", "spacing", ...).
    pixel_lengths : (float, float)
        Length of a pixel along Y and X from the TIFF's resolution, in the unit of `imagej`; 0 if
        there is none.
    texts : mapping of str to str
        Text chunks of a PNG.
    """

    pixels: NDArray[Any]
    axes: str
    colours: Colours
    bits: int
    format: str
    palette: NDArray[np.uint8] | None = None
    ome: str = ""
    imagej: Mapping[str, Any] = field(default_factory=dict)
    pixel_lengths: tuple[float, float] = (0.0, 0.0)
    texts: Mapping[str, str] = field(default_factory=dict)


def several_images(path: Path, what: str) -> FileError:
    """Return the error for a file that contains several images."""
    return FileError(
        f"{path} holds {what}, and it is not clear which is meant. Save the one that is meant as a "
        "file of its own, or a stack as a TIFF."
    )


def upright(pixels: NDArray[Any], axes: str, orientation: int) -> NDArray[Any]:
    """Apply an orientation of EXIF or TIFF, 1 to 8; any other number is none."""
    rows, columns = axes.index("Y"), axes.index("X")
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, rows, columns)
    if orientation in (3, 4, 7, 8):
        pixels = np.flip(pixels, rows)
    if orientation in (2, 3, 6, 7):
        pixels = np.flip(pixels, columns)
    return np.ascontiguousarray(pixels)
