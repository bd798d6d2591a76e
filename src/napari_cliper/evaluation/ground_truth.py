"""Ground truth from files: label images and COCO JSON, as arrays of label numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..io.image_decoding import decode_image
from ..io.readers.coco import CocoFile
from ..io.readers.label_files import check_numbers
from ..labels.imported_labels import as_labels
from ..segmentation import MAX_CLASSES, ClassPrompt, InvalidInputError
from .metrics import IGNORED

UNKNOWN = -1
"""In a table of labels: a number that nobody has explained."""

LabelTable = NDArray[np.int32]


def label_table(
    count: int, *, ignore: Collection[int] = (255,), first: int = 1, rest: int = 0
) -> LabelTable:
    """What the numbers 0 to 65535 on disk mean, where classes are numbered one by one.

    Parameters
    ----------
    count : int
        Number of classes.
    ignore : collection of int
        Numbers whose pixels count nowhere; before all else.
    first : int
        The number of the first class.
    rest : int
        What 0 means where it is no class: label 0, or `IGNORED`.

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
    """As `label_table`, where class i + 1 has ``numbers[i]`` and all others are ignored."""
    table = np.full(MAX_CLASSES + 2, IGNORED, dtype=np.int32)
    table[list(numbers)] = np.arange(1, len(numbers) + 1)
    return table


def apply_table(numbers: NDArray[Any], table: LabelTable, where: Path) -> NDArray[np.uint16]:
    """Numbers as they are on disk to labels and `IGNORED`.

    Raises
    ------
    InvalidInputError
        Naming the numbers that are unknown.
    """
    found = np.unique(numbers)
    wrong = [int(n) for n in found if not 0 <= n < len(table) or table[n] == UNKNOWN]
    if wrong:
        several = ", ".join(map(str, wrong[:10])) + (", ..." if len(wrong) > 10 else "")
        last = int(np.max(table[table != IGNORED], initial=0))
        raise InvalidInputError(
            f"{where} holds the numbers {several}, but there are only {last} classes. Add the "
            "classes, or have the numbers ignored."
        )
    labels: NDArray[np.uint16] = table[numbers].astype(np.uint16)
    return labels


def read_numbers(path: Path) -> NDArray[Any]:
    """The numbers of a label image; of an indexed one the indices, not the colours.

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
    decoded = decode_image(path)
    check_numbers(decoded, path)
    array = as_labels(decoded.pixels, str(path))
    array = array.reshape([n for n, axis in zip(array.shape, decoded.axes, strict=True)
                           if n > 1 or axis in "YX"])  # fmt: skip
    if array.ndim != 2:
        raise InvalidInputError(
            f"{path} is no label image: it is a stack of shape {array.shape}. Give one whole "
            "number for each pixel: a grey or indexed PNG, or a TIFF of integers."
        )
    return array


def category_labels(
    coco: CocoFile, classes: Sequence[ClassPrompt], names: Sequence[str]
) -> dict[int, int]:
    """The label of each category that is a class: by its name, or a word of the class.

    Parameters
    ----------
    coco : CocoFile
    classes : sequence of ClassPrompt
        Label i + 1 is ``classes[i]``.
    names : sequence of str
        What the labels are called in the results; these go before words.

    Returns
    -------
    dict of int to int
        By category id; categories that are no class are left out.
    """
    by_word = {word.casefold(): label for label, one in enumerate(classes, 1)
               for word in one.words}  # fmt: skip
    by_word |= {name.casefold(): label for label, name in enumerate(names, 1)}
    called = {one["id"]: str(one["name"]).casefold() for one in coco.categories}
    return {category: by_word[name] for category, name in called.items() if name in by_word}


def coco_numbers(coco: CocoFile, index: int, labels: Mapping[int, int]) -> NDArray[np.uint16]:
    """The labels of one image of a COCO JSON.

    Parameters
    ----------
    coco : CocoFile
    index : int
        Which of its images.
    labels : mapping
        By category; see `category_labels`.

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
                f"{called.get(category, f'number {category}')!r}, which is no class. Add it to the "
                "classes, or take its annotations out."
            )
    return coco.draw(image, labels)
