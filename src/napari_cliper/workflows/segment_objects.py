"""Objects of a file that get classes while their image is segmented."""

from __future__ import annotations

from pathlib import Path

from ..io.readers.object_files import read_objects
from ..io.writers.measurements import write_table
from ..io.writers.tiff import write_object_tiff
from ..labels.labelled_image import LabelledImage
from ..objects.classifying import ClassifiedObjects
from ..objects.labelled import with_objects
from ..objects.object_set import Objects, objects_of
from ..segmentation import InvalidInputError

SUFFIXES = ("_objects.tif", "_objects.csv")
"""Endings of the result files of an image with objects."""


def open_objects(path: Path, shape: tuple[int, int]) -> Objects:
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
    return objects_of(numbers)


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
