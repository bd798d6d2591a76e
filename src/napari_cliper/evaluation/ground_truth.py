"""Ground truth from files: label pictures and COCO JSON, as arrays of label numbers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..export.files import FileError, cannot
from ..export.pictures import read_picture
from ..segmentation import MAX_CLASSES, ClassPrompt, InvalidInputError
from .metrics import IGNORED

UNKNOWN = -1
"""In a table of labels: a number that nobody has explained."""

TIFFS = (".tif", ".tiff")

_NUMBER_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")
"""Modes of Pillow whose values are numbers rather than colours."""

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
    """The numbers of a label picture; of an indexed one the indices, not the colours.

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
    if path.suffix.lower() in TIFFS:
        array = read_picture(path)
        mode = f"of {array.dtype} and shape {array.shape}"
    else:
        array, mode = _read_indices(path)
    if array.ndim != 2 or array.dtype.kind not in "bui":
        raise InvalidInputError(
            f"{path} is no label picture: it is {mode}. Give one whole number for each pixel: a "
            "grey or indexed PNG, or a TIFF of integers."
        )
    return array.astype(np.uint8) if array.dtype == bool else array


def _read_indices(path: Path) -> tuple[NDArray[Any], str]:
    try:
        with Image.open(path) as image:
            if image.mode in _NUMBER_MODES:
                return np.array(image), image.mode
            return np.empty((0, 0, 0)), f"of the mode {image.mode}"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        read_picture(path)  # says what is wrong
        raise


@dataclass(frozen=True, eq=False)
class CocoTruth:
    """A COCO JSON: its images, and the annotations of each.

    Parameters
    ----------
    path : Path
    images : mapping
        By image id, its record: ``file_name``, ``width``, ``height``.
    annotations : mapping
        By image id, records in the order of the file.
    categories : mapping
        Name by category id.
    """

    path: Path
    images: Mapping[int, Mapping[str, Any]]
    annotations: Mapping[int, Sequence[Mapping[str, Any]]]
    categories: Mapping[int, str]

    def labels_of(self, classes: Sequence[ClassPrompt], names: Sequence[str]) -> dict[int, int]:
        """The label of each category that is a class: by its name, or a word of the class."""
        by_word = {word.casefold(): label for label, one in enumerate(classes, 1)
                   for word in one.words}  # fmt: skip
        by_word |= {name.casefold(): label for label, name in enumerate(names, 1)}
        return {
            category: by_word[name.casefold()]
            for category, name in self.categories.items()
            if name.casefold() in by_word
        }

    def numbers(self, image: int, labels: Mapping[int, int]) -> NDArray[np.uint16]:
        """Draw an image's annotations: smaller ones on top, of one size the later one.

        Parameters
        ----------
        image : int
            Its id.
        labels : mapping
            By category; see `labels_of`.

        Returns
        -------
        (Y, X) uint16 array

        Raises
        ------
        InvalidInputError
            For a category without a label, and an annotation that cannot be drawn.
        """
        record = self.images[image]
        canvas = np.zeros((record["height"], record["width"]), dtype=np.uint16)
        drawn = []
        for one in self.annotations.get(image, ()):
            category = int(one.get("category_id", UNKNOWN))
            if category not in labels:
                name = self.categories.get(category, f"number {category}")
                raise InvalidInputError(
                    f"{record['file_name']} in {self.path} has the category {name!r}, which is no "
                    "class. Add it to the classes, or take its annotations out."
                )
            try:
                drawn.append((_mask(one["segmentation"], canvas.shape), labels[category]))
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise InvalidInputError(
                    f"Annotation {one.get('id')} of {record['file_name']} in {self.path} cannot be "
                    f"drawn: {error}. Its segmentation must be polygons or an RLE of the image's "
                    "size."
                ) from error
        for mask, label in sorted(drawn, key=lambda pair: -int(pair[0].sum())):  # stable
            canvas[mask] = label
        return canvas


def _mask(segmentation: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels (Y, X) of a segmentation: polygons, or an RLE, compressed or not."""
    tool: Any = import_module("pycocotools.mask")  # it carries no types
    if isinstance(segmentation, list):
        # pycocotools walks along every edge, however far it goes
        if any(np.abs(ring).max(initial=0) > 2 * max(shape) for ring in segmentation):
            raise ValueError("a polygon lies far outside of the image")
        usable = [ring for ring in segmentation if len(ring) >= 6]
        if not usable:
            return np.zeros(shape, dtype=bool)
        code = tool.merge(tool.frPyObjects(usable, *shape))
    elif list(segmentation["size"]) != list(shape):
        raise ValueError(f"its size is {segmentation['size']}, the image's {list(shape)}")
    elif isinstance(segmentation["counts"], list):
        if sum(segmentation["counts"]) != shape[0] * shape[1]:
            raise ValueError("its runs do not cover the image")
        code = tool.frPyObjects(segmentation, *shape)
    else:
        code = segmentation
    with warnings.catch_warnings():
        # What pycocotools hands over does not know numpy 2's way of asking for a copy.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        mask: NDArray[np.bool_] = tool.decode(code).astype(bool)
    return mask


def read_coco(path: Path) -> CocoTruth:
    """Read a COCO JSON.

    Raises
    ------
    FileError
        For a file that cannot be read or is no COCO JSON.
    """
    try:
        data = json.loads(path.read_bytes())
        images = {record["id"]: record for record in data["images"]}
        for record in images.values():
            _ = record["file_name"], int(record["height"]), int(record["width"])
        by_image: dict[int, list[dict[str, Any]]] = {}
        for one in data["annotations"]:
            by_image.setdefault(one["image_id"], []).append(one)
        categories = {record["id"]: str(record["name"]) for record in data["categories"]}
    except FileNotFoundError:
        raise FileError(f"Cannot read {path}: there is no such file.") from None
    except OSError as error:
        raise cannot("read", path, error) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileError(
            f"{path} is no COCO JSON: {error!r}. It needs lists of images (id, file_name, height, "
            "width), annotations and categories."
        ) from error
    return CocoTruth(
        path=path,
        images=MappingProxyType(images),
        annotations=MappingProxyType(by_image),
        categories=MappingProxyType(categories),
    )
