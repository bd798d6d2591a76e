"""Which part of a large image an annotation layer shows: its window."""

from __future__ import annotations

from napari.layers import Labels

from ...annotation.chunks import CHUNK, Region
from .image_layers import exceeds_memory

WINDOW = 4096
"""Longest side of a window over a part of the image, in pixels: more than a screen shows, and read
in a moment."""

WINDOW_KEY = "napari_cliper_window"
"""Key in the metadata of a layer for the part of the image that it shows."""


def fits_window(sides: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a part of an image, (rows, columns), is no larger than a window of it."""
    return max(sides) <= WINDOW or not exceeds_memory(shape)


def window_of(layer: Labels, shape: tuple[int, ...]) -> Region | None:
    """Return the region of an image that the layer of its closed large annotation shows.

    Parameters
    ----------
    layer : Labels
    shape : (int, int)
        Rows and columns of the image.
    """
    rows, columns = shape
    whole = slice(0, rows), slice(0, columns)
    region: Region | None = layer.metadata.get(WINDOW_KEY, whole)
    shown = () if region is None else tuple(part.stop - part.start for part in region)
    return region if shown == tuple(layer.data.shape) else None


def window_around(view: Region, shape: tuple[int, ...], fraction: float = 1.0) -> Region:
    """Return the window around the middle of a view, or a fraction of it.

    Parameters
    ----------
    view : (slice, slice)
    shape : (int, int)
        Rows and columns of the image, in which the window lies.
    fraction : float
        Of the window's side; smaller ones are not larger than the view.
    """
    found = []
    longest = WINDOW if exceeds_memory(shape) else max(shape)
    for part, side in zip(view, shape, strict=True):
        length = round(min(longest, side) * fraction)
        if fraction < 1:
            length = min(length, part.stop - part.start)
        start = (part.start + part.stop - length) // 2
        if fraction == 1:
            start = round(start / CHUNK) * CHUNK
        start = min(max(start, 0), side - length)
        found.append(slice(start, start + length))
    rows, columns = found
    return rows, columns
