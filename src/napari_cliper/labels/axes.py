"""Which axis is time, depth or channel: one letter for each axis of an array of labels.

The letters are those of OME: T, Z, C, then Y and X, which are always last. An axis that nothing
names is `UNKNOWN`. It keeps its place, and nothing is concluded from it: no volume, no time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..segmentation import InvalidInputError

UNKNOWN = "Q"
"""An axis that nobody has named; tifffile's letter for it."""

NAMES: Mapping[str, str] = MappingProxyType({"T": "time", "Z": "depth", "C": "channel"})
"""What a leading axis can be, by its letter."""

POSITION_KEY = "napari_cliper"
"""What an image's record in COCO JSON has of a plane: ``stack`` and ``position``."""

_SUFFIX = re.compile(r"_(plane|[tzc])(\d{1,9})")

_LETTERS: Mapping[str, str] = MappingProxyType(
    {
        "t": "T", "time": "T", "frame": "T", "frames": "T",
        "z": "Z", "depth": "Z", "slice": "Z", "slices": "Z",
        "c": "C", "ch": "C", "channel": "C", "channels": "C",
    }
)  # fmt: skip

Position = tuple[tuple[str, int], ...]
"""Where a plane was in its stack: the letter of each leading axis and the index along it."""


def axes_from_names(names: Iterable[Any] | None, ndim: int) -> str:
    """A letter for each axis of an array.

    Parameters
    ----------
    names : iterable, optional
        A name or letter for each axis, such as "z", "Time" or "channel"; None where there are
        none. The last two axes are Y and X, whatever they are called.
    ndim : int
        Of the array, at least 2.

    Returns
    -------
    str
        `UNKNOWN` for a leading axis without a name, with a name of another kind, and with the
        name of one before it.
    """
    given = [] if names is None else [str(name).strip().lower() for name in names]
    leading = given[:-2] if len(given) == ndim else []
    letters: list[str] = []
    for axis in range(ndim - 2):
        letter = _LETTERS.get(leading[axis], UNKNOWN) if leading else UNKNOWN
        letters.append(UNKNOWN if letter in letters else letter)
    return "".join([*letters, "YX"])


def axis_words(axes: str) -> list[str]:
    """What each axis is called in a table: its letter, or ``axis 0`` by its place."""
    return [f"axis {i}" if letter == UNKNOWN else letter for i, letter in enumerate(axes)]


def napari_names(axes: str) -> tuple[str, ...]:
    """Axis labels for napari: lower case letters, and its own numbers where nothing is known."""
    return tuple(
        str(i - len(axes)) if letter == UNKNOWN else letter.lower() for i, letter in enumerate(axes)
    )


def plane_suffix(axes: str, index: Sequence[int], shape: Sequence[int]) -> str:
    """What a plane's name ends with: ``_t0``, ``_z03``, ``_plane0`` where the axis is unknown."""
    parts = (
        f"_{'plane' if letter == UNKNOWN else letter.lower()}{i:0{len(str(size - 1))}}"
        for letter, i, size in zip(axes, index, shape, strict=False)
    )
    return "".join(parts)


def position_of_suffix(suffix: str) -> Position:
    """The position that a `plane_suffix` tells; empty for any other text."""
    found = tuple(
        (UNKNOWN if word == "plane" else word.upper(), int(index))
        for word, index in _SUFFIX.findall(suffix)
    )
    return found if _SUFFIX.sub("", suffix) == "" else ()


def position_to_record(position: Position) -> list[list[Any]]:
    """A position as JSON has it."""
    return [list(one) for one in position]


def position_from_record(record: Any) -> Position:
    """A position from JSON.

    Raises
    ------
    ValueError
        For anything else.
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
    """Where labels go in a larger array, by the names of the axes.

    Axes of the same letter belong together, and axes of length 1 may be missing on either side.
    Where a name is unknown, the axes that are left belong together in their order, if they are
    equally long. An axis that the labels do not have is taken from their position, else from
    the plane.

    Parameters
    ----------
    source : str
        What the labels are called in an error.
    axes, shape
        Of the labels.
    position : Position
        Where a plane was in its stack; empty where that is not known.
    target_axes, target_shape
        Of the array.
    plane : tuple of int
        Indices of the array's leading axes: the plane that is shown.

    Returns
    -------
    place : tuple of int or slice
        The index into the array, one entry for each of its axes.
    order : tuple of int
        The axes of the labels in the order of the slices; those left out have length 1.

    Raises
    ------
    InvalidInputError
        For labels that do not fit, with the axes and sizes of both.
    """

    def refused(why: str) -> InvalidInputError:
        return InvalidInputError(
            f"The labels of {source} are {described(axes, shape)} pixels, the image is "
            f"{described(target_axes, target_shape)}: {why}. Import them onto the image they were "
            "made for; they are not resized."
        )

    if shape[-2:] != target_shape[-2:]:
        raise refused("rows and columns differ")
    known = dict(position)
    leading, targets = range(len(shape) - 2), range(len(target_shape) - 2)
    source_of: dict[int, int] = {}
    for axis in targets:
        letter = target_axes[axis]
        if letter != UNKNOWN and letter in axes[:-2]:
            own = axes.index(letter)
            if shape[own] == target_shape[axis]:
                source_of[axis] = own
            elif shape[own] != 1:
                raise refused(f"axis {letter} differs")
    rest = [axis for axis in leading if shape[axis] > 1 and axis not in source_of.values()]
    if rest:
        open_ones = [
            axis for axis in targets
            if axis not in source_of and target_shape[axis] > 1 and target_axes[axis] not in known
        ]  # fmt: skip
        pairs = list(zip(rest, open_ones, strict=False))
        if len(open_ones) != len(rest) or any(shape[a] != target_shape[b] for a, b in pairs):
            raise refused("the planes differ in number")
        if any(UNKNOWN not in (axes[a], target_axes[b]) for a, b in pairs):
            raise refused("their axes are of different kinds")
        source_of |= {axis: own for own, axis in pairs}
    indices = dict(enumerate(plane))
    left = list(position)
    others = [axis for axis in targets if axis not in source_of]
    for axis in sorted(others, key=lambda axis: target_axes[axis] not in known):
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


def described(axes: str, shape: Sequence[int]) -> str:
    """Sizes with the letters of leading axes, such as ``T 3 x 64 x 64``."""
    return " x ".join(
        f"{size}" if letter in (UNKNOWN, "Y", "X") else f"{letter} {size}"
        for letter, size in zip(axes, shape, strict=True)
    )
