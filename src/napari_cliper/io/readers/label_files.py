"""Read labels from TIFF, PNG, OME-Zarr and COCO JSON, with their class names and colours.

Names are read from where `writers.tiff` and `writers.png` store them: the lines of ImageJ's "Info",
map annotations in OME-XML, "image-label" in OME-Zarr, or a text chunk of a PNG. Colours come from
there or from the palette.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from ...labels.axes import Position, axes_from_names, position_from_record
from ...labels.imported_labels import HIGHEST, Imported, as_labels
from ...labels.label_class import ClassRow, Colour
from ...labels.labelled_image import PIXEL
from ...labels.pieces import Pieces, labels_in
from ...segmentation import InvalidInputError
from ..class_list import row_from_record
from ..decoded_image import DecodedImage
from ..decoding_errors import explained
from ..files import FileError
from ..image_decoding import decode_image
from ..images import LAZY_PIXELS
from ..ome_zarr_images import is_zarr, open_ome_zarr
from ..tiff_axes import with_axes_of_tiff
from ..writers.ome_zarr import LABELS
from ..writers.png import CLASSES_KEY, IGNORE, IGNORE_COLOUR
from ..writers.tiff import CLASSES_NAMESPACE, COLOURS_NAMESPACE
from .coco import read_coco

_LINE = re.compile(r"(\d{1,5}) = (.+)")
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def read_label_tiff(path: str | Path) -> Imported:
    """Read labels from a TIFF, an ImageJ TIFF or an OME-TIFF.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Imported
        With axes and pixel sizes (`tiff_axes.with_axes_of_tiff`).

    Raises
    ------
    FileError
        For a file that is missing or damaged.
    InvalidInputError
        For another format, colours, fractions, and integers outside 0 to 65535.
    """
    path = Path(path)
    decoded = _decoded(path, ("TIFF",))
    named = _ome_classes(decoded.ome) if decoded.ome else _info_classes(decoded.imagej)
    found = with_axes_of_tiff(decoded)
    labels = as_labels(found.array, str(path))
    imported = _imported(path, labels, named, _palette_of(decoded.palette))
    return replace(imported, axes=found.axes, pixel_size=found.pixel_size, units=found.units)


def read_label_png(path: str | Path) -> Imported:
    """Read labels from a PNG: palette indices if it has a palette, else grey values.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Imported
        `Imported.ignored` marks the pixels with the ignored value of our own files, and those
        with index 255 if its colour is that of the borders in PASCAL VOC.

    Raises
    ------
    FileError
        For a file that is missing, damaged or not an image.
    InvalidInputError
        For another format, and for colours without a palette.
    """
    path = Path(path)
    decoded = _decoded(path, ("PNG",))
    array, palette = decoded.pixels, _palette_of(decoded.palette)
    chunk = decoded.texts.get(CLASSES_KEY)
    rows, ignore, position = ({}, None, ()) if chunk is None else _chunk_classes(path, chunk)
    if chunk is None and palette.get(IGNORE) == IGNORE_COLOUR:
        ignore = IGNORE
    ignored = np.zeros(array.shape, dtype=bool) if ignore is None else array == ignore
    labels = as_labels(np.where(ignored, array.dtype.type(0), array), str(path))
    imported = _imported(path, labels, rows, palette, ignored if ignored.any() else None)
    return replace(imported, position=position)


def read_label_zarr(path: str | Path) -> Imported:
    """Read labels from OME-Zarr: those of `segment`, or ``labels/classes`` of an exported image.

    Parameters
    ----------
    path : path-like
        The folder.

    Returns
    -------
    Imported
        Those of a plane of more than `LAZY_PIXELS` pixels are read piece by piece.

    Raises
    ------
    FileError
        For a folder that is missing, damaged or without labels.
    InvalidInputError
        For fractions, and integers outside 0 to 65535.
    """
    path = Path(path)
    inside = path / "labels" / LABELS
    found = open_ome_zarr(inside if is_zarr(inside) else path, maybe_empty=True)
    described = found.described.get("image-label")
    if not isinstance(described, Mapping):
        raise FileError(
            f"{path} is an image without labels/{LABELS}. Give an OME-Zarr folder of labels."
        )
    with explained(path):
        names = {one["label-value"]: str(one["class"]) for one in described.get("properties", ())}
        colours: dict[int, Colour] = {
            one["label-value"]: tuple(one["rgba"][:3]) for one in described.get("colors", ())
        }
    labels: Any
    if found.ndim == 2 and found.size > LAZY_PIXELS:
        wide = np.uint8 if found.dtype in (np.uint8, np.bool_) else np.uint16
        labels = Pieces(lambda *place: as_labels(found[place], str(path)), found.shape, wide)
    else:
        labels = as_labels(found[...], str(path))
    known = [found.pixel_sizes.get(letter, (1.0, PIXEL)) for letter in found.axes]
    return replace(
        _imported(path, labels, _rows(names, {}), colours),
        axes=axes_from_names(found.axes, found.ndim),
        pixel_size=tuple(size for size, _ in known),
        units=tuple(unit for _, unit in known),
    )


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
    """Read labels from an OME-Zarr folder, or from a file with one of `SUFFIXES`.

    Raises
    ------
    FileError
        For another suffix, and as in the readers.
    InvalidInputError
        As in the readers.
    """
    path = Path(path)
    if is_zarr(path):
        return read_label_zarr(path)
    try:
        read = _READERS[path.suffix.lower()]
    except KeyError:
        raise FileError(
            f"Cannot read {path}: labels can be imported from {', '.join(SUFFIXES)} files and "
            "OME-Zarr folders. Convert the file to one of these formats."
        ) from None
    return read(path)


def _decoded(path: Path, formats: Collection[str]) -> DecodedImage:
    """Decode a label image.

    Raises
    ------
    FileError
        As in `decode_image`.
    InvalidInputError
        For another format, and for values that are colours.
    """
    decoded = decode_image(path)
    if decoded.format not in formats:
        raise InvalidInputError(
            f"{path} has the format {decoded.format}, which does not match its name. Save labels "
            "as PNG or TIFF, because lossy formats change labels at edges."
        )
    check_numbers(decoded, path)
    return decoded


def check_numbers(decoded: DecodedImage, path: Path) -> None:
    """Refuse an image whose values are colours and therefore cannot be labels.

    Raises
    ------
    InvalidInputError
    """
    if decoded.colours == "white is zero":
        raise InvalidInputError(
            f"{path} stores 0 as white, so that it is not clear which value is the background. "
            "Save the labels with 0 as black (in ImageJ: Image > Lookup Tables > Grays)."
        )
    if decoded.colours not in ("grey", "palette"):
        raise InvalidInputError(
            f"{path} has colours but does not say which label each colour is. Export the labels as "
            "numbers: an indexed or grey PNG, or a TIFF of integers."
        )


def _imported(
    path: Path,
    labels: NDArray[Any],
    rows: Mapping[int, ClassRow],
    palette: Mapping[int, Colour],
    ignored: NDArray[np.bool_] | None = None,
) -> Imported:
    """Labels with class names and colours; a class without a colour gets that of the palette."""
    classes = {
        label: ClassRow(
            row.name, row.synonyms, row.background, row.colour or palette.get(label), row.visible,
            row.prompt,
        )
        for label, row in sorted(rows.items())
    }  # fmt: skip
    colours = dict(palette)
    colours |= {label: row.colour for label, row in classes.items() if row.colour is not None}
    present = [label for label in labels_in(labels) if label]
    return Imported(
        source=str(path),
        labels=labels,
        classes=MappingProxyType(classes),
        colours=MappingProxyType({one: colours[one] for one in present if one in colours}),
        ignored=ignored,
    )


def _palette_of(table: NDArray[np.uint8] | None) -> dict[int, Colour]:
    if table is None:
        return {}
    return {
        index: (red, green, blue) for index, (red, green, blue) in enumerate(table[:, :3].tolist())
    }


def _info_classes(imagej: Mapping[str, Any]) -> dict[int, ClassRow]:
    """Classes from ImageJ's "Info", if each of its lines is a label and a name."""
    lines = [line for line in str(imagej.get("Info") or "").split("\n") if line.strip()]
    found = [_LINE.fullmatch(line) for line in lines]
    names = {int(match[1]): match[2] for match in found if match}
    return _rows(names, {}) if len(names) == len(lines) else {}


def _ome_classes(text: str) -> dict[int, ClassRow]:
    """Classes from the map annotations in our own namespaces."""
    # Expat 2.4.1 and later refuse entity expansion attacks.
    root = ET.fromstring(text)  # noqa: S314
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


def _chunk_classes(path: Path, text: str) -> tuple[dict[int, ClassRow], int | None, Position]:
    """Classes, value of ignored pixels and position of the plane, from our own text chunk."""
    try:
        record = json.loads(text)
        rows = {}
        for entry in record["classes"]:
            label = int(entry.pop("label"))
            if not 0 < label <= HIGHEST:
                raise InvalidInputError(f"{label} is not a label")
            rows[label] = row_from_record(entry)
        ignore = record["ignore"]
        position = position_from_record(record.get("position", ()))
        return rows, None if ignore is None else int(ignore), position
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileError(
            f"The list of classes in {path} cannot be read: {error}. To import the labels without "
            "names, save the image without its text chunks."
        ) from error
