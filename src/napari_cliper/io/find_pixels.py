"""Find out whether an array is the image of a file, or one of its channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .axis_slice import AxisSlice
from .files import FileError
from .images import Pixels, open_image_with_axes


def is_image_of(path: Path, pixels: Any) -> bool:
    """Return whether a file contains exactly these pixels; compares plane by plane.

    Parameters
    ----------
    path : Path
        An image file; False if it cannot be read.
    pixels : array
        Of any library.
    """
    opened = _opened(path)
    return opened is not None and _same(opened[0], pixels, len(opened[1]) - 2)


def channel_in_file(path: Path, pixels: Any) -> tuple[int, int] | None:
    """Return the leading axis of a file's image, and the index along it, with these pixels.

    Parameters
    ----------
    path : Path
        An image file.
    pixels : array
        Of any library; the axis may be missing or have length 1.

    Returns
    -------
    (int, int) or None
        None if there is none, or if the file cannot be read.
    """
    opened = _opened(path)
    if opened is None:
        return None
    image, axes = opened
    for axis in range(len(axes) - 2):
        for index in range(int(image.shape[axis])):
            for keep in (False, True):
                part = AxisSlice(image, axis, index, keep=keep)
                if _same(part, pixels, len(axes) - 3 + keep):
                    return axis, index
    return None


def _opened(path: Path) -> tuple[Pixels, str] | None:
    try:
        return open_image_with_axes(path)
    except FileError:
        return None


def _same(one: Any, other: Any, leading: int) -> bool:
    return tuple(one.shape) == tuple(other.shape) and all(
        np.array_equal(np.asarray(one[at]), np.asarray(other[at]))
        for at in np.ndindex(tuple(one.shape[:leading]))
    )
