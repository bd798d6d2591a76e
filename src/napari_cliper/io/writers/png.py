"""Labels as PNG: with the classes' colours, as PASCAL VOC keeps its masks, and as plain greys.

VOC's devkit (2012) has indexed images with 0 for background and 255, in a cream white, for
pixels that count for nothing. Both kinds also hold the classes in a text chunk of JSON.
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
from ...segmentation import InvalidInputError
from ..class_list import to_record

IGNORE = 255
IGNORE_COLOUR = (224, 224, 192)
CLASSES_KEY = "napari-cliper classes"
"""The keyword of the text chunk."""


def write_indexed_png(path: Path, image: LabelledImage) -> None:
    """Write labels as an indexed PNG with the colours of the classes as palette.

    Parameters
    ----------
    path : Path
    image : LabelledImage
        The index of a pixel is its label, 255 where it is among the ignored ones. Labels
        without a class are white.

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
            f"{image.name} has the label {highest}; an indexed PNG numbers 254 classes, and 255 "
            "is for ignored pixels. Export it as plain PNG or as TIFF."
        )
    colours = palette(image, 256)
    colours[IGNORE] = IGNORE_COLOUR
    indexed = Image.fromarray(_with_ignored(labels.astype(np.uint8), image.ignored, IGNORE))
    indexed.putpalette(colours.tobytes())  # of all 256, so that eight bits a pixel are written
    indexed.save(path, format="PNG", pnginfo=_classes_chunk(image, IGNORE), optimize=False)


def write_plain_png(path: Path, image: LabelledImage) -> None:
    """Write labels as the grey values of a PNG of 8 or 16 bits.

    Parameters
    ----------
    path : Path
    image : LabelledImage
        Ignored pixels are 255 in 8 bits and 65535 in 16. Labels of 8 bits are written with 16
        where there are ignored pixels and 255 is a label.

    Raises
    ------
    InvalidInputError
        For a stack, and for ignored pixels where 65535 is a label.
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
                f"{image.name} has a label {ignore}, the number that ignored pixels have in a "
                "PNG. Give that class another number, or export it without the ignored pixels."
            )
        labels = _with_ignored(labels, image.ignored, ignore)
    Image.fromarray(labels).save(path, format="PNG", pnginfo=_classes_chunk(image, ignore))


def _with_ignored(labels: LabelArray, ignored: NDArray[np.bool_] | None, value: int) -> LabelArray:
    return labels if ignored is None else np.where(ignored, labels.dtype.type(value), labels)


def _classes_chunk(image: LabelledImage, ignore: int | None) -> PngInfo:
    """The classes with their numbers, as records of `classes.from_record`, in ASCII JSON."""
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
