"""Decode image files to arrays. All image files are opened here.

Sizes are checked against the length of the file before memory is allocated, and every problem
with a file is raised as a `FileError`. Pixel values are returned unchanged together with their
meaning (grey levels, palette indices, colours), so that they can be used as images (`images`) or
as labels (`readers.label_files`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .decoded_image import Colours, DecodedImage, several_images, upright
from .decoding_errors import BROKEN, explained
from .tiff_decoding import LazyTiff, TiffMetadata, decode_tiff, open_tiff, read_tiff_metadata
from .tiff_structure import MAGICS, StructureError, UnsupportedImageError, check_structure

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "PPM", "TGA", "PCX", "SGI", "QOI")
"""Supported formats other than TIFF, by Pillow's names."""

_ONE_IMAGE = ("MPO",)
"""Formats whose further images are versions of the first, such as MPO, a JPEG with previews."""

_EXPANSION = 4096
"""Highest compression ratio of `FORMATS`: decoded bytes per byte of the file."""

_SMALL = 2**20
"""Images of up to this many bytes are decoded without a check of the file's length."""

_PNG_SAMPLES: Mapping[int, int] = MappingProxyType({0: 1, 2: 3, 3: 1, 4: 2, 6: 4})
"""Samples per pixel by the colour type of a PNG."""

_PILLOW: Mapping[str, Colours] = MappingProxyType(
    {"1": "grey", "L": "grey", "I": "grey", "I;16": "grey", "I;16B": "grey", "I;16L": "grey",
     "F": "grey", "P": "palette", "PA": "palette", "LA": "grey and alpha", "RGB": "rgb",
     "RGBA": "rgba", "CMYK": "cmyk", "YCbCr": "rgb"}
)  # fmt: skip


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of files in a supported format, such as ``".png"``, in lower case."""
    known = Image.registered_extensions()
    return frozenset({".tif", ".tiff", *(one for one, kind in known.items() if kind in FORMATS)})


def decode_image(path: str | Path) -> DecodedImage:
    """Read an image file; its format is detected from its content.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    FileError
        For a file that is missing, not an image, truncated, damaged or larger than its length
        allows; a file with several images; and an unsupported format or variant of a format.
    """
    path = Path(path)
    with explained(path):
        if _is_tiff(path):
            return decode_tiff(path)
        return _decode_other(path)


def open_image(path: Path) -> LazyTiff | None:
    """Open an image file without reading its pixels; None if its format does not allow that.

    Raises
    ------
    FileError
        As `decode_image`.
    """
    with explained(path):
        return open_tiff(path) if _is_tiff(path) else None


def tiff_metadata(path: Path) -> TiffMetadata | None:
    """Read the metadata of a TIFF without its pixels; None for other formats.

    Raises
    ------
    FileError
        As `decode_image`.
    """
    with explained(path):
        return read_tiff_metadata(path) if _is_tiff(path) else None


def is_image(path: Path) -> bool:
    """Whether a file starts like an image in a supported format."""
    try:
        if _is_tiff(path):
            with path.open("rb") as file:
                return check_structure(file) > 0
        with _quiet(), Image.open(path, formats=FORMATS):
            return True
    except (OSError, Image.DecompressionBombError, *BROKEN):
        return False


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in MAGICS


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Pillow's warnings.

    Large images are normal in microscopy, and Pillow still refuses those above twice its limit. A
    damaged EXIF block does not affect the pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# ---------------------------------------------------------------------- Pillow's formats


def _decode_other(path: Path) -> DecodedImage:
    with _quiet(), Image.open(path, formats=FORMATS) as image:
        name = str(image.format)
        frames = int(getattr(image, "n_frames", 1))
        if frames > 1 and name not in _ONE_IMAGE:
            raise several_images(path, f"{frames} images")
        depth, samples = _png_numbers(path) if name == "PNG" else (8, len(image.getbands()))
        _check_size(path, image.size, depth * samples)
        if name == "PPM" and image.mode == "RGB" and _ppm_maximum(path) > 255:
            raise UnsupportedImageError("it has more than 8 bits per colour channel")
        orientation = int(image.getexif().get(0x0112, 1))
        texts = {k: str(v) for k, v in image.info.items() if isinstance(k, str)}
        if name == "PNG" and depth == 16 and samples > 1:  # Pillow would reduce these to 8 bits
            pixels = np.asarray(imagecodecs.png_decode(path.read_bytes()))
            colours: Colours = (
                "grey and alpha" if samples == 2 else "rgb" if samples == 3 else "rgba"
            )
            palette = None
        else:
            if image.mode not in _PILLOW:
                raise UnsupportedImageError(f"it has the mode {image.mode}")
            colours = _PILLOW[image.mode]
            palette = _palette(image) if image.mode in ("P", "PA") else None
            pixels = np.array(image.convert("RGB") if image.mode == "YCbCr" else image)
            if image.mode == "PA":
                pixels = pixels[..., 0]
        if name == "PNG" and image.mode == "L" and depth < 8:
            pixels = pixels // (255 // (2**depth - 1))  # undo Pillow's scaling to 0..255
    axes = "YX" if pixels.ndim == 2 else "YXS"
    bits = 1 if pixels.dtype == bool else depth if name == "PNG" else pixels.dtype.itemsize * 8
    return DecodedImage(
        upright(pixels, axes, orientation), axes, colours, bits, name, palette, texts=texts
    )


def _check_size(path: Path, size: tuple[int, int], bits: int) -> None:
    """Refuse an image that is larger than its file can hold."""
    needed = size[0] * size[1] * bits // 8
    length = path.stat().st_size
    if needed > max(length * _EXPANSION, _SMALL):
        raise StructureError(
            f"its header says {size[1]} x {size[0]} pixels, more than its {length} bytes can hold"
        )


def _png_numbers(path: Path) -> tuple[int, int]:
    """Bits per sample and samples per pixel."""
    with path.open("rb") as file:
        file.seek(24)
        depth, kind = file.read(2)
    return depth, _PNG_SAMPLES[kind]


def _ppm_maximum(path: Path) -> int:
    with path.open("rb") as file:
        words = re.sub(rb"#[^\n]*", b" ", file.read(4096)).split()
    return int(words[3])


def _palette(image: Image.Image) -> NDArray[np.uint8]:
    """The palette, (N, 3) RGB, or (N, 4) RGBA if the file has transparency."""
    if "transparency" not in image.info:
        return np.reshape(np.array(image.getpalette("RGB"), np.uint8), (-1, 3))
    table = np.reshape(np.array(image.getpalette("RGB"), np.uint8), (-1, 3))
    alpha = np.full((len(table), 1), 255, np.uint8)
    given = image.info["transparency"]
    if isinstance(given, bytes):
        alpha[: len(given), 0] = list(given)[: len(table)]
    elif given < len(table):
        alpha[given] = 0
    return np.hstack([table, alpha])
