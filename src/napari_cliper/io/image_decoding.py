"""Image files to arrays: the one place where an image file is opened.

A size is believed only after it has been compared with the length of the file, and whatever is
wrong with a file becomes a `FileError`. What the numbers mean (grey levels, indices of a palette,
colours) is said beside them, so that images (`pictures`) and labels (`importing`) can each take
them for what they are.
"""

from __future__ import annotations

import math
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from xml.etree import ElementTree as ET

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from .files import FileError, cannot
from .tiff_structure import MAGICS, StructureError, UnsupportedImageError, check_structure

Colours = Literal["grey", "white is zero", "palette", "rgb", "rgba", "grey and alpha", "cmyk"]
"""What the numbers of an image file stand for."""

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "PPM", "TGA", "PCX", "SGI", "QOI")
"""Formats beside TIFF, as Pillow calls them."""

READABLE = "TIFF, PNG, JPEG, BMP, GIF, WebP, PPM, PGM, TGA, PCX, SGI and QOI"

_ONE_IMAGE = ("MPO",)
"""Formats in which the images behind the first are versions of it: MPO is a JPEG with previews."""

_EXPANSION = 4096
"""The most bytes that one byte of a file in one of `FORMATS` is decoded to."""

_SMALL = 2**20
"""Bytes of an image that is decoded whatever the length of its file."""

_PNG_SAMPLES: Mapping[int, int] = MappingProxyType({0: 1, 2: 3, 3: 1, 4: 2, 6: 4})
"""Samples of a pixel by the colour type of a PNG."""

_BY_SAMPLES: Mapping[int, Colours] = MappingProxyType({2: "grey and alpha", 3: "rgb", 4: "rgba"})

_PILLOW: Mapping[str, Colours] = MappingProxyType(
    {"1": "grey", "L": "grey", "I": "grey", "I;16": "grey", "I;16B": "grey", "I;16L": "grey",
     "F": "grey", "P": "palette", "PA": "palette", "LA": "grey and alpha", "RGB": "rgb",
     "RGBA": "rgba", "CMYK": "cmyk", "YCbCr": "rgb"}
)  # fmt: skip

# Only the flavours of TIFF whose description is checked or harmless; the others are read page by
# page. OME-TIFF and STK are switched off as well where their description does not fit the file.
_UNUSED_FLAVOURS = (
    "mmstack", "ndtiff", "fluoview", "sis", "svs", "scn", "qpi", "ndpi", "bif", "avs", "eer",
    "philips", "scanimage", "nih", "mdgel", "indica",
)  # fmt: skip

# What decoders raise for a file that is broken inside; imagecodecs' errors are RuntimeErrors.
_BROKEN = (
    ValueError, SyntaxError, LookupError, TypeError, ArithmeticError, AttributeError,
    AssertionError, RuntimeError, EOFError, struct.error, zlib.error, ET.ParseError,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """The numbers of an image file, and what they stand for.

    Parameters
    ----------
    pixels : array
        As they are in the file, upright: an orientation that the file tells has been applied.
    axes : str
        A letter for each axis, as tifffile has them: Y, X, Z, T, C (channel), S (samples of
        a colour, always last), and I or Q for what has no name.
    colours : str
        See `Colours`. "grey" are numbers of any meaning, labels too.
    bits : int
        Of a number in the file; `pixels` has the next larger dtype.
    format : str
        ``"TIFF"`` or one of `FORMATS`.
    palette : (N, 3) or (N, 4) uint8 array, optional
        Red, green, blue and perhaps alpha by index; a grey TIFF may have one too (a LUT).
    ome : str
        OME-XML; empty where there is none.
    imagej : mapping of str to Any
        What ImageJ has written, by its keys ("Info", "unit", "spacing", ..).
    pixel_lengths : (float, float)
        Length of a pixel along Y and X by the TIFF's resolution, in a unit that `imagej` names;
        0 where there is none.
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


def decode_image(path: str | Path) -> DecodedImage:
    """Read an image file of any format that is known; the format is told by the content.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    FileError
        For a file that is missing, no image, cut off or damaged; one that claims to be larger
        than its length allows; one that holds several images; and colours or numbers that
        are stored in a way that is not read.
    """
    path = Path(path)
    with _explained(path):
        if _is_tiff(path):
            return _decode_tiff(path)
        return _decode_other(path)


def is_image(path: Path) -> bool:
    """Whether a file begins as an image does that `decode_image` may be able to read."""
    try:
        if _is_tiff(path):
            with path.open("rb") as file:
                return check_structure(file) > 0
        with _quiet(), Image.open(path, formats=FORMATS):
            return True
    except (OSError, Image.DecompressionBombError, *_BROKEN):
        return False


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in MAGICS


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Whatever a decoder raises as a `FileError`."""
    try:
        yield
    except FileNotFoundError:
        raise FileError(f"Cannot read {path}: there is no such file. Check the name.") from None
    except UnidentifiedImageError:
        raise FileError(
            f"{path} is no image in a format that is known, or it is damaged at the beginning. "
            f"Known: {READABLE}."
        ) from None
    except Image.DecompressionBombError as error:
        raise FileError(f"{path} is too large: {error}. Save it as TIFF.") from error
    except (UnsupportedImageError, NotImplementedError) as error:  # the libraries raise the second
        raise FileError(
            f"{path} cannot be read: {error}. Save it as a TIFF of 8 or 16 bits, uncompressed or "
            "compressed with LZW or Deflate."
        ) from error
    except StructureError as error:
        raise FileError(f"{path} is damaged: {error}. Save it again from its source.") from error
    except MemoryError as error:
        raise FileError(f"{path} needs more memory than there is. Crop it or cut it up.") from error
    except OSError as error:
        if error.errno is not None:
            raise cannot("read", path, error) from error
        raise _damaged(path, error) from error  # Pillow's word for a file that ends too early
    except _BROKEN as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> FileError:
    why = " ".join(str(error).split()) or type(error).__name__
    return FileError(f"{path} is damaged: {why:.200}. Save it again from its source.")


def _several(path: Path, what: str) -> FileError:
    return FileError(
        f"{path} holds {what}, and it is not clear which is meant. Save the one that is meant as a "
        "file of its own, or a stack as a TIFF."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings.

    Large images are what microscopes make, and those over Pillow's limit are refused all the
    same; a damaged EXIF block says nothing about the pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# ---------------------------------------------------------------------- orientation


def _upright(pixels: NDArray[Any], axes: str, orientation: int) -> NDArray[Any]:
    """Apply an orientation of EXIF or TIFF, 1 to 8; any other number is none."""
    rows, columns = axes.index("Y"), axes.index("X")
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, rows, columns)
    if orientation in (3, 4, 7, 8):
        pixels = np.flip(pixels, rows)
    if orientation in (2, 3, 6, 7):
        pixels = np.flip(pixels, columns)
    return np.ascontiguousarray(pixels)


# ---------------------------------------------------------------------- Pillow's formats


def _decode_other(path: Path) -> DecodedImage:
    with _quiet(), Image.open(path, formats=FORMATS) as image:
        name = str(image.format)
        frames = int(getattr(image, "n_frames", 1))
        if frames > 1 and name not in _ONE_IMAGE:
            raise _several(path, f"{frames} images")
        depth, samples = _png_numbers(path) if name == "PNG" else (8, len(image.getbands()))
        _check_size(path, image.size, depth * samples)
        if name == "PPM" and image.mode == "RGB" and _ppm_maximum(path) > 255:
            raise UnsupportedImageError("it holds colours of more than 8 bits a channel")
        orientation = int(image.getexif().get(0x0112, 1))
        texts = {k: str(v) for k, v in image.info.items() if isinstance(k, str)}
        if name == "PNG" and depth == 16 and samples > 1:  # Pillow would cut them to 8 bits
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
            pixels = pixels // (255 // (2**depth - 1))  # Pillow fills the range up to 255
    axes = "YX" if pixels.ndim == 2 else "YXS"
    bits = 1 if pixels.dtype == bool else depth if name == "PNG" else pixels.dtype.itemsize * 8
    return DecodedImage(
        _upright(pixels, axes, orientation), axes, colours, bits, name, palette, texts=texts
    )


def _check_size(path: Path, size: tuple[int, int], bits: int) -> None:
    """Refuse an image that is larger than what its file can be decoded to."""
    needed = size[0] * size[1] * bits // 8
    length = path.stat().st_size
    if needed > max(length * _EXPANSION, _SMALL):
        raise StructureError(
            f"it claims {size[1]} x {size[0]} pixels, more than its {length} bytes can hold"
        )


def _png_numbers(path: Path) -> tuple[int, int]:
    """Bits of a sample, and samples of a pixel."""
    with path.open("rb") as file:
        file.seek(24)
        depth, kind = file.read(2)
    return depth, _PNG_SAMPLES[kind]


def _ppm_maximum(path: Path) -> int:
    with path.open("rb") as file:
        words = re.sub(rb"#[^\n]*", b" ", file.read(4096)).split()
    return int(words[3])


def _palette(image: Image.Image) -> NDArray[np.uint8]:
    """The colours of an image by their index, with alpha where the file has transparency."""
    clear = "transparency" in image.info
    if not clear:
        return np.reshape(np.array(image.getpalette("RGB"), np.uint8), (-1, 3))
    table = np.reshape(np.array(image.getpalette("RGB"), np.uint8), (-1, 3))
    alpha = np.full((len(table), 1), 255, np.uint8)
    given = image.info["transparency"]
    if isinstance(given, bytes):
        alpha[: len(given), 0] = list(given)[: len(table)]
    elif given < len(table):
        alpha[given] = 0
    return np.hstack([table, alpha])


# ---------------------------------------------------------------------- TIFF

_GREY, _WHITE_IS_ZERO = tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE
_REDUCED = 0b101
"""Bits of NewSubfileType: a smaller version of another page, a mask of transparency."""


def _decode_tiff(path: Path) -> DecodedImage:
    with path.open("rb") as file:
        pages = check_structure(file)
    flavours = {f"is_{name}": False for name in _UNUSED_FLAVOURS}
    with tifffile.TiffFile(path, _multifile=False, **flavours) as file:
        if file.is_ome and not _ome_fits(file, pages):
            file.is_ome = False
        ome = file.ome_metadata or "" if file.is_ome else ""
        imagej = dict(file.imagej_metadata or {}) if file.is_imagej else {}
        series = _the_series(path, file)
        page = series.keyframe
        colours = _tiff_colours(page)
        _check_blocks(page, series)
        pixels, axes = np.asarray(series.asarray()), str(series.axes)
        if pixels.ndim != len(axes) or pixels.size == 0:
            raise ValueError(f"its axes {axes} do not fit its shape {pixels.shape}")
        orientation = page.tags.valueof(274, 1)
        lengths = _pixel_length(page, 283), _pixel_length(page, 282)
        table = page.colormap
    if "Y" not in axes or "X" not in axes:
        raise UnsupportedImageError(f"it has the axes {axes}, and rows and columns are needed")
    pixels, axes, colours = _samples_last(pixels, axes, colours)
    palette = None
    if table is not None:
        palette = np.ascontiguousarray(np.asarray(table).T >> 8).astype(np.uint8)
    return DecodedImage(
        _upright(pixels, axes, orientation), axes, colours, int(page.bitspersample), "TIFF",
        palette, ome, imagej, lengths,
    )  # fmt: skip


def _pixel_length(page: Any, tag: int) -> float:
    """The length of a pixel from a tag of pixels per length, a fraction; 0 for none."""
    value = page.tags.valueof(tag)
    if not (isinstance(value, tuple) and len(value) == 2):
        return 0.0
    count, length = value
    return float(length / count) if count else 0.0


def _the_series(path: Path, file: tifffile.TiffFile) -> Any:
    """The one image or stack of a TIFF; smaller versions of it and masks do not count."""
    found = [
        one for one in file.series
        if math.prod(one.shape) and not int(one.keyframe.subfiletype) & _REDUCED
    ]  # fmt: skip
    if not found:
        found = [one for one in file.series if math.prod(one.shape)]
    if len(found) != 1:
        sizes = ", ".join(" x ".join(map(str, one.shape)) for one in found[:5])
        raise (
            _several(path, f"{len(found)} images ({sizes})")
            if found
            else StructureError("it has no image")
        )
    series = found[0]
    if any(page is None for page in series.pages):
        raise StructureError("it names planes that are not in it")
    held = sum(page.nbytes for page in series.pages)
    if series.nbytes > max(held, file.filehandle.size):
        raise StructureError(
            f"it claims {' x '.join(map(str, series.shape))} numbers, more than its pages hold"
        )
    return series


def _ome_fits(file: tifffile.TiffFile, pages: int) -> bool:
    """Whether OME-XML describes this file alone; it is then safe to go by it.

    Raises
    ------
    StructureError
        For sizes and numbers of planes that the file does not have.
    """
    try:
        # Expat, from 2.4.1 on, refuses entities that blow up.
        root = ET.fromstring(file.ome_metadata or "")  # noqa: S314
    except ET.ParseError as error:
        raise StructureError(f"its OME-XML is no XML ({error})") from error
    own = root.get("UUID")
    named = 0
    for one in root.iterfind(".//{*}UUID"):
        if one.text != own and one.get("FileName", "").lower() != file.filename.lower():
            return False
    samples = int(file.pages.first.samplesperpixel)
    for image in root.iterfind(".//{*}Pixels"):
        planes = math.prod(_ome_number(image, f"Size{axis}") for axis in "ZCT")
        if not 0 < planes <= pages * samples * max(1, int(file.pages.first.imagedepth)):
            raise StructureError(f"its OME-XML describes {planes} planes, and it has {pages} pages")
        for data in image.iterfind("{*}TiffData"):
            alone = 1 if "IFD" in data.attrib else pages
            count = _ome_number(data, "PlaneCount", _ome_number(data, "NumPlanes", alone))
            named += count
            last = _ome_number(data, "IFD", 0) + count
            if count < 0 or _ome_number(data, "IFD", 0) < 0 or last > pages:
                raise StructureError(f"its OME-XML names page {last}, and it has {pages}")
    if named > 2 * pages + 16:
        raise StructureError(f"its OME-XML names {named} planes, and it has {pages} pages")
    return not any("modulo" in one.get("Namespace", "").lower() for one in root.iter())


def _ome_number(element: ET.Element, name: str, default: int | None = None) -> int:
    text = element.get(name)
    if text is None and default is not None:
        return default
    if text is None or not re.fullmatch(r"-?\d{1,18}", text):
        raise StructureError(f"{name} in its OME-XML is {text!r:.40}")
    return int(text)


def _tiff_colours(page: Any) -> Colours:
    """What the numbers of a TIFF's page stand for.

    Raises
    ------
    UnsupportedImageError
        For colours that are not read.
    """
    kind, samples = page.photometric, int(page.samplesperpixel)
    extra = tuple(int(one) for one in page.extrasamples)
    alpha = bool(extra) and extra[0] in (1, 2)
    jpeg = page.compression == tifffile.COMPRESSION.JPEG
    if kind == _GREY:
        return "grey and alpha" if samples == 2 and alpha else "grey"
    if kind == _WHITE_IS_ZERO and samples == 1:
        return "white is zero"
    if kind == tifffile.PHOTOMETRIC.PALETTE and samples == 1 and page.colormap is not None:
        return "palette"
    if samples >= 3 and (kind == tifffile.PHOTOMETRIC.RGB or (
        kind == tifffile.PHOTOMETRIC.YCBCR and jpeg)):  # fmt: skip
        return "rgba" if samples == 4 and alpha else "rgb"
    ink_set = int(page.tags.valueof(332, 1))
    if kind == tifffile.PHOTOMETRIC.SEPARATED and samples == 4 and ink_set == 1:
        return "cmyk"
    called = getattr(kind, "name", kind)
    raise UnsupportedImageError(
        f"it stores {samples} samples a pixel as {called}, which is neither grey, palette, RGB "
        "nor CMYK"
    )


def _samples_last(
    pixels: NDArray[Any], axes: str, colours: Colours
) -> tuple[NDArray[Any], str, Colours]:
    """Samples of a colour behind rows and columns; samples that are no colour are channels."""
    if colours in ("grey", "white is zero", "palette"):
        if "S" in axes:
            place = axes.index("S")
            pixels, axes = np.moveaxis(pixels, place, axes.index("Y")), axes.replace("S", "")
            axes = axes.replace("Y", "CY" if "C" not in axes else "QY", 1)
        return pixels, axes, colours
    if "S" not in axes:  # programs that call the samples of a colour channels
        axes = axes.replace("C", "S", 1)
    pixels = np.moveaxis(pixels, axes.index("S"), -1)
    axes = axes.replace("S", "") + "S"
    if colours == "rgb":  # samples beyond the colours that say not what they are
        pixels = pixels[..., :3]
    return pixels, axes, colours


def _check_blocks(page: Any, series: Any) -> None:
    """Refuse compressed blocks that claim another size than the strip or tile that they fill.

    Raises
    ------
    StructureError
    """
    sizes_of = _BLOCK_SIZES.get(int(page.compression))
    if sizes_of is None:
        return
    tiled = page.is_tiled
    width = int(page.tilewidth if tiled else page.imagewidth)
    length = int(page.tilelength if tiled else min(page.rowsperstrip, page.imagelength))
    depth = int(page.tiledepth if tiled else 1)
    numbers = width * length * depth * int(page.samplesperpixel)
    most = numbers * (int(page.bitspersample) + 7) // 8
    for one in series.pages:
        handle = one.parent.filehandle
        for offset, count in zip(one.dataoffsets, one.databytecounts, strict=True):
            handle.seek(offset)
            if any(size > 2 * most + 2**16 for size in sizes_of(handle.read(count))):
                raise StructureError(f"a block of {length} x {width} pixels claims to be larger")


def _jpeg_sizes(data: bytes) -> Sequence[int]:
    """Pixels of every frame header in a JPEG stream."""
    found = re.finditer(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]...(....)", data, re.DOTALL)
    return [math.prod(struct.unpack(">HH", match[1])) for match in found]


def _zstd_sizes(data: bytes) -> Sequence[int]:
    """Bytes of content that the first frame of Zstandard claims, where it does (RFC 8878)."""
    if len(data) < 5 or data[:4] != b"\x28\xb5\x2f\xfd":
        return ()
    flag, single = data[4] >> 6, bool(data[4] & 0x20)
    start = 5 + (not single) + (0, 1, 2, 4)[data[4] & 3]
    width = (int(single), 2, 4, 8)[flag]
    return (int.from_bytes(data[start : start + width], "little"),)


_BLOCK_SIZES: Mapping[int, Callable[[bytes], Sequence[int]]] = MappingProxyType(
    {7: _jpeg_sizes, 50000: _zstd_sizes}
)
"""By compression tag, what reads the sizes that are claimed inside a block."""
