"""From a prediction into the annotation: what changes, and what never does. Pure functions."""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from skimage import segmentation

from ..segmentation import InvalidInputError
from .edit_mask import ACCEPTED, OPEN, PAINTED, EditMask, Labels

Rule = Literal["empty", "unpainted", "all"]
RULES: tuple[Rule, ...] = get_args(Rule)
RULE_NAMES = MappingProxyType(
    {
        "empty": ("into empty pixels only", "What has a label, and what you painted, stays."),
        "unpainted": (
            "Keep hand-painted pixels",
            "What was accepted before is replaced; what you painted or erased stays.",
        ),
        "all": ("replacing everything", "What you painted is replaced as well; asks first."),
    }
)
"""Name and explanation by rule."""


def accept(
    labels: Labels,
    edit_mask: EditMask,
    prediction: NDArray[np.integer],
    rule: Rule,
    *,
    chosen: Collection[int] | None = None,
    where: NDArray[np.bool_] | None = None,
) -> tuple[Labels, EditMask]:
    """Take a prediction over.

    Parameters
    ----------
    labels : (Y, X) uint16 array
        The annotation.
    edit_mask : (Y, X) uint8 array
        Its marks.
    prediction : (Y, X) array of int
        In the annotation's numbers; 0 is background.
    rule : {'empty', 'unpainted', 'all'}
        Which pixels may change: those without a label that nobody painted; all that nobody
        painted; all.
    chosen : collection of int, optional
        The classes that are taken over. Each becomes what the prediction says of it: its
        pixels that the prediction gives to none of them become empty and open again. None
        takes everything, the background included.
    where : (Y, X) bool array, optional
        Where pixels may change; everywhere by default.

    Returns
    -------
    labels : (Y, X) uint16 array
    edit_mask : (Y, X) uint8 array
        `ACCEPTED` for what was taken over.

    Raises
    ------
    InvalidInputError
        For another rule, and for arrays of different sizes.
    """
    if rule not in RULES:
        raise InvalidInputError(f"{rule!r} is no rule. Choose one of {', '.join(RULES)}.")
    if not labels.shape == edit_mask.shape == prediction.shape:
        raise InvalidInputError(
            f"The prediction {prediction.shape} and the annotation {labels.shape} differ in size."
        )
    free = {
        "empty": (labels == 0) & (edit_mask != PAINTED),
        "unpainted": edit_mask != PAINTED,
        "all": np.ones(labels.shape, bool),
    }[rule]
    if where is not None:
        free &= where
    if chosen is None:
        taken, emptied = free, np.zeros_like(free)
    else:
        taken = free & np.isin(prediction, list(chosen))
        emptied = free & ~taken & np.isin(labels, list(chosen))
    new = np.where(taken, prediction, np.where(emptied, 0, labels)).astype(labels.dtype)
    new_edit_mask = np.where(taken, ACCEPTED, np.where(emptied, OPEN, edit_mask)).astype(
        edit_mask.dtype
    )
    return new, new_edit_mask


def region_at(labels: NDArray[np.integer], row: int, column: int) -> NDArray[np.bool_]:
    """The connected region of a label (by sides and corners) that holds a pixel.

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
        For a pixel outside, or of the background.
    """
    if not (0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]):
        raise InvalidInputError("That is outside of the prediction. Choose a point inside.")
    if not labels[row, column]:
        raise InvalidInputError("The prediction has no class there. Choose a coloured region.")
    region: NDArray[np.bool_] = segmentation.flood(labels, (row, column), connectivity=2)
    return region
