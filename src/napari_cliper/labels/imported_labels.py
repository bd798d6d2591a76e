"""Labels as they came from a file, before anybody has said what they are here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..segmentation import InvalidInputError
from .axes import Position, axes_from_names, placed
from .label_class import ClassRow, Colour
from .labelled_image import LabelArray

HIGHEST = 65535
"""The highest label of 16 bits."""


@dataclass(frozen=True, eq=False)
class Imported:
    """The labels of a file, and what the file knows of them.

    Parameters
    ----------
    source : str
        What to call them in a message: the file, and the image in it.
    labels : (..., Y, X) uint8 or uint16 array
        In the file's own numbers; 0 is background.
    classes : mapping of int to ClassRow
        The class of each label that the file names, whether or not the label occurs.
    colours : mapping of int to Colour
        The colour of each label that occurs, as far as the file has one.
    ignored : (..., Y, X) bool array, optional
        Pixels that the file marks as undecided; their label is 0.
    renumbered : mapping of int to int
        Labels of classes whose number in the file is no label (0 of a COCO category, or one over
        65535), by that number.
    axes : str
        A letter for each axis of the labels (see `axes`).
    pixel_size, units
        Of each axis, as `LabelledImage` has them; empty where the file tells of none.
    position : Position
        Of a plane, where it was in its stack.
    """

    source: str
    labels: LabelArray
    classes: Mapping[int, ClassRow] = field(default_factory=dict)
    colours: Mapping[int, Colour] = field(default_factory=dict)
    ignored: NDArray[np.bool_] | None = None
    renumbered: Mapping[int, int] = field(default_factory=dict)
    axes: str = ""
    pixel_size: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    position: Position = ()

    def __post_init__(self) -> None:
        """Say that axes are unknown where the file does not name them."""
        axes = self.axes or axes_from_names(None, self.labels.ndim)
        object.__setattr__(self, "axes", axes)

    def present(self) -> list[int]:
        """The labels that occur, in their order."""
        return [int(label) for label in np.unique(self.labels) if label]


def fitted(
    imported: Imported, shape: tuple[int, ...], axes: str, plane: tuple[int, ...]
) -> tuple[tuple[int | slice, ...], Imported]:
    """Where labels belong in an image, by the names of the axes (`axes.placed`).

    Parameters
    ----------
    imported : Imported
    shape : tuple of int
        Of the image, without its colour axis.
    axes : str
        A letter for each of them.
    plane : tuple of int
        The indices of the plane that is shown, where labels go that do not say theirs.

    Returns
    -------
    place : tuple of int or slice
        The index into an array of the image's shape.
    imported : Imported
        The same labels with the axes that this index leaves, in its order.

    Raises
    ------
    InvalidInputError
        For labels of another size, with both sizes.
    """
    labels = imported.labels
    place, order = placed(
        imported.source, imported.axes, labels.shape, imported.position, axes, shape, plane
    )
    left_out = [axis for axis in range(labels.ndim) if axis not in order]

    def arranged(array: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = array.transpose([*left_out, *order])[(0,) * len(left_out)]
        return found

    return place, replace(
        imported,
        labels=arranged(labels),
        ignored=None if imported.ignored is None else arranged(imported.ignored),
        axes="".join(imported.axes[axis] for axis in order),
        pixel_size=tuple(imported.pixel_size[axis] for axis in order if imported.pixel_size),
        units=tuple(imported.units[axis] for axis in order if imported.units),
    )


def fitted_planes(
    planes: Sequence[Imported], shape: tuple[int, ...], axes: str, plane: tuple[int, ...]
) -> tuple[tuple[int | slice, ...], Imported]:
    """Where labels belong in an image; several planes are put together first.

    Parameters
    ----------
    planes : sequence of Imported
        One, or planes of one file, each with its position.
    shape, axes, plane
        As in `fitted`.

    Returns
    -------
    place, imported
        As of `fitted`; of several planes the whole image, 0 on the planes that are not among
        them.

    Raises
    ------
    InvalidInputError
        As `fitted`.
    """
    if len(planes) == 1:
        return fitted(planes[0], shape, axes, plane)
    whole = np.zeros(shape, dtype=np.result_type(*(one.labels.dtype for one in planes)))
    classes: dict[int, ClassRow] = {}
    colours: dict[int, Colour] = {}
    renumbered: dict[int, int] = {}
    for one in planes:
        place, found = fitted(one, shape, axes, plane)
        whole[place] = found.labels
        classes |= one.classes
        colours |= one.colours
        renumbered |= one.renumbered
    source = f"{planes[0].source} and {len(planes) - 1} more"
    return (slice(None),) * len(shape), Imported(
        source, whole, classes, colours, renumbered=renumbered, axes=axes
    )


def as_labels(array: NDArray[Any], source: str) -> LabelArray:
    """Whole numbers, of any dtype, as labels of the fewest bits that hold them.

    Raises
    ------
    InvalidInputError
        For fractions, negative numbers and numbers over 65535.
    """
    whole = array.dtype.kind in "bui" or (
        array.dtype.kind == "f"
        and bool(np.isfinite(array).all() and (array == np.rint(array)).all())
    )
    if not whole:
        raise InvalidInputError(
            f"{source} holds {array.dtype}, not whole numbers, so it is no label image but perhaps "
            "a probability map. Export labels from the program that made it, as integers."
        )
    lowest, highest = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if lowest < 0 or highest > HIGHEST:
        raise InvalidInputError(
            f"{source} has labels from {lowest} to {highest}; labels here are 0 to {HIGHEST}. "
            "Number them one after the other in the program that made them."
        )
    return array.astype(np.uint8 if highest <= 255 else np.uint16)
