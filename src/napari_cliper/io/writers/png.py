"""Write labels as PNG: indexed with class colours, like PASCAL VOC, or as plain grey values.

As in VOC's devkit (2012), indexed images have 0 for the background and 255, in cream white, for
ignored pixels. Both kinds also store the classes as JSON in a text chunk. Objects are a 16-bit PNG
of their numbers.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ...labels.axes import position_to_record
from ...labels.label_class import ClassRow
from ...labels.label_names import check_plane, label_name, palette
from ...labels.labelled_image import LabelArray, LabelledImage
from ...labels.regions import numbers_of
from ...segmentation import InvalidInputError
from ..class_list import to_record
from .object_table import smallest_dtype, write_object_table

IGNORE = 255
IGNORE_COLOUR = (224, 224, 192)
CLASSES_KEY = "napari-cliper classes"
"""Keyword of the text chunk."""


def write_indexed_png(path: Path, image: LabelledImage) -> None:
    """Write labels as an indexed PNG with the colours of the classes as palette.

    Parameters
    ----------
    path : Path
    image : LabelledImage
        The index of a pixel is its label, or 255 if it is ignored. Labels without a class are
        white.

    Raises
    ------
    InvalidInputError
        For labels over 254, and for a stack.
    """
    check_plane(image, "An indexed PNG")
    labels = image.labels
    highest = max(int(labels.max(initial=0)), max(image.classes, default=0))
    if highest >= IGNORE:
        raise InvalidInputError(
            f"{image.name} has the label {highest}, but an indexed PNG can store labels up to 254 "
            "(255 means ignored). Export it as plain PNG or as TIFF."
        )
    colours = palette(image, 256)
    colours[IGNORE] = IGNORE_COLOUR
    indexed = Image.fromarray(_with_ignored(labels.astype(np.uint8), image.ignored, IGNORE))
    indexed.putpalette(colours.tobytes())  # all 256 colours, so that Pillow writes 8 bits per pixel
    indexed.save(path, format="PNG", pnginfo=_classes_chunk(image, IGNORE), optimize=False)


def write_plain_png(path: Path, image: LabelledImage) -> None:
    """Write labels as the grey values of an 8-bit or 16-bit PNG.

    Parameters
    ----------
    path : Path
    image : LabelledImage
        Ignored pixels are 255 in 8 bits and 65535 in 16 bits. uint8 labels are written in 16 bits
        if there are ignored pixels and 255 is a label.

    Raises
    ------
    InvalidInputError
        For a stack, and for ignored pixels if 65535 is a label.
    """
    check_plane(image, "A PNG")
    labels = image.labels
    if image.ignored is None or not image.ignored.any():
        ignore = None
    else:
        used = {int(labels.max(initial=0, where=~image.ignored)), *image.classes}
        ignore = int(np.iinfo(labels.dtype).max)
        if ignore in used and labels.dtype == np.uint8:
            labels, ignore = labels.astype(np.uint16), int(np.iinfo(np.uint16).max)
        if ignore in used:
            raise InvalidInputError(
                f"{image.name} has the label {ignore}, which means ignored pixels in a PNG. Give "
                "that class another label, or export the image without ignored pixels."
            )
        labels = _with_ignored(labels, image.ignored, ignore)
    Image.fromarray(labels).save(path, format="PNG", pnginfo=_classes_chunk(image, ignore))


def write_object_png(path: Path, image: LabelledImage) -> None:
    """Write the numbers of objects as a 16-bit PNG, and a table of the objects beside it.

    Parameters
    ----------
    path : Path
        ``NAME.csv`` beside it is the table (`object_table.write_object_table`).
    image : LabelledImage
        Without `LabelledImage.instances`, connected regions are the objects.

    Raises
    ------
    InvalidInputError
        For a stack, and for numbers above 65535.
    """
    check_plane(image, "A PNG")
    numbers = numbers_of(image)
    grey = smallest_dtype(numbers)
    if grey.dtype != np.uint16:
        raise InvalidInputError(
            f"{image.name} has an object {int(numbers.max())}, but a PNG holds numbers up to "
            "65535. Export it as TIFF or OME-Zarr."
        )
    Image.fromarray(grey).save(path, format="PNG")
    write_object_table(path.with_suffix(".csv"), image, numbers)


def _with_ignored(labels: LabelArray, ignored: NDArray[np.bool_] | None, value: int) -> LabelArray:
    return labels if ignored is None else np.where(ignored, labels.dtype.type(value), labels)


def _classes_chunk(image: LabelledImage, ignore: int | None) -> PngInfo:
    """The classes with their labels as ASCII JSON; see `class_list.row_from_record`."""
    colours = image.colours
    record = {
        "ignore": ignore,
        **({"position": position_to_record(image.position)} if image.position else {}),
        "classes": [
            {"label": label, **to_record(_coloured(image, label, row, colours[label]))}
            for label, row in image.classes.items()
        ],
    }
    chunk = PngInfo()
    chunk.add_itxt(CLASSES_KEY, json.dumps(record), zip=True)
    return chunk


def _coloured(
    image: LabelledImage, label: int, row: ClassRow, colour: tuple[int, int, int]
) -> ClassRow:
    return ClassRow(
        label_name(image, label), row.synonyms, row.background, colour, row.visible, row.prompt
    )
