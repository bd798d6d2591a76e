"""Arrange the axes of labels in the order of a file format: T, Z, C, then Y and X."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..segmentation import InvalidInputError
from .axes import UNKNOWN
from .labelled_image import PIXEL, LabelledImage


@dataclass(frozen=True, eq=False)
class Stack:
    """An array with its axes in the order of a file format.

    Parameters
    ----------
    array : (..., Y, X) array of unsigned int
    axes : str
        One letter of "TZCYX" per axis of the array.
    sizes : dict of str to float
        Pixel size along each axis, in its unit.
    units : dict of str to str
        Unit of each axis.
    order : tuple of int
        For each axis of the array, the axis of the labels that it was.
    letters : str
        For each axis of the labels, the letter it is stored as.
    """

    array: NDArray[Any]
    axes: str
    sizes: dict[str, float]
    units: dict[str, str]
    order: tuple[int, ...]
    letters: str


def ordered(
    image: LabelledImage, order: str, taken: str = "", array: NDArray[Any] | None = None
) -> Stack:
    """Transpose labels to the axis order of a file format.

    Unknown axes keep their order and are stored as free letters: one as Z, two as T and Z,
    three as T, Z and C. `Stack.letters` gives the choice, for the file's metadata.

    Parameters
    ----------
    image : LabelledImage
    order : str
        T, Z and C in the order of the file. If it contains `axes.UNKNOWN`, the format supports
        an axis of unknown type instead of C, and a single unknown axis is stored as that.
    taken : str
        Letters that are not available.
    array : array, optional
        In the shape of the labels, which it replaces.

    Raises
    ------
    InvalidInputError
        For more leading axes than there are letters.
    """
    leading = image.axes[:-2]
    free = [letter for letter in "TZC" if letter not in taken]
    if len(leading) > len(free):
        raise InvalidInputError(
            f"{image.name} has the axes {image.axes}, but apart from Y and X the format supports "
            f"only {', '.join(free) or 'no axes'}. Export it plane by plane."
        )
    if UNKNOWN in order and leading.count(UNKNOWN) == 1 and "C" in free and "C" not in leading:
        free.append(UNKNOWN)
    letters = _letters(leading, free, order)
    by_order = sorted(range(len(letters)), key=lambda axis: order.index(letters[axis]))
    ndim = image.labels.ndim
    axes = (*by_order, ndim - 2, ndim - 1)
    named = [*letters, "Y", "X"]
    return Stack(
        array=(image.labels if array is None else array).transpose(axes),
        axes="".join(named[axis] for axis in axes),
        sizes=dict(zip(named, image.pixel_size, strict=True)),
        units=dict(zip(named, image.units, strict=True)),
        order=axes,
        letters="".join(named),
    )


def _letters(leading: str, free: Sequence[str], order: str) -> list[str]:
    """Choose a letter for each leading axis: its own if available, otherwise a free one."""
    own = [letter if letter in free else "" for letter in leading]
    left = [letter for letter in "ZTC" if letter in free and letter not in own]
    needed = sorted(left[: own.count("")], key=order.index)
    others = iter(needed)
    return [letter or next(others) for letter in own]


def five_dimensional(stack: Stack, *, copy: bool = True) -> Stack:
    """Return the stack with all axes TZCYX; missing axes get length 1.

    Without `copy`, the array may be a view that is not contiguous.
    """
    shape = dict(zip(stack.axes, stack.array.shape, strict=True))
    full = "TZCYX"
    array = stack.array.reshape([shape.get(axis, 1) for axis in full])
    return Stack(
        array=np.ascontiguousarray(array) if copy else array,
        axes=full,
        sizes={axis: stack.sizes.get(axis, 1.0) for axis in full},
        units={axis: stack.units.get(axis, PIXEL) for axis in full},
        order=stack.order,
        letters=stack.letters,
    )
