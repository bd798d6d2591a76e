"""Names and colours of labels in exported images and tables."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ..segmentation import InvalidInputError
from .labelled_image import LabelledImage

WHITE = (255, 255, 255)
"""Colour of a label without a class, as in napari's layers."""

# Characters that XML 1.0 excludes: control characters, unpaired surrogates, two non-characters.
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def label_name(image: LabelledImage, label: int) -> str:
    """Return the name of a label's class, ``"background"`` or ``"label N"``.

    Characters that files cannot hold (control characters, unpaired surrogates) are replaced by
    U+FFFD.
    """
    if label == 0:
        return "background"
    row = image.classes.get(label)
    return f"label {label}" if row is None else _UNFIT.sub("\ufffd", row.name)


def label_names(image: LabelledImage) -> dict[int, str]:
    """Return the names of the background and of all classes, by label."""
    return {label: label_name(image, label) for label in (0, *image.classes)}


def palette(image: LabelledImage, size: int) -> NDArray[np.uint8]:
    """Return the RGB colours of the labels below `size`.

    Returns
    -------
    (size, 3) uint8 array
        Label 0 is black, labels without a class are white.
    """
    colours = np.full((size, 3), WHITE, dtype=np.uint8)
    colours[0] = 0
    for label, colour in image.colours.items():
        if label < size:
            colours[label] = colour
    return colours


def check_plane(image: LabelledImage, what: str) -> None:
    """Check that labels are a single plane, for formats that hold no stacks.

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
