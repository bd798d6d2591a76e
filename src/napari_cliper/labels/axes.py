"""Axis letters of label arrays, as in OME: T, Z, C, then Y and X, which are always last.

An axis without a name is `UNKNOWN`. It keeps its position and is treated as neither time nor
depth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..segmentation import InvalidInputError

UNKNOWN = "Q"
"""An axis without a name; the same letter as in tifffile."""

NAMES: Mapping[str, str] = MappingProxyType({"T": "time", "Z": "depth", "C": "channel"})
"""Meaning of the letters of leading axes."""

POSITION_KEY = "napari_cliper"
"""Key of a COCO image record that holds ``stack`` and ``position`` of a plane."""

_SUFFIX = re.compile(r"_(plane|[tzc])(\d{1,9})")

_PLANE = re.compile(rf"(?:{_SUFFIX.pattern})+$")

_LETTERS: Mapping[str, str] = MappingProxyType(
    {
        "t": "T", "time": "T", "frame": "T", "frames": "T",
        "z": "Z", "depth": "Z", "slice": "Z", "slices": "Z",
        "c": "C", "ch": "C", "channel": "C", "channels": "C",
    }
)  # fmt: skip

Position = tuple[tuple[str, int], ...]
"""Position of a plane in its stack: the letter of each leading axis and the index along it."""


def axes_from_names(names: Iterable[Any] | None, ndim: int) -> str:
    """Convert axis names to one letter per axis.

    Parameters
    ----------
    names : iterable, optional
        A name or letter per axis, such as "z", "Time" or "channel"; None if there are none. The
        last two axes are always Y and X.
    ndim : int
        Number of dimensions, at least 2.

    Returns
    -------
    str
        `UNKNOWN` for leading axes without a name, with an unsupported name, or with the name of
        an earlier axis.
    """
    given = [] if names is None else [str(name).strip().lower() for name in names]
    leading = given[:-2] if len(given) == ndim else []
    letters: list[str] = []
    for axis in range(ndim - 2):
        letter = _LETTERS.get(leading[axis], UNKNOWN) if leading else UNKNOWN
        letters.append(UNKNOWN if letter in letters else letter)
    return "".join([*letters, "YX"])


def misplaced_axis(names: Iterable[Any] | None, ndim: int) -> int | None:
    """Return which of the last two axes is named time, depth or channel; None if neither is.

    Parameters
    ----------
    names, ndim
        As for `axes_from_names`.
    """
    given = [] if names is None else [str(name).strip().lower() for name in names]
    if len(given) != ndim:
        return None
    return next((axis for axis in (ndim - 1, ndim - 2) if given[axis] in _LETTERS), None)


def axis_words(axes: str) -> list[str]:
    """Return axis names for tables: the letter, or ``axis N`` with its index if unknown."""
    return [f"axis {i}" if letter == UNKNOWN else letter for i, letter in enumerate(axes)]


def napari_names(axes: str) -> tuple[str, ...]:
    """Return axis labels for napari: lower-case letters, or napari's negative index if unknown."""
    return tuple(
        str(i - len(axes)) if letter == UNKNOWN else letter.lower() for i, letter in enumerate(axes)
    )


def plane_suffix(axes: str, index: Sequence[int], shape: Sequence[int]) -> str:
    """Return the ending of a plane's name, such as ``_t0_z03``; ``_plane0`` for unknown axes."""
    parts = (
        f"_{'plane' if letter == UNKNOWN else letter.lower()}{i:0{len(str(size - 1))}}"
        for letter, i, size in zip(axes, index, shape, strict=False)
    )
    return "".join(parts)


def position_of_suffix(suffix: str) -> Position:
    """Parse the position from a `plane_suffix`; empty for any other text."""
    found = tuple(
        (UNKNOWN if word == "plane" else word.upper(), int(index))
        for word, index in _SUFFIX.findall(suffix)
    )
    return found if _SUFFIX.sub("", suffix) == "" else ()


def without_plane_suffix(name: str) -> str:
    """Return the name of the stack of a plane: without its `plane_suffix`."""
    return _PLANE.sub("", name) or name


def position_to_record(position: Position) -> list[list[Any]]:
    """Convert a position to a JSON list."""
    return [list(one) for one in position]


def position_from_record(record: Any) -> Position:
    """Parse a position from JSON.

    Raises
    ------
    ValueError
        For invalid letters or indices. A `TypeError` is possible for other JSON values.
    """
    found = []
    for one in record:
        letter, index = one
        known = letter == UNKNOWN or letter in NAMES
        if not known or not isinstance(index, int) or isinstance(index, bool) or index < 0:
            raise ValueError(f"a plane is at {one!r}")
        found.append((str(letter), index))
    return tuple(found)


def placed(
    source: str,
    axes: str,
    shape: tuple[int, ...],
    position: Position,
    target_axes: str,
    target_shape: tuple[int, ...],
    plane: tuple[int, ...],
) -> tuple[tuple[int | slice, ...], tuple[int, ...]]:
    """Determine where labels belong in a larger array, by the names of their axes.

    Axes with the same letter are matched; axes of length 1 may be missing on either side.
    Remaining axes with unknown names are matched in order if they have equal lengths. The index
    along an axis that the labels lack comes from their position, or otherwise from `plane`.

    Parameters
    ----------
    source : str
        Description of the labels for errors.
    axes, shape
        Axis letters and shape of the labels.
    position : Position
        Position of a plane in its stack; empty if unknown.
    target_axes, target_shape
        Axis letters and shape of the array.
    plane : tuple of int
        Indices of the shown plane along the array's leading axes.

    Returns
    -------
    place : tuple of int or slice
        Index into the array, one entry per axis.
    order : tuple of int
        Axes of the labels in the order of the slices; axes left out have length 1.

    Raises
    ------
    InvalidInputError
        If the labels do not fit; the message gives axes and sizes of both.
    """

    def refused(why: str) -> InvalidInputError:
        return InvalidInputError(
            f"The labels of {source} are {described(axes, shape)} pixels, the image is "
            f"{described(target_axes, target_shape)}: {why}. Import them for the image they were "
            "made from; labels are not resized."
        )

    if shape[-2:] != target_shape[-2:]:
        raise refused("rows and columns differ")
    targets = range(len(target_shape) - 2)
    source_of = _matched_axes(axes, shape, target_axes, target_shape, dict(position), refused)
    indices = dict(enumerate(plane))
    left = list(position)
    others = [axis for axis in targets if axis not in source_of]
    for axis in sorted(others, key=lambda axis: target_axes[axis] not in dict(position)):
        letter = target_axes[axis]
        found = next((one for one in left if one[0] == letter), None) or next(
            (one for one in left if UNKNOWN in (one[0], letter)), None
        )
        if found is not None and target_shape[axis] > 1:
            left.remove(found)
            indices[axis] = found[1]
        if target_shape[axis] == 1:
            indices[axis] = 0
        if indices[axis] >= target_shape[axis]:
            raise refused(
                f"they belong to index {indices[axis]} of {axis_words(target_axes)[axis]}"
            )
    place = [slice(None) if axis in source_of else indices[axis] for axis in targets]
    order = [source_of[axis] for axis in targets if axis in source_of]
    rows = slice(None)
    return (*place, rows, rows), (*order, len(shape) - 2, len(shape) - 1)


def _matched_axes(
    axes: str,
    shape: tuple[int, ...],
    target_axes: str,
    target_shape: tuple[int, ...],
    known: Mapping[str, int],
    refused: Callable[[str], InvalidInputError],
) -> dict[int, int]:
    """Return the axis of the labels for each leading axis of the array that they have too."""
    source_of: dict[int, int] = {}
    targets = range(len(target_shape) - 2)
    for axis in targets:
        letter = target_axes[axis]
        if letter != UNKNOWN and letter in axes[:-2]:
            own = axes.index(letter)
            if shape[own] == target_shape[axis]:
                source_of[axis] = own
            elif shape[own] != 1:
                raise refused(f"axis {letter} differs")
    rest = [
        one for one in range(len(shape) - 2) if shape[one] > 1 and one not in source_of.values()
    ]
    if not rest:
        return source_of
    open_ones = [
        axis for axis in targets
        if axis not in source_of and target_shape[axis] > 1 and target_axes[axis] not in known
    ]  # fmt: skip
    pairs = list(zip(rest, open_ones, strict=False))
    if len(open_ones) != len(rest) or any(shape[a] != target_shape[b] for a, b in pairs):
        raise refused("the planes differ in number")
    if any(UNKNOWN not in (axes[a], target_axes[b]) for a, b in pairs):
        raise refused("their axes are of different kinds")
    return source_of | {axis: own for own, axis in pairs}


def described(axes: str, shape: Sequence[int]) -> str:
    """Format a shape with the letters of leading axes, such as ``T 3 x 64 x 64``."""
    return " x ".join(
        f"{size}" if letter in (UNKNOWN, "Y", "X") else f"{letter} {size}"
        for letter, size in zip(axes, shape, strict=True)
    )
