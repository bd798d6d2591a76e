"""Objects of a file that get classes while their image is segmented."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from ..io.readers.object_files import class_file, read_objects
from ..io.writers.measurements import write_table
from ..io.writers.tiff import write_object_tiff
from ..labels.labelled_image import LabelledImage
from ..objects.classifying import ClassifiedObjects, reclassify
from ..objects.labelled import with_objects
from ..objects.object_set import Objects, objects_of
from ..segmentation import InvalidInputError, OutOfMemoryError

if TYPE_CHECKING:
    from ..segmentation import ImageEmbedding, ScoreMaps, Thresholds

BYTES = {"objects": 32, "masks": 10}
"""Memory for each pixel of an image while objects get classes, and while masks are read."""

SUFFIXES = ("_objects.tif", "_objects.csv")
"""Endings of the result files of an image with objects."""


@dataclass(frozen=True, eq=False)
class GivenClasses:
    """Given objects with their classes.

    Parameters
    ----------
    found : ClassifiedObjects
    named : mapping of int to int
        Labels of the objects that the file has named, by number.
    notes : tuple of str
        What was made of the classes of the file.
    """

    found: ClassifiedObjects
    named: Mapping[int, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class GivenObjects:
    """Objects of a file, and the classes that it gives to some of them.

    Parameters
    ----------
    path : Path
    objects : Objects
    names : mapping of int to str
        Classes by number.
    """

    path: Path
    objects: Objects
    names: Mapping[int, str]

    def classified(
        self, scores: ScoreMaps, embedding: ImageEmbedding, thresholds: Thresholds
    ) -> GivenClasses:
        """Give each object a class: the given one, or what scores and named objects say.

        Parameters
        ----------
        scores : ScoreMaps
            Of the image.
        embedding : ImageEmbedding
            Of the same image.
        thresholds : Thresholds
        """
        index = {one.name.casefold(): label for label, one in enumerate(scores.classes, 1)}
        there = {*self.objects.ids.tolist()}
        known = {n: index.get(name.casefold()) for n, name in self.names.items() if n in there}
        named = {number: label for number, label in known.items() if label is not None}
        found = reclassify(scores, embedding, self.objects, named, thresholds)
        return GivenClasses(found, named, tuple(self._notes(there, named)))

    def _notes(self, there: set[int], named: Mapping[int, int]) -> Iterator[str]:
        file = (class_file(self.path) or self.path).name
        missing = self.names.keys() - there
        if missing:
            yield (
                f"{file} names {_counted(missing)} without pixels in {self.path.name}, such as "
                f"object {min(missing)}. This has no effect."
            )
        others = [number for number in self.names if number in there and number not in named]
        if others:
            unknown = ", ".join(f'"{name}"' for name in sorted({self.names[n] for n in others}))
            yield (
                f"{file} gives {_counted(others)} classes that --labels does not have: {unknown}. "
                "They are replaced."
            )
        if named:
            learns = len(set(named.values())) > 1
            yield f"{file} gives {_counted(named)} a class, which is kept. " + (
                "The others are classified by these and by the words."
                if learns
                else "It is the same class everywhere, so the others are classified by the words "
                "alone. Name objects of two classes to classify the others by them."
            )


def _counted(objects: Collection[int]) -> str:
    return f"{len(objects):,} objects" if len(objects) > 1 else "1 object"


def open_objects(path: Path, shape: tuple[int, int]) -> GivenObjects:
    """Read the objects of an image of the given shape.

    Parameters
    ----------
    path : Path
        See `io.readers.object_files.read_objects`.
    shape : (int, int)
        Rows and columns of the image.

    Raises
    ------
    FileError
        For a file that cannot be read.
    InvalidInputError
        For objects of another size than the image, and for a file without an object.
    """
    found = read_objects(path, shape)
    numbers = found.numbers
    while numbers.ndim > 2 and numbers.shape[0] == 1:
        numbers = numbers[0]
    if numbers.shape != shape:
        sizes = [" x ".join(map(str, one)) for one in (numbers.shape, shape)]
        raise InvalidInputError(
            f"The objects of {path} are {sizes[0]} pixels, the image is {sizes[1]}. Give the "
            "objects of this image; they are not resized."
        )
    if not numbers.any():
        raise InvalidInputError(f"There is no object in {path}: all its pixels are 0.")
    return GivenObjects(path, objects_of(numbers), found.classes)


def check_memory(what: Literal["objects", "masks"], path: Path, shape: tuple[int, int]) -> None:
    """Check that the objects or masks of an image fit into memory; the file is not read.

    They are read as a whole, also if the image is read by tile.

    Raises
    ------
    OutOfMemoryError
    """
    needed = BYTES[what] * shape[0] * shape[1]
    free = psutil.virtual_memory().available
    if needed > free:
        raise OutOfMemoryError(
            f"The {what} of {path}, {shape[0]} x {shape[1]} pixels, need about {needed / 1e9:.1f} "
            f"GB of memory, and {free / 1e9:.1f} GB are free. Split the image and the {what} into "
            "smaller ones."
        )


def write_objects(folder: Path, image: LabelledImage, found: ClassifiedObjects) -> None:
    """Write the objects and their table, `SUFFIXES`, with the numbers that they had.

    Parameters
    ----------
    folder : Path
    image : LabelledImage
        Its labels are not used.
    found : ClassifiedObjects
    """
    tiff, table = (folder / f"{image.name}{suffix}" for suffix in SUFFIXES)
    write_object_tiff(tiff, with_objects(image, found.objects))
    write_table(table, found.table())
