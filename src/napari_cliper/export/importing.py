"""Labels from files: TIFF, PNG and COCO JSON, with the names and colours that they carry.

The names are looked for where `tiff` and `png` put them: in the lines of ImageJ's "Info", in
OME-XML's map annotations, in a PNG's text chunk. Colours come from there, or from the palette.
What the labels are called here is settled by `matching`.
"""

from __future__ import annotations

import json
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..segmentation import InvalidInputError, SegmentationError
from .class_rows import ClassRow, Colour
from .classes import from_record
from .coco_reading import coco_images, open_coco, read_coco
from .files import FileError, cannot
from .imported import HIGHEST, Imported, as_labels, check_size
from .matching import Matching, apply, match_classes
from .png import CLASSES_KEY, IGNORE, IGNORE_COLOUR
from .tiff import CLASSES_NAMESPACE, COLOURS_NAMESPACE

__all__ = [
    "SUFFIXES",
    "Imported",
    "Matching",
    "apply",
    "check_size",
    "coco_images",
    "match_classes",
    "open_coco",
    "read_coco",
    "read_label_png",
    "read_label_tiff",
    "read_labels",
]

_LINE = re.compile(r"(\d{1,5}) = (.+)")
_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_NUMBER_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")
"""Modes of Pillow whose values are numbers rather than colours."""

_GREY_STEPS: Mapping[int, int] = MappingProxyType({2: 85, 4: 17})
"""What Pillow multiplies greys of so many bits by, to fill the range up to 255."""

_DEPTH_BYTE = 24
"""Where a PNG says how many bits a sample has."""


def read_label_tiff(path: str | Path) -> Imported:
    """Labels from a TIFF, an ImageJ TIFF or an OME-TIFF.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Imported
        Axes of length 1 in front of rows and columns are dropped; a stack stays a stack.

    Raises
    ------
    FileError
        For a file that is missing, damaged or no TIFF.
    InvalidInputError
        For colours, fractions, and numbers that are no labels.
    """
    path = Path(path)
    with _reading(path), tifffile.TiffFile(path) as file:
        series = file.series[0]
        page = file.pages.first
        if page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR) or (
            "S" in series.axes and series.shape[series.axes.index("S")] > 1
        ):
            raise _colours_error(path)
        array = np.asarray(series.asarray())
        axes, table = series.axes, page.colormap
        named = _ome_classes(file.ome_metadata) if file.is_ome else _info_classes(file)
    kept = [size for axis, size in zip(axes, array.shape, strict=True) if size > 1 or axis in "YX"]
    labels = as_labels(array.reshape(kept), str(path))
    palette = {} if table is None else _palette_of(np.asarray(table).T >> 8)
    return _imported(path, labels, named, palette)


def read_label_png(path: str | Path) -> Imported:
    """Labels from a PNG: its indices where it has a palette, else its greys.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Imported
        Pixels of the number that the file says is ignored are `Imported.ignored`; so are those
        of 255 where its colour is the one of PASCAL VOC's borders.

    Raises
    ------
    FileError
        For a file that is missing, damaged or no picture.
    InvalidInputError
        For colours without a palette, and another format than PNG.
    """
    path = Path(path)
    with _reading(path), warnings.catch_warnings():
        # Large pictures are what microscopes make; those over Pillow's limit are refused.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as picture:
            if picture.format != "PNG":
                raise InvalidInputError(
                    f"{path} is in the format {picture.format}, whatever its name. Give labels as "
                    "PNG or TIFF: formats that lose detail change labels at every edge."
                )
            if picture.mode not in _NUMBER_MODES:
                raise _colours_error(path)
            array = np.array(picture)
            table = picture.getpalette("RGB") if picture.mode == "P" else None
            chunk, grey = picture.info.get(CLASSES_KEY), picture.mode == "L"
        if grey:
            with path.open("rb") as file:
                file.seek(_DEPTH_BYTE)
                array = array // _GREY_STEPS.get(file.read(1)[0], 1)
    palette = {} if table is None else _palette_of(np.reshape(table, (-1, 3)))
    rows, ignore = ({}, None) if chunk is None else _chunk_classes(path, chunk)
    if chunk is None and palette.get(IGNORE) == IGNORE_COLOUR:
        ignore = IGNORE
    ignored = np.zeros(array.shape, dtype=bool) if ignore is None else array == ignore
    labels = as_labels(np.where(ignored, array.dtype.type(0), array), str(path))
    return _imported(path, labels, rows, palette, ignored if ignored.any() else None)


_READERS: Mapping[str, Callable[[Path], Imported]] = MappingProxyType(
    {
        ".tif": read_label_tiff,
        ".tiff": read_label_tiff,
        ".png": read_label_png,
        ".json": read_coco,
    }
)

SUFFIXES = tuple(_READERS)


def read_labels(path: str | Path) -> Imported:
    """Labels from a file of any of these formats, told by its suffix (`SUFFIXES`).

    Raises
    ------
    FileError
        For another suffix, and as the readers.
    InvalidInputError
        As the readers.
    """
    path = Path(path)
    try:
        read = _READERS[path.suffix.lower()]
    except KeyError:
        raise FileError(
            f"Cannot read {path}: labels are imported from {', '.join(SUFFIXES)} files."
        ) from None
    return read(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Errors of decoders in words."""
    try:
        yield
    except SegmentationError:
        raise
    except FileNotFoundError:
        raise FileError(f"Cannot read {path}: there is no such file.") from None
    except (UnidentifiedImageError, tifffile.TiffFileError, Image.DecompressionBombError) as error:
        raise FileError(f"Cannot read {path} as labels: {error}.") from error
    except OSError as error:
        if error.errno is not None:
            raise cannot("read", path, error) from error
        raise _damaged(path, error) from error
    except (
        ValueError, SyntaxError, IndexError, KeyError, TypeError, struct.error, zlib.error,
    ) as error:  # fmt: skip
        raise _damaged(path, error) from error


def _damaged(path: Path, error: object) -> FileError:
    return FileError(f"{path} is damaged: {error}. Save it again from its source.")


def _colours_error(path: Path) -> InvalidInputError:
    return InvalidInputError(
        f"{path} holds colours, and which colour is which label is not written in it. Export "
        "the labels as numbers: an indexed or grey PNG, or a TIFF of integers."
    )


def _imported(
    path: Path,
    labels: NDArray[Any],
    rows: Mapping[int, ClassRow],
    palette: Mapping[int, Colour],
    ignored: NDArray[np.bool_] | None = None,
) -> Imported:
    """Names and colours put together, those of the palette where a class has none."""
    classes = {
        label: ClassRow(
            row.name, row.synonyms, row.background, row.colour or palette.get(label), row.visible,
            row.prompt,
        )
        for label, row in sorted(rows.items())
    }  # fmt: skip
    colours = dict(palette)
    colours |= {label: row.colour for label, row in classes.items() if row.colour is not None}
    present = [int(label) for label in np.unique(labels) if label]
    return Imported(
        source=str(path),
        labels=labels,
        classes=MappingProxyType(classes),
        colours=MappingProxyType({one: colours[one] for one in present if one in colours}),
        ignored=ignored,
    )


def _palette_of(table: NDArray[Any]) -> dict[int, Colour]:
    return {index: (red, green, blue) for index, (red, green, blue) in enumerate(table.tolist())}


def _info_classes(file: tifffile.TiffFile) -> dict[int, ClassRow]:
    """Classes from ImageJ's "Info", where every line of it is a label and its name."""
    info = (file.imagej_metadata or {}).get("Info")
    lines = [line for line in str(info or "").split("\n") if line.strip()]
    found = [_LINE.fullmatch(line) for line in lines]
    names = {int(match[1]): match[2] for match in found if match}
    return _rows(names, {}) if len(names) == len(lines) else {}


def _ome_classes(text: str | None) -> dict[int, ClassRow]:
    """Classes from the map annotations of our own namespaces."""
    # Expat, from 2.4.1 on, refuses entities that blow up.
    root = ET.fromstring(text or "<OME/>")  # noqa: S314
    maps: dict[str, dict[int, str]] = {CLASSES_NAMESPACE: {}, COLOURS_NAMESPACE: {}}
    for annotation in root.iterfind(".//{*}MapAnnotation"):
        own = maps.get(annotation.get("Namespace", ""))
        for entry in annotation.iterfind("{*}Value/{*}M"):
            key = entry.get("K", "")
            if own is not None and key.isdecimal():
                own[int(key)] = entry.text or ""
    return _rows(maps[CLASSES_NAMESPACE], maps[COLOURS_NAMESPACE])


def _rows(names: Mapping[int, str], colours: Mapping[int, str]) -> dict[int, ClassRow]:
    rows = {}
    for label, name in names.items():
        if 0 < label <= HIGHEST and name.strip():
            text = colours.get(label, "")
            rows[label] = ClassRow(name, colour=_hex(text) if _HEX.fullmatch(text) else None)
    return rows


def _hex(text: str) -> Colour:
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def _chunk_classes(path: Path, text: str) -> tuple[dict[int, ClassRow], int | None]:
    """The classes of our own text chunk, and the number of ignored pixels."""
    try:
        record = json.loads(text)
        rows = {}
        for entry in record["classes"]:
            label = int(entry.pop("label"))
            if not 0 < label <= HIGHEST:
                raise InvalidInputError(f"{label} is no label")
            rows[label] = from_record(entry)
        ignore = record["ignore"]
        return rows, None if ignore is None else int(ignore)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileError(
            f"The list of classes in {path} cannot be read: {error}. Save the picture without its "
            "text chunks, and the labels come without names."
        ) from error
