"""Read image files for display and segmentation: upright, with their colours applied."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..labels.axes import axes_from_names
from ..labels.labelled_image import PIXEL
from ..labels.units import micrometres
from .decoded_image import DecodedImage
from .files import FileError
from .image_decoding import decode_image, open_image
from .ome_zarr_images import OmeZarr, is_zarr, open_ome_zarr
from .tiff_axes import pixel_sizes_of_tiff
from .tiff_decoding import LazyTiff

LAZY_PIXELS = 1 << 25
"""Images of more pixels are read part by part if their file allows it."""


Pixels = NDArray[Any] | LazyTiff | OmeZarr
"""Pixels in memory, or those of a file that are read where they are indexed."""


def read_image_file(path: Path) -> NDArray[Any]:
    """Return only the pixels of `read_image_with_axes`."""
    return read_image_with_axes(path)[0]


def open_image_with_axes(path: Path) -> tuple[Pixels, str]:
    """Return pixels and axes of `read_image_with_axes`; those of large files are read when needed.

    These are TIFFs in tiles or with several planes, and OME-Zarr.

    Raises
    ------
    FileError
        As `read_image_with_axes`.
    """
    lazy = open_ome_zarr(path) if is_zarr(path) else open_image(path)
    if lazy is None or math.prod(lazy.shape[: len(lazy.axes.replace("S", ""))]) <= LAZY_PIXELS:
        return read_image_with_axes(path)
    if isinstance(lazy, LazyTiff):
        kept = [i for i, axis in enumerate(lazy.axes) if lazy.shape[i] > 1 or axis in "YX"]
        lazy = replace(
            lazy,
            shape=tuple(lazy.shape[i] for i in kept),
            axes="".join(lazy.axes[i] for i in kept),
        )
    axes = lazy.axes.replace("S", "")
    return lazy, axes_from_names(axes, len(axes))


def pixel_sizes_of(path: Path) -> Mapping[str, tuple[float, str]]:
    """Return length and unit of a pixel along each axis for which an image file gives them.

    Parameters
    ----------
    path : Path
        TIFF or OME-Zarr; other formats give none.

    Returns
    -------
    mapping of str to (float, str)
        By the letter of the axis; see `labels.axes`.

    Raises
    ------
    FileError
        As `decode_image`.
    """
    return open_ome_zarr(path).pixel_sizes if is_zarr(path) else pixel_sizes_of_tiff(path)


def pixel_size_of(path: Path) -> float | None:
    """Return the side of a pixel of an image file in micrometres; None if it is unknown.

    Raises
    ------
    FileError
        As `decode_image`.
    """
    known = pixel_sizes_of(path)
    pairs = [known.get(axis, (1.0, PIXEL)) for axis in "YX"]
    return micrometres([size for size, _ in pairs], [unit for _, unit in pairs])


def read_image_with_axes(path: Path) -> tuple[NDArray[Any], str]:
    """Read an image file as it is displayed.

    Palettes and the orientation of EXIF or TIFF are applied, CMYK is converted to RGB,
    white-is-zero is inverted, and 2-bit and 4-bit grey levels are scaled to 0 to 255. Grey with an
    alpha channel is read as grey, so that its contrast is that of a grey image.

    Parameters
    ----------
    path : Path
        A TIFF, the folder of an OME-Zarr image, or a file in one of `image_decoding.FORMATS`.

    Returns
    -------
    pixels : (..., Y, X) or (..., Y, X, C) array
        In the dtype of the file; bool for 1 bit. C is 3 or 4: red, green, blue and optionally
        alpha. Axes of length 1 are dropped. Channels that are not colours are planes of a stack,
        as napari shows them.
    axes : str
        One letter per axis, except the colour axis (see `labels.axes`).

    Raises
    ------
    FileError
        As `decode_image`, and for pixel values without a colour in the palette.
    """
    if is_zarr(path):
        stored = open_ome_zarr(path)
        letters = stored.axes.removesuffix("S")
        return stored[...], axes_from_names(letters, len(letters))
    decoded = decode_image(path)
    pixels = _coloured(path, decoded)
    axes = decoded.axes.replace("S", "")
    kept = [i for i, axis in enumerate(axes) if pixels.shape[i] > 1 or axis in "YX"]
    shape = [pixels.shape[i] for i in kept]
    found = axes_from_names("".join(axes[i] for i in kept), len(kept))
    return pixels.reshape([*shape, *pixels.shape[len(axes) :]]), found


def _coloured(path: Path, decoded: DecodedImage) -> NDArray[Any]:
    """Apply palette and colour model; returns (..., Y, X) or (..., Y, X, C)."""
    pixels, bits = decoded.pixels, decoded.bits
    highest = 2**bits - 1
    if decoded.colours == "palette" and decoded.palette is not None:
        if pixels.dtype.kind != "u" or int(pixels.max()) >= len(decoded.palette):
            raise FileError(
                f"{path} is damaged: a pixel is {pixels.max()}, and its palette has "
                f"{len(decoded.palette)} colours. Save it again from its source."
            )
        found: NDArray[np.uint8] = decoded.palette[pixels]
        return found
    if decoded.colours in ("white is zero", "cmyk") and pixels.dtype.kind not in "bu":
        raise FileError(
            f"{path} stores {decoded.colours} as {pixels.dtype}, which is not supported. Save it "
            "as RGB or greyscale."
        )
    if decoded.colours == "cmyk":
        light = (highest - pixels).astype(np.float64)
        mixed: NDArray[Any] = np.rint(light[..., :3] * light[..., 3:] / highest)
        return mixed.astype(pixels.dtype)
    if decoded.colours == "grey and alpha":
        return pixels[..., 0]
    if decoded.colours == "white is zero":
        pixels = ~pixels if pixels.dtype == bool else (highest - pixels).astype(pixels.dtype)
    if pixels.dtype == np.uint8 and bits < 8:
        if bits == 1:
            return pixels.astype(bool)
        filled: NDArray[Any] = np.rint(pixels * (255 / highest))
        return filled.astype(np.uint8)
    return pixels
