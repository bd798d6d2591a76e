"""Accept predictions into an annotation. Pure functions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from skimage import segmentation

from ..segmentation import InvalidInputError
from .edit_mask import ACCEPTED, OPEN, EditMask, Labels, protected

Rule = Literal["empty", "unpainted", "all"]
RULES: tuple[Rule, ...] = get_args(Rule)


def accept(
    labels: Labels,
    edit_mask: EditMask,
    prediction: NDArray[np.integer],
    rule: Rule,
    *,
    chosen: Collection[int] | None = None,
    where: NDArray[np.bool_] | None = None,
) -> tuple[Labels, EditMask]:
    """Accept a prediction into an annotation.

    Parameters
    ----------
    labels : (Y, X) uint16 array
        The annotation.
    edit_mask : (Y, X) uint8 array
        Its edit mask.
    prediction : (Y, X) array of int
        Predicted labels, numbered like the annotation; 0 is background.
    rule : {'empty', 'unpainted', 'all'}
        Pixels that may change: unlabelled pixels that are neither painted nor cleaned; all pixels
        that are neither; all pixels.
    chosen : collection of int, optional
        Classes to accept. Pixels of these classes that the prediction gives to none of them become
        unlabelled and open. None accepts all classes and the background.
    where : (Y, X) bool array, optional
        Pixels that may change; default: all.

    Returns
    -------
    labels : (Y, X) uint16 array
    edit_mask : (Y, X) uint8 array
        `ACCEPTED` where the prediction was accepted. Painted and cleaned pixels that already have
        the predicted label stay so: without these hints the prediction would be another.

    Raises
    ------
    InvalidInputError
        If the rule is unknown or the shapes differ.
    """
    if rule not in RULES:
        raise InvalidInputError(f"Unknown rule {rule!r}. Choose one of {', '.join(RULES)}.")
    if not labels.shape == edit_mask.shape == prediction.shape:
        raise InvalidInputError(
            f"The prediction {prediction.shape} and the annotation {labels.shape} differ in size."
        )
    by_hand = protected(edit_mask)
    free = np.ones(labels.shape, bool) if rule == "all" else ~by_hand
    if rule == "empty":
        free &= labels == 0
    if where is not None:
        free &= where
    new, new_edit_mask = labels.copy(), edit_mask.copy()
    taken = free
    if chosen is not None:
        taken = free & np.isin(prediction, list(chosen))
        emptied = free & ~taken & np.isin(labels, list(chosen))
        new[emptied] = 0
        new_edit_mask[emptied] = OPEN
    np.copyto(new, prediction, where=taken, casting="unsafe")
    accepted = taken & ~(by_hand & (labels == prediction)) if rule == "all" else taken
    new_edit_mask[accepted] = ACCEPTED
    return new, new_edit_mask


def following(
    labels: Labels, edit_mask: EditMask, prediction: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Return which pixels follow hints: accepted, not painted, and equal to the prediction.

    Find this out before the first of several hints. Pixels that came to be equal by a hint are not
    among them, so that undoing the hints brings every pixel back to what it was.

    Parameters
    ----------
    labels : (Y, X) uint16 array
        The annotation.
    edit_mask : (Y, X) uint8 array
        Its edit mask.
    prediction : (Y, X) array of int
        Predicted labels, numbered like the annotation.

    Returns
    -------
    (Y, X) bool array
    """
    same: NDArray[np.bool_] = (edit_mask == ACCEPTED) & (labels == prediction)
    return same


def moved_by_hint(
    edit_mask: EditMask,
    follows: NDArray[np.bool_],
    before: NDArray[np.integer],
    after: NDArray[np.integer],
) -> NDArray[np.bool_]:
    """Return which pixels of an annotation take the label that a hint has changed.

    Parameters
    ----------
    edit_mask : (Y, X) uint8 array
    follows : (Y, X) bool array
        See `following`.
    before, after : (Y, X) arrays of int
        Predicted labels without and with the hint.

    Returns
    -------
    (Y, X) bool array
        Pixels whose label becomes that of `after`.
    """
    moved: NDArray[np.bool_] = follows & (edit_mask == ACCEPTED) & (before != after)
    return moved


def region_at(labels: NDArray[np.integer], row: int, column: int) -> NDArray[np.bool_]:
    """Return the 8-connected region of one label that contains a pixel.

    Parameters
    ----------
    labels : (Y, X) array of int
    row, column : int

    Returns
    -------
    (Y, X) bool array

    Raises
    ------
    InvalidInputError
        If the pixel is outside the array or background.
    """
    if not (0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]):
        raise InvalidInputError("That is outside of the prediction. Choose a point inside.")
    if not labels[row, column]:
        raise InvalidInputError("The prediction has no class there. Choose a coloured region.")
    region: NDArray[np.bool_] = segmentation.flood(labels, (row, column), connectivity=2)
    return region


def region_around(
    labels: NDArray[np.integer], row: int, column: int, side: int = 512
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Return `region_at` of a large array; only the surroundings of the region are read.

    Parameters
    ----------
    labels : (Y, X) array of int
    row, column : int
    side : int
        Rows and columns that are read first; doubled until the region lies within.

    Returns
    -------
    part : (slice, slice)
        Rows and columns that were read.
    region : bool array of the shape of this part

    Raises
    ------
    InvalidInputError
        As `region_at`.
    """
    while True:
        rows, columns = (
            slice(max(at - side // 2, 0), min(at + side // 2, length))
            for at, length in zip((row, column), labels.shape, strict=True)
        )
        found = region_at(
            np.asarray(labels[rows, columns]), row - rows.start, column - columns.start
        )
        beyond = (
            (rows.start > 0 and found[0].any())
            or (rows.stop < labels.shape[0] and found[-1].any())
            or (columns.start > 0 and found[:, 0].any())
            or (columns.stop < labels.shape[1] and found[:, -1].any())
        )
        if not beyond:
            return (rows, columns), found
        side *= 2
