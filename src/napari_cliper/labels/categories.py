"""One numbering of classes for all images of a data set.

Training programs know a class by its number, so the number must mean the same in every image,
and in tomorrow's export too: it is the label that the class has, unless it is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ..segmentation import InvalidInputError
from .label_class import Colour
from .label_names import label_name
from .labelled_image import LabelledImage


@dataclass(frozen=True)
class Category:
    """A class of a data set.

    Parameters
    ----------
    id : int
    name : str
    colour : (int, int, int), optional
        None for a label that is no class.
    """

    id: int
    name: str
    colour: Colour | None = None


@dataclass(frozen=True)
class Categories:
    """The classes of a data set by id, and which label of each image is which.

    Parameters
    ----------
    by_id : mapping of int to Category
        In the order of the ids.
    of_label : tuple of mapping of int to int
        For each image, the id of each of its labels.
    """

    by_id: Mapping[int, Category]
    of_label: tuple[Mapping[int, int], ...]


def used_labels(image: LabelledImage) -> list[int]:
    """The labels that occur, the background and ignored pixels left out."""
    labels = image.labels if image.ignored is None else image.labels[~image.ignored]
    return [int(label) for label in np.unique(labels) if label]


def categories_of(
    images: Iterable[LabelledImage], given: Mapping[str, int] | None = None
) -> Categories:
    """The categories of some images.

    Parameters
    ----------
    images : iterable of LabelledImage
        Gone through once.
    given : mapping of str to int, optional
        The id of each class, by name in any case; ids from 1 on. Without it the id of a class
        is its label, which must then be the same in all images. Where several labels of an image
        are objects of one class, the class has the id that the data set knows it by, or else the
        lowest of the labels. Classes that no image has stay in the list, so that parts of a data
        set can be exported one by one.

    Returns
    -------
    Categories
        A label without a class is the category ``"label N"``.

    Raises
    ------
    InvalidInputError
        For a class with two ids, an id with two classes, and a class that is not among those
        given.
    """
    ids = {} if given is None else _checked(given)
    by_id = {number: Category(number, name) for name, number in (given or {}).items()}
    of_label = []
    for image in images:
        colours = image.colours
        known: dict[int, int] = {}
        names = {
            label: label_name(image, label)
            for label in sorted({*image.classes, *used_labels(image)})
        }
        labels_of = Counter(name.casefold() for name in names.values())
        for label, name in names.items():
            if given is None and labels_of[name.casefold()] == 1:
                number: int | None = label
            else:
                number = ids.get(name.casefold(), label if given is None else None)
            if number is None:
                raise InvalidInputError(
                    f"{image.name} has {name!r}, which is not among the categories given "
                    f"({', '.join(given or ())}). Add it with an id of its own."
                )
            other = by_id.get(number)
            if other is not None and other.name.casefold() != name.casefold():
                raise InvalidInputError(
                    f"The label {number} is {other.name!r} in one image and {name!r} in "
                    f"{image.name}. Give classes the same labels in all images, or give their "
                    "category ids."
                )
            if ids.setdefault(name.casefold(), number) != number:
                raise InvalidInputError(
                    f"{name!r} has the label {ids[name.casefold()]} in one image and {number} in "
                    f"{image.name}. Give it the same label in all images, or give category ids."
                )
            if other is None or other.colour is None:
                by_id[number] = Category(number, other.name if other else name, colours.get(label))
            known[label] = number
        of_label.append(MappingProxyType(known))
    return Categories(MappingProxyType(dict(sorted(by_id.items()))), tuple(of_label))


def _checked(given: Mapping[str, int]) -> dict[str, int]:
    """The ids given, by folded name."""
    ids = {name.casefold(): number for name, number in given.items()}
    if len(ids) < len(given) or len(set(ids.values())) < len(ids):
        raise InvalidInputError(
            f"The categories {dict(given)} have a name or an id twice. Give each its own."
        )
    for name, number in given.items():
        if number < 1:
            raise InvalidInputError(f"The category {name!r} has the id {number}. Ids begin at 1.")
    return ids
