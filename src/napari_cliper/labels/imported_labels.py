"""Labels read from a file, before they are matched to existing classes."""

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
from .pieces import labels_in

HIGHEST = 65535
"""Highest 16-bit label."""


@dataclass(frozen=True, eq=False)
class Imported:
    """Labels of a file with its metadata.

    Parameters
    ----------
    source : str
        Description for messages: the file, and the image in it.
    labels : (..., Y, X) uint8 or uint16 array
        Numbered as in the file; 0 is background. Those of a large OME-Zarr are `pieces.Pieces`.
    classes : mapping of int to ClassRow
        Classes by label, including those that do not occur.
    colours : mapping of int to Colour
        Colours of the labels that occur, if the file stores them.
    ignored : (..., Y, X) bool array, optional
        Pixels that the file marks as ignored; their label is 0.
    renumbered : mapping of int to int
        New labels of classes whose number in the file is not a valid label (a COCO category id
        of 0 or above 65535), by that number.
    axes : str
        One letter per axis of the labels (see `labels.axes`).
    pixel_size, units
        Per axis, as in `LabelledImage`; empty if the file does not store them.
    position : Position
        For a plane, its position in its stack.
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
        """Set unknown axes if the file does not name them."""
        axes = self.axes or axes_from_names(None, self.labels.ndim)
        object.__setattr__(self, "axes", axes)

    def present(self) -> list[int]:
        """Return the labels that occur, sorted, without 0."""
        return [label for label in labels_in(self.labels) if label]


def fitted(
    imported: Imported, shape: tuple[int, ...], axes: str, plane: tuple[int, ...]
) -> tuple[tuple[int | slice, ...], Imported]:
    """Fit labels into an image by the names of their axes; see `axes.placed`.

    Parameters
    ----------
    imported : Imported
    shape : tuple of int
        Shape of the image, without its colour axis.
    axes : str
        One letter per axis of `shape`.
    plane : tuple of int
        Indices of the shown plane; used for labels without a position.

    Returns
    -------
    place : tuple of int or slice
        Index into an array of the image's shape.
    imported : Imported
        The labels, transposed to the axes that this index selects.

    Raises
    ------
    InvalidInputError
        If the labels do not fit; the message gives both sizes.
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
    """Fit labels into an image, combining several planes of a file into one array.

    Parameters
    ----------
    planes : sequence of Imported
        A single item, or planes of one file with their positions.
    shape, axes, plane
        As in `fitted`.

    Returns
    -------
    place, imported
        As for `fitted`. For several planes, the whole image, with 0 on missing planes.

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
    """Convert integers of any dtype to uint8 labels, or uint16 if they exceed 255.

    Parameters
    ----------
    array : array
        Boolean, integer, or float with integer values only.
    source : str
        Description of the labels for messages.

    Raises
    ------
    InvalidInputError
        For fractions, negative values and values above 65535.
    """
    whole = array.dtype.kind in "bui" or (
        array.dtype.kind == "f"
        and bool(np.isfinite(array).all() and (array == np.rint(array)).all())
    )
    if not whole:
        raise InvalidInputError(
            f"{source} contains {array.dtype} values that are not integers, so it is not a label "
            "image but perhaps a probability map. Export integer labels from the program that "
            "made it."
        )
    lowest, highest = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if lowest < 0 or highest > HIGHEST:
        raise InvalidInputError(
            f"{source} has labels from {lowest} to {highest}, but only 0 to {HIGHEST} are "
            "supported. Renumber them consecutively in the program that made them."
        )
    return array.astype(np.uint8 if highest <= 255 else np.uint16)
