"""What a label is called and what it looks like, the same in every image and table."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ..segmentation import InvalidInputError
from .labelled_image import LabelledImage

WHITE = (255, 255, 255)
"""The colour of a label without a class, as in napari's layers."""

# What XML 1.0 cannot hold: control characters, halves of surrogate pairs, two non-characters.
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def label_name(image: LabelledImage, label: int) -> str:
    """The name of a label's class, or ``"label N"``.

    Characters that no file can hold (control characters, halves of a surrogate pair) are
    replaced by U+FFFD.
    """
    if label == 0:
        return "background"
    row = image.classes.get(label)
    return f"label {label}" if row is None else _UNFIT.sub("\ufffd", row.name)


def label_names(image: LabelledImage) -> dict[int, str]:
    """The background and every class by label, in their order."""
    return {label: label_name(image, label) for label in (0, *image.classes)}


def palette(image: LabelledImage, size: int) -> NDArray[np.uint8]:
    """Colours of the labels below `size`.

    Returns
    -------
    (size, 3) uint8 array
        0 is black, a label without a class white.
    """
    colours = np.full((size, 3), WHITE, dtype=np.uint8)
    colours[0] = 0
    for label, colour in image.colours.items():
        if label < size:
            colours[label] = colour
    return colours


def check_plane(image: LabelledImage, what: str) -> None:
    """Refuse a stack where a format holds one plane.

    Raises
    ------
    InvalidInputError
        For labels of more than two dimensions.
    """
    if image.labels.ndim != 2:
        size = " x ".join(map(str, image.labels.shape))
        raise InvalidInputError(
            f"{what} holds one plane, and the labels of {image.name} are a stack ({size}). "
            "Export them plane by plane, or as TIFF or OME-Zarr."
        )
