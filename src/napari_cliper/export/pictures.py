"""Picture files to arrays, as they are on disk: no colour is swapped, nothing is rotated."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from .files import FileError, cannot

CONVERTED_MODES = {
    "P": "RGBA",
    "PA": "RGBA",
    "LA": "RGBA",
    "La": "RGBA",
    "CMYK": "RGB",
    "YCbCr": "RGB",
}
"""Modes of PIL whose raw values are no colours."""


BROKEN = (
    ValueError, SyntaxError, LookupError, TypeError, ArithmeticError, struct.error, zlib.error
)  # fmt: skip
"""What decoders raise for a file that is broken inside."""


def read_picture(path: Path) -> NDArray[Any]:
    """Read one picture.

    Parameters
    ----------
    path : Path
        A TIFF, or anything that Pillow reads.

    Returns
    -------
    (Y, X) or (Y, X, C) array
        In the dtype of the file; a TIFF that says which axis holds the channels has them
        moved to the end, and axes of length 1 dropped. A stack stays a stack.

    Raises
    ------
    FileError
        For a file that is missing, unreadable or no picture.
    """
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            return _read_tiff(path)
        with warnings.catch_warnings():
            # Large pictures are what microscopes make; those over Pillow's limit are refused.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return np.array(image.convert(CONVERTED_MODES.get(image.mode, image.mode)))
    except FileNotFoundError:
        raise FileError(f"There is no picture at {path}. Check the name.") from None
    except (UnidentifiedImageError, tifffile.TiffFileError, Image.DecompressionBombError) as error:
        raise FileError(
            f"{path} cannot be read as a picture: {error}. Give a TIFF, PNG, JPEG or another "
            "format that Pillow knows."
        ) from error
    except BROKEN as error:
        raise FileError(f"{path} is damaged: {error}. Save it again from its source.") from error
    except OSError as error:
        if error.errno is None:  # Pillow's word for a file that ends too early
            raise FileError(
                f"{path} is damaged: {error}. Save it again from its source."
            ) from error
        raise cannot("read", path, error) from error


def _read_tiff(path: Path) -> NDArray[Any]:
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        axes, array = series.axes, np.asarray(series.asarray())
    kept = [i for i, (axis, length) in enumerate(zip(axes, array.shape, strict=True))
            if length > 1 or axis in "YX"]  # fmt: skip
    array = array.reshape([array.shape[i] for i in kept])
    axes = "".join(axes[i] for i in kept)
    for channel in "CS":
        if channel in axes and len(axes) == 3:
            array = np.moveaxis(array, axes.index(channel), -1)
    return array
