"""Read ground truth from label images and COCO JSON, as arrays of labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..io.image_decoding import decode_image
from ..io.ome_zarr_images import is_zarr
from ..io.readers.coco import CocoFile
from ..io.readers.label_files import check_numbers, read_label_zarr
from ..labels.imported_labels import as_labels
from ..labels.pieces import loaded
from ..segmentation import MAX_CLASSES, ClassPrompt, InvalidInputError
from .metrics import IGNORED

UNKNOWN = -1
"""In a `LabelTable`: a pixel value without a meaning."""

LabelTable = NDArray[np.int32]
"""(65536,): the label of each pixel value on disk, `IGNORED` or `UNKNOWN`."""


def label_table(
    count: int, *, ignore: Collection[int] = (255,), first: int = 1, rest: int = 0
) -> LabelTable:
    """Return the meaning of the pixel values 0 to 65535 for consecutively numbered classes.

    Parameters
    ----------
    count : int
        Number of classes.
    ignore : collection of int
        Values whose pixels are ignored, even if they are a class.
    first : int
        Value of the first class.
    rest : int
        Meaning of 0 if it is not a class: label 0, or `IGNORED`.

    Returns
    -------
    (65536,) int32 array
        Labels, `IGNORED`, or `UNKNOWN`.
    """
    table = np.full(MAX_CLASSES + 2, UNKNOWN, dtype=np.int32)
    table[0] = rest
    table[first : first + count] = np.arange(1, count + 1)
    table[list(ignore)] = IGNORED
    return table


def listed_table(numbers: Sequence[int]) -> LabelTable:
    """As `label_table`, where class i + 1 has the value ``numbers[i]``; others are ignored."""
    table = np.full(MAX_CLASSES + 2, IGNORED, dtype=np.int32)
    table[list(numbers)] = np.arange(1, len(numbers) + 1)
    return table


def apply_table(numbers: NDArray[Any], table: LabelTable, where: Path) -> NDArray[np.uint16]:
    """Convert pixel values to labels.

    Parameters
    ----------
    numbers : (Y, X) array of int
        Pixel values as read from disk.
    table : LabelTable
    where : Path
        The file, for the error message.

    Returns
    -------
    (Y, X) uint16 array
        Labels and `IGNORED`.

    Raises
    ------
    InvalidInputError
        Naming the values that are unknown.
    """
    found = np.unique(numbers)
    wrong = [int(n) for n in found if not 0 <= n < len(table) or table[n] == UNKNOWN]
    if wrong:
        several = ", ".join(map(str, wrong[:10])) + (", ..." if len(wrong) > 10 else "")
        last = int(np.max(table[table != IGNORED], initial=0))
        raise InvalidInputError(
            f"{where} contains the labels {several}, but there are only {last} classes. Add the "
            "classes, or ignore these labels."
        )
    labels: NDArray[np.uint16] = table[numbers].astype(np.uint16)
    return labels


def read_numbers(path: Path) -> NDArray[Any]:
    """Read the pixel values of a label image or OME-Zarr; for indexed colours, the indices.

    Returns
    -------
    (Y, X) array of int

    Raises
    ------
    FileError
        For a file that cannot be read.
    InvalidInputError
        For colours, fractions, or more than two dimensions.
    """
    if is_zarr(path):
        array: NDArray[Any] = loaded(read_label_zarr(path).labels)
    else:
        decoded = decode_image(path)
        check_numbers(decoded, path)
        array = as_labels(decoded.pixels, str(path))
        array = array.reshape([n for n, axis in zip(array.shape, decoded.axes, strict=True)
                               if n > 1 or axis in "YX"])  # fmt: skip
    if array.ndim != 2:
        raise InvalidInputError(
            f"{path} is a stack of shape {array.shape}, not a 2D label image. Give one integer "
            "per pixel: a greyscale or indexed PNG, or an integer TIFF."
        )
    return array


def category_labels(
    coco: CocoFile, classes: Sequence[ClassPrompt], names: Sequence[str]
) -> dict[int, int]:
    """Match COCO categories to classes by name, ignoring case.

    Parameters
    ----------
    coco : CocoFile
    classes : sequence of ClassPrompt
        Label i + 1 is ``classes[i]``; a category matches any of its words.
    names : sequence of str
        Names of the labels in the results; they take precedence over words.

    Returns
    -------
    dict of int to int
        Label by category id; categories that match no class are missing.
    """
    by_word = {word.casefold(): label for label, one in enumerate(classes, 1)
               for word in one.words}  # fmt: skip
    by_word |= {name.casefold(): label for label, name in enumerate(names, 1)}
    called = {one["id"]: str(one["name"]).casefold() for one in coco.categories}
    return {category: by_word[name] for category, name in called.items() if name in by_word}


def coco_numbers(coco: CocoFile, index: int, labels: Mapping[int, int]) -> NDArray[np.uint16]:
    """Draw the labels of one image of a COCO JSON.

    Parameters
    ----------
    coco : CocoFile
    index : int
        Index of the image.
    labels : mapping of int to int
        Label by category id; see `category_labels`.

    Returns
    -------
    (Y, X) uint16 array

    Raises
    ------
    InvalidInputError
        For a category without a label.
    FileError
        For an annotation that cannot be drawn.
    """
    image = coco.images[index]
    for one in coco.of_image(image):
        category = one["category_id"]
        if category not in labels:
            called = {known["id"]: str(known["name"]) for known in coco.categories}
            raise InvalidInputError(
                f"{image['file_name']} in {coco.path} has the category "
                f"{called.get(category, f'number {category}')!r}, which is not in the class list. "
                "Add it to the list, or remove its annotations."
            )
    return coco.draw(image, labels)
