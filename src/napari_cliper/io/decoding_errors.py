"""Errors of image decoders as messages that say what is wrong with a file and what to do."""

from __future__ import annotations

import lzma
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import psutil
from PIL import Image, UnidentifiedImageError

from .files import FileError, cannot, check_kind
from .tiff_structure import StructureError, UnsupportedImageError

READABLE = "TIFF, PNG, JPEG, BMP, GIF, WebP, PPM, PGM, TGA, PCX, SGI and QOI"

# Exceptions that decoders raise for damaged files; those of imagecodecs are RuntimeErrors.
BROKEN = (
    ValueError, SyntaxError, LookupError, TypeError, ArithmeticError, AttributeError,
    AssertionError, RuntimeError, EOFError, struct.error, zlib.error,
    lzma.LZMAError, ET.ParseError,
)  # fmt: skip


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Context manager to turn every exception of a decoder into a `FileError`.

    Refuses pipes and devices.
    """
    check_kind(path)
    try:
        yield
    except FileNotFoundError as error:
        raise cannot("read", path, error) from None
    except UnidentifiedImageError:
        raise FileError(
            f"{path} is not an image in a supported format, or its start is damaged. Supported: "
            f"{READABLE}."
        ) from None
    except Image.DecompressionBombError as error:
        raise FileError(
            f"{path} is too large: {_pixels_in(error)}. Files other than TIFF and OME-Zarr may "
            f"have up to {2 * (Image.MAX_IMAGE_PIXELS or 0):,}. Save it as TIFF."
        ) from error
    except (UnsupportedImageError, NotImplementedError) as error:  # the libraries raise the second
        raise FileError(
            f"{path} cannot be read: {error}. Save it as a TIFF of 8 or 16 bits, uncompressed or "
            "compressed with LZW or Deflate."
        ) from error
    except StructureError as error:
        raise FileError(f"{path} is damaged: {error}. Save it again from its source.") from error
    except MemoryError as error:
        raise FileError(
            f"{path} needs more memory than is available. Crop it or split it."
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise cannot("read", path, error) from error
        raise _damaged(path, error) from error  # Pillow raises this for a truncated file
    except BROKEN as error:
        raise _damaged(path, error) from error


def check_memory(needed: int) -> None:
    """Refuse pixels that do not fit into the free memory, before they are decoded.

    A small compressed file can hold thousands of times its size, and the system may end a program
    that fills its memory.

    Parameters
    ----------
    needed : int
        Bytes of the decoded pixels.

    Raises
    ------
    MemoryError
        For `explained`, which names the file.
    """
    if needed > psutil.virtual_memory().available:
        raise MemoryError


def _pixels_in(error: Exception) -> str:
    """The number of pixels that Pillow's error names."""
    found = re.search(r"\d+(?= pixels)", str(error))
    return f"it has {int(found[0]):,} pixels" if found else "it has too many pixels"


def _damaged(path: Path, error: Exception) -> FileError:
    why = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return FileError(f"{path} is damaged: {why:.200}. Save it again from its source.")
