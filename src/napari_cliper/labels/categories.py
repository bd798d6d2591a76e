"""Consistent category ids of classes for all images of a dataset.

Training programs identify a class by its id, so an id must mean the same class in every image
and in later exports. By default, the id of a class is its label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..segmentation import InvalidInputError
from .label_class import Colour
from .label_names import label_name
from .labelled_image import LabelledImage
from .pieces import labels_in


@dataclass(frozen=True)
class Category:
    """A class of a dataset.

    Parameters
    ----------
    id : int
    name : str
    colour : (int, int, int), optional
        Red, green and blue, 0 to 255; None for a label without a class.
    """

    id: int
    name: str
    colour: Colour | None = None


@dataclass(frozen=True)
class Categories:
    """The classes of a dataset by id, and the id of each label of each image.

    Parameters
    ----------
    by_id : mapping of int to Category
        In the order of the ids.
    of_label : tuple of mapping of int to int
        For each image, the id by label.
    """

    by_id: Mapping[int, Category]
    of_label: tuple[Mapping[int, int], ...]


def used_labels(image: LabelledImage) -> list[int]:
    """Return the labels that occur, sorted; without background and ignored pixels."""
    return [label for label in labels_in(image.labels, image.ignored) if label]


def categories_of(
    images: Iterable[LabelledImage], given: Mapping[str, int] | None = None
) -> Categories:
    """Determine the categories of a dataset.

    Parameters
    ----------
    images : iterable of LabelledImage
        Iterated once.
    given : mapping of str to int, optional
        Category ids, from 1 on, by class name in any case. Classes that occur in no image are
        kept, so that parts of a dataset can be exported separately. Default: the id of a class
        is its label, which must then be the same in all images. If several labels of an image
        are objects of the same class, its id is the one that it has in earlier images, or
        otherwise the lowest of these labels.

    Returns
    -------
    Categories
        A label without a class is the category ``"label N"``.

    Raises
    ------
    InvalidInputError
        For a class with two ids, two classes with the same id, and a class that is missing in
        `given`.
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
                    f"{image.name} has the class {name!r}, which is not in the given categories "
                    f"({', '.join(given or ())}). Add it with its own id."
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
    """Check the given ids and return them by case-folded name."""
    ids = {name.casefold(): number for name, number in given.items()}
    if len(ids) < len(given) or len(set(ids.values())) < len(ids):
        raise InvalidInputError(
            f"The categories {dict(given)} contain a name or id twice. Make them unique."
        )
    for name, number in given.items():
        if number < 1:
            raise InvalidInputError(f"The category {name!r} has the id {number}. Give 1 or more.")
    return ids
