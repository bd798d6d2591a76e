"""Collect the user's hints (painted strokes and clicks) for the engine. Pure functions.

Accepted pixels are not hints, because they repeat the engine's own prediction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..labels.label_class import ClassRow
from .edit_mask import OPEN, PAINTED, EditMask, Labels

NO_HINT = -1
"""Label of a pixel without a hint."""

BACKGROUND = "background"
"""Class name of background clicks."""

CLICKS = "clicks"
"""Key of the clicks in the record of an annotation."""

Clicks = Mapping[str, Sequence[Sequence[float]]]
"""Coordinates of clicks by class name, one number per axis of the image."""

Click = tuple[str, int, int]
"""Class name, row and column of a click."""


@dataclass(frozen=True, eq=False)
class Hints:
    """Hints on a plane, or on a region of it.

    Parameters
    ----------
    hint_labels : (Y, X) int32 array
        `NO_HINT`, 0 for background, i + 1 for class i of the result.
    painted, clicked : int
        Number of painted pixels and of clicks.
    left_out : tuple of str
        Painted or clicked classes that the result does not have.
    """

    hint_labels: NDArray[np.int32]
    painted: int
    clicked: int
    left_out: tuple[str, ...]


def clicks_in(record: object) -> dict[str, list[list[float]]]:
    """Parse the clicks in a JSON record; invalid entries are ignored."""
    if not isinstance(record, Mapping):
        return {}
    found = {
        str(name): [list(map(float, point)) for point in points if _is_point(point)]
        for name, points in record.items()
        if isinstance(points, Sequence) and not isinstance(points, str)
    }
    return {name: points for name, points in found.items() if points}


def _is_point(point: object) -> bool:
    return isinstance(point, Sequence) and all(
        isinstance(value, int | float) and math.isfinite(value) for value in point
    )


def clicks_on(
    clicks: Clicks, plane: Sequence[int], corner: Sequence[int], shape: Sequence[int]
) -> list[Click]:
    """Return the clicks on a region of a plane, rounded to pixels.

    Parameters
    ----------
    clicks : mapping of str to sequence of coordinates
    plane : sequence of int
        Indices along the leading axes.
    corner, shape : sequences of two int
        First row and column of the region, and its height and width.
    """
    found = []
    for name, coordinates in clicks.items():
        for point in coordinates:
            *at, row, column = (int(index) for index in np.round(point))
            row, column = row - corner[0], column - corner[1]
            if at == list(plane) and 0 <= row < shape[0] and 0 <= column < shape[1]:
                found.append((name, row, column))
    return found


def hints_of(
    labels: Labels,
    edit_mask: EditMask,
    classes: Mapping[int, ClassRow],
    clicks: Iterable[Click],
    names: Sequence[str],
) -> Hints:
    """Combine painted pixels and clicks into hint labels for a result.

    The later of two clicks on a pixel counts. Painted pixels take precedence over clicks.

    Parameters
    ----------
    labels : (Y, X) uint16 array
        The annotation.
    edit_mask : (Y, X) uint8 array
        Its edit mask.
    classes : mapping of int to ClassRow
        Classes of the annotation by label.
    clicks : iterable of (str, int, int)
        See `clicks_on`.
    names : sequence of str
        Class names of the result.
    """
    numbers = {BACKGROUND: 0} | {name.casefold(): i for i, name in enumerate(names, 1)}
    hint_labels = np.full(labels.shape, NO_HINT, np.int32)
    left_out: dict[str, None] = {}
    clicked = 0
    for name, row, column in clicks:
        number = numbers.get(name.casefold())
        if number is None:
            left_out[name] = None
        else:
            hint_labels[row, column] = number
            clicked += 1
    table = np.full(max(classes, default=0) + 1, NO_HINT, np.int32)
    table[0] = 0
    for label, known in classes.items():
        table[label] = numbers.get(known.name.casefold(), NO_HINT)
    painted = np.flatnonzero(edit_mask == PAINTED)
    brushed = labels.ravel()[painted]
    beyond = brushed >= len(table)  # labels without a class
    told = np.where(beyond, NO_HINT, table[np.where(beyond, 0, brushed)])
    for label in np.unique(brushed[told == NO_HINT]).tolist():
        left_out[classes[label].name if label in classes else f"label {label}"] = None
    hint_labels.ravel()[painted[told != NO_HINT]] = told[told != NO_HINT]
    return Hints(hint_labels, int(np.count_nonzero(told != NO_HINT)), clicked, tuple(left_out))


def confirmed_by(
    edit_mask: EditMask, clicks: Iterable[Click], regions: NDArray[np.integer] | None = None
) -> NDArray[np.bool_]:
    """Return which pixels the user has painted, accepted or clicked.

    Parameters
    ----------
    edit_mask : (Y, X) uint8 array
    clicks : iterable of (str, int, int)
    regions : (Y, X) array of int, optional
        A click counts for its whole region; without regions, for a disc around it.

    Returns
    -------
    (Y, X) bool array
    """
    confirmed: NDArray[np.bool_] = edit_mask != OPEN
    rows, columns = np.ogrid[: edit_mask.shape[0], : edit_mask.shape[1]]
    radius = max(min(edit_mask.shape) // 32, 1)
    for _, row, column in clicks:
        if regions is None:
            confirmed |= (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        else:
            confirmed |= regions == regions[row, column]
    return confirmed
