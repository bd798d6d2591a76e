"""Decode TIFF files: select the image, validate the metadata, read the pixels."""

from __future__ import annotations

import logging
import math
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

from ..segmentation import LazyArray
from .decoded_image import Colours, DecodedImage, several_images, upright
from .decoding_errors import check_memory, explained
from .tiff_structure import StructureError, UnsupportedImageError, check_structure

# What tifffile logs about damage, errors say; programs that configure logging still get it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# TIFF variants whose metadata are ignored: such files are read page by page. OME-XML is also
# ignored if it does not fit the file (see `_ome_fits`).
_IGNORED_VARIANTS = (
    "mmstack", "ndtiff", "fluoview", "sis", "svs", "scn", "qpi", "ndpi", "bif", "avs", "eer",
    "philips", "scanimage", "nih", "mdgel", "indica",
)  # fmt: skip

_GREY, _WHITE_IS_ZERO = tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE
_REDUCED = 0b101
"""Bits of NewSubfileType for a smaller version of another page and for a transparency mask."""


def decode_tiff(path: Path) -> DecodedImage:
    """Read the only image or stack of a TIFF.

    Raises
    ------
    StructureError
        For sizes larger than the file.
    UnsupportedImageError
        For unsupported colours.
    FileError
        For several images.

    Notes
    -----
    Exceptions of tifffile and its decoders for damaged files are passed on; it also raises
    MemoryError for an image that does not fit into the free memory.
    """
    with _opened(path) as file:
        ome = file.ome_metadata or "" if file.is_ome else ""
        imagej = dict(file.imagej_metadata or {}) if file.is_imagej else {}
        series = _only_series(path, file)
        page = series.keyframe
        colours = _tiff_colours(page)
        _check_blocks(page, series)
        check_memory(series.nbytes)
        pixels, axes = np.asarray(series.asarray()), str(series.axes)
        if pixels.ndim != len(axes) or pixels.size == 0:
            raise ValueError(f"its axes {axes} do not fit its shape {pixels.shape}")
        orientation = page.tags.valueof(274, 1)
        lengths = _pixel_length(page, 283), _pixel_length(page, 282)
        table = page.colormap
    if "Y" not in axes or "X" not in axes:
        raise UnsupportedImageError(f"it has the axes {axes}, without rows (Y) or columns (X)")
    pixels, axes, colours = _samples_last(pixels, axes, colours)
    palette = None
    if table is not None:
        palette = np.ascontiguousarray(np.asarray(table).T >> 8).astype(np.uint8)
    return DecodedImage(
        upright(pixels, axes, orientation), axes, colours, int(page.bitspersample), "TIFF",
        palette, ome, imagej, lengths,
    )  # fmt: skip


@dataclass(frozen=True)
class TiffMetadata:
    """What a TIFF says about its axes and pixel sizes; the fields are those of `DecodedImage`."""

    ome: str
    imagej: Mapping[str, Any]
    pixel_lengths: tuple[float, float]


def read_tiff_metadata(path: Path) -> TiffMetadata:
    """Read the metadata of a TIFF, without its pixels; errors are those of `decode_tiff`."""
    with _opened(path) as file:
        page = _only_series(path, file).keyframe
        return TiffMetadata(
            file.ome_metadata or "" if file.is_ome else "",
            dict(file.imagej_metadata or {}) if file.is_imagej else {},
            (_pixel_length(page, 283), _pixel_length(page, 282)),
        )


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """A TIFF whose structure is sound; metadata that do not fit it are ignored."""
    with path.open("rb") as raw:
        pages = check_structure(raw)
    ignored = {f"is_{name}": False for name in _IGNORED_VARIANTS}
    with tifffile.TiffFile(path, _multifile=False, **ignored) as file:
        if file.is_ome and not _ome_fits(file, pages):
            file.is_ome = False
        yield file


@dataclass(frozen=True, eq=False)
class LazyTiff(LazyArray):
    """The pixels of a TIFF; a part is read when it is indexed.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        (..., Y, X), or (..., Y, X, 3 or 4) for colours. Axes of length 1 may differ from the file.
    dtype : numpy.dtype
    axes : str
        A letter for each axis, as in `DecodedImage`.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: str = "YX"

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read a part of the image; the index has integers and slices.

        Raises
        ------
        FileError
            For damaged pixels, and a file that has been removed or changed.
        """
        parts = self._parts(index)
        sides = [
            len(range(*part.indices(side)))
            for part, side in zip(parts, self.shape, strict=True)
            if isinstance(part, slice)
        ]
        long = iter(part for part, side in zip(parts, self.shape, strict=True) if side > 1)
        with explained(self.path), tifffile.TiffFile(self.path, _multifile=False) as file:
            array = zarr.open_array(_only_series(self.path, file).aszarr(level=0), mode="r")
            stored = tuple(0 if side == 1 else next(long) for side in array.shape)
            return np.asarray(array[stored]).reshape(sides)


def open_tiff(path: Path) -> LazyTiff | None:
    """Open a TIFF without reading its pixels.

    Returns
    -------
    LazyTiff or None
        None for a single plane that is not in tiles, and for pixels that are not displayed as they
        are stored: palettes, other colours than RGB, and orientations.
    """
    with _opened(path) as file:
        series = _only_series(path, file)
        page = series.keyframe
        colours = _tiff_colours(page)
        _check_blocks(page, series)
        last = {"grey": "YX", "rgb": "YXS", "rgba": "YXS"}.get(colours)
        axes = str(series.axes)
        plain = int(page.tags.valueof(274, 1)) == 1 and int(page.bitspersample) >= 8
        if last is None or not plain or not axes.endswith(last) or axes.count("S") != len(last) - 2:
            return None
        if axes == last and not page.is_tiled:
            return None
        if colours == "rgb" and series.shape[-1] != 3:
            return None
        return LazyTiff(path, tuple(series.shape), np.dtype(series.dtype), axes)


def _pixel_length(page: Any, tag: int) -> float:
    """The length of a pixel from a resolution tag (a fraction, pixels per unit); 0 if missing."""
    value = page.tags.valueof(tag)
    if not (isinstance(value, tuple) and len(value) == 2):
        return 0.0
    count, length = value
    return float(length / count) if count else 0.0


def _only_series(path: Path, file: tifffile.TiffFile) -> Any:
    """The only image or stack of a TIFF, not counting masks and smaller versions of it."""
    found = [
        one for one in file.series
        if math.prod(one.shape) and not int(one.keyframe.subfiletype) & _REDUCED
    ]  # fmt: skip
    if not found:
        found = [one for one in file.series if math.prod(one.shape)]
    if len(found) != 1:
        sizes = ", ".join(" x ".join(map(str, one.shape)) for one in found[:5])
        raise (
            several_images(path, f"{len(found)} images ({sizes})")
            if found
            else StructureError("it has no image")
        )
    series = found[0]
    if any(page is None for page in series.pages):
        raise StructureError("its metadata name planes that are not in the file")
    in_pages = sum(page.nbytes for page in series.pages)
    if series.nbytes > max(in_pages, file.filehandle.size):
        shape = " x ".join(map(str, series.shape))
        raise StructureError(f"its metadata give the shape {shape}, more than its pages hold")
    return series


def _ome_fits(file: tifffile.TiffFile, pages: int) -> bool:
    """Whether the OME-XML describes this file alone, so that it can be used.

    Raises
    ------
    StructureError
        For sizes and numbers of planes that the file does not have.
    """
    try:
        # Expat 2.4.1 and later refuse entity expansion attacks.
        root = ET.fromstring(file.ome_metadata or "")  # noqa: S314
    except ET.ParseError as error:
        raise StructureError(f"its OME-XML is not valid XML ({error})") from error
    own = root.get("UUID")
    named = 0
    for one in root.iterfind(".//{*}UUID"):
        if one.text != own and one.get("FileName", "").lower() != file.filename.lower():
            return False
    samples = int(file.pages.first.samplesperpixel)
    for image in root.iterfind(".//{*}Pixels"):
        planes = math.prod(_ome_number(image, f"Size{axis}") for axis in "ZCT")
        if not 0 < planes <= pages * samples * max(1, int(file.pages.first.imagedepth)):
            raise StructureError(f"its OME-XML describes {planes} planes, but it has {pages} pages")
        for data in image.iterfind("{*}TiffData"):
            alone = 1 if "IFD" in data.attrib else pages
            count = _ome_number(data, "PlaneCount", _ome_number(data, "NumPlanes", alone))
            named += count
            last = _ome_number(data, "IFD", 0) + count
            if count < 0 or _ome_number(data, "IFD", 0) < 0 or last > pages:
                raise StructureError(f"its OME-XML names page {last}, but it has {pages} pages")
    if named > 2 * pages + 16:
        raise StructureError(f"its OME-XML names {named} planes, but it has {pages} pages")
    return not any("modulo" in one.get("Namespace", "").lower() for one in root.iter())


def _ome_number(element: ET.Element, name: str, default: int | None = None) -> int:
    text = element.get(name)
    if text is None and default is not None:
        return default
    if text is None or not re.fullmatch(r"-?\d{1,18}", text):
        raise StructureError(f"{name} in its OME-XML is {text!r:.40}")
    return int(text)


def _tiff_colours(page: Any) -> Colours:
    """What the values of a TIFF page mean.

    Raises
    ------
    UnsupportedImageError
        For unsupported colours.
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
    name = getattr(kind, "name", kind)
    raise UnsupportedImageError(
        f"its pixels have {samples} samples of type {name}, not grey, palette, RGB or CMYK"
    )


def _samples_last(
    pixels: NDArray[Any], axes: str, colours: Colours
) -> tuple[NDArray[Any], str, Colours]:
    """Move colour samples to the last axis; samples that are not a colour become channels.

    Samples that the metadata name otherwise are no colour: tifffile writes three planes as RGB.
    """
    if "S" not in axes and "C" not in axes and colours not in ("white is zero", "palette"):
        return pixels, axes, "grey"
    if colours in ("grey", "white is zero", "palette"):
        if "S" in axes:
            place = axes.index("S")
            pixels, axes = np.moveaxis(pixels, place, axes.index("Y")), axes.replace("S", "")
            axes = axes.replace("Y", "CY" if "C" not in axes else "QY", 1)
        return pixels, axes, colours
    if "S" not in axes:  # some programs store colour samples as channels
        axes = axes.replace("C", "S", 1)
    pixels = np.moveaxis(pixels, axes.index("S"), -1)
    axes = axes.replace("S", "") + "S"
    if colours == "rgb":  # drop extra samples of unknown meaning
        pixels = pixels[..., :3]
    return pixels, axes, colours


def _check_blocks(page: Any, series: Any) -> None:
    """Refuse compressed blocks that would decode to far more than their strip or tile.

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
                raise StructureError(
                    f"a compressed block of {length} x {width} pixels decodes to more than that"
                )


def _jpeg_sizes(data: bytes) -> Sequence[int]:
    """Number of pixels according to each frame header of a JPEG stream."""
    found = re.finditer(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]...(....)", data, re.DOTALL)
    return [math.prod(struct.unpack(">HH", match[1])) for match in found]


def _zstd_sizes(data: bytes) -> Sequence[int]:
    """Decoded bytes according to the header of the first Zstandard frame, if given (RFC 8878)."""
    if len(data) < 5 or data[:4] != b"\x28\xb5\x2f\xfd":
        return ()
    flag, single = data[4] >> 6, bool(data[4] & 0x20)
    start = 5 + (not single) + (0, 1, 2, 4)[data[4] & 3]
    width = (int(single), 2, 4, 8)[flag]
    return (int.from_bytes(data[start : start + width], "little"),)


_BLOCK_SIZES: Mapping[int, Callable[[bytes], Sequence[int]]] = MappingProxyType(
    {7: _jpeg_sizes, 50000: _zstd_sizes}
)
"""By compression tag, a function that reads the decoded sizes from the headers of a block."""
