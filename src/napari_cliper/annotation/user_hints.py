"""What a person has said of an image's pixels, as the engine takes it. Pure functions.

Evidence is what was painted by hand and what was clicked. Pixels that were accepted are none: a
prediction taken over says nothing that the engine did not say itself.
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
"""The engine's number for a pixel of which nobody has said anything."""

BACKGROUND = "background"
"""The class of a click that says: none of the classes."""

Clicks = Mapping[str, Sequence[Sequence[float]]]
"""By class: coordinates, one for each axis of the image."""

Click = tuple[str, int, int]
"""Class, row and column."""


@dataclass(frozen=True, eq=False)
class Hints:
    """What was said of a plane, or of a part of it.

    Parameters
    ----------
    hint_labels : (Y, X) int32 array
        `NO_HINT`, 0 for background, i + 1 for the class i of the result.
    painted, clicked : int
        How many painted pixels and how many clicks are in it.
    left_out : tuple of str
        Classes that were painted or clicked, and are not among the result's.
    """

    hint_labels: NDArray[np.int32]
    painted: int
    clicked: int
    left_out: tuple[str, ...]


def clicks_in(record: object) -> dict[str, list[list[float]]]:
    """The clicks that a record holds; what is none is passed over."""
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
    """The clicks on a part of a plane; a click is on the pixel whose area holds it.

    Parameters
    ----------
    clicks : mapping of str to sequence of coordinates
    plane : sequence of int
        Indices of the leading axes.
    corner, shape : sequences of two int
        The part's first row and column, and its size.
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
    """What was painted and clicked, in the numbers of a result.

    Of two clicks on one pixel the later one counts; a painted pixel stays what was painted, for
    that is what its annotation says.

    Parameters
    ----------
    labels : (Y, X) uint16 array
        The annotation.
    edit_mask : (Y, X) uint8 array
        Its marks.
    classes : mapping of int to ClassRow
        By label of the annotation.
    clicks : iterable of (str, int, int)
        See `clicks_on`.
    names : sequence of str
        The result's classes.
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
    beyond = brushed >= len(table)  # labels that no class has
    told = np.where(beyond, NO_HINT, table[np.where(beyond, 0, brushed)])
    for label in np.unique(brushed[told == NO_HINT]).tolist():
        left_out[classes[label].name if label in classes else f"label {label}"] = None
    hint_labels.ravel()[painted[told != NO_HINT]] = told[told != NO_HINT]
    return Hints(hint_labels, int(np.count_nonzero(told != NO_HINT)), clicked, tuple(left_out))


def confirmed_by(
    edit_mask: EditMask, clicks: Iterable[Click], regions: NDArray[np.integer] | None = None
) -> NDArray[np.bool_]:
    """Where a person has decided: painted, accepted, or clicked.

    Parameters
    ----------
    edit_mask : (Y, X) uint8 array
    clicks : iterable of (str, int, int)
    regions : (Y, X) array of int, optional
        A click decides on its whole region; without them, on a disc.

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
