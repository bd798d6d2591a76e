"""Axes of labels by the names that stacks have in files: T, Z, C, then Y and X."""

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
    """An array whose axes are in a file's order.

    Parameters
    ----------
    array : array
    axes : str
        A letter of "TZCYX" for each axis of the array.
    sizes : dict of str to float
        Length of a pixel along each axis.
    units : dict of str to str
    order : tuple of int
        Which axis of the labels each axis of the array was.
    letters : str
        How each axis of the labels is stored, in the labels' order.
    """

    array: NDArray[Any]
    axes: str
    sizes: dict[str, float]
    units: dict[str, str]
    order: tuple[int, ...]
    letters: str


def ordered(image: LabelledImage, order: str, taken: str = "") -> Stack:
    """The labels with their leading axes in a file's order.

    Axes that nobody has named keep their order: they are stored as letters that are free, one as
    Z, two as T and Z, three as T, Z and C. `Stack.letters` says which, for a file's metadata.

    Parameters
    ----------
    image : LabelledImage
    order : str
        T, Z and C in the order of the file. Where `axes.UNKNOWN` is among them, the format takes
        an axis of no kind in place of C, and one without a name is stored as that.
    taken : str
        Letters that something else has.

    Raises
    ------
    InvalidInputError
        For more leading axes than there are letters.
    """
    leading = image.axes[:-2]
    free = [letter for letter in "TZC" if letter not in taken]
    if len(leading) > len(free):
        raise InvalidInputError(
            f"{image.name} has the axes {image.axes} in front of rows and columns; the format has "
            f"{', '.join(free) or 'none'} there. Export it plane by plane."
        )
    if UNKNOWN in order and leading.count(UNKNOWN) == 1 and "C" in free and "C" not in leading:
        free.append(UNKNOWN)
    letters = _letters(leading, free, order)
    by_order = sorted(range(len(letters)), key=lambda axis: order.index(letters[axis]))
    ndim = image.labels.ndim
    axes = (*by_order, ndim - 2, ndim - 1)
    named = [*letters, "Y", "X"]
    return Stack(
        array=image.labels.transpose(axes),
        axes="".join(named[axis] for axis in axes),
        sizes=dict(zip(named, image.pixel_size, strict=True)),
        units=dict(zip(named, image.units, strict=True)),
        order=axes,
        letters="".join(named),
    )


def _letters(leading: str, free: Sequence[str], order: str) -> list[str]:
    """A letter for each leading axis: its own where it can have it, else one that is left over."""
    own = [letter if letter in free else "" for letter in leading]
    left = [letter for letter in "ZTC" if letter in free and letter not in own]
    needed = sorted(left[: own.count("")], key=order.index)
    others = iter(needed)
    return [letter or next(others) for letter in own]


def five_dimensional(stack: Stack) -> Stack:
    """The same with every axis of TZCYX, those that were missing of length 1."""
    shape = dict(zip(stack.axes, stack.array.shape, strict=True))
    full = "TZCYX"
    return Stack(
        array=np.ascontiguousarray(stack.array.reshape([shape.get(axis, 1) for axis in full])),
        axes=full,
        sizes={axis: stack.sizes.get(axis, 1.0) for axis in full},
        units={axis: stack.units.get(axis, PIXEL) for axis in full},
        order=stack.order,
        letters=stack.letters,
    )
