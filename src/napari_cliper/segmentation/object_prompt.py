"""What a user says about one object, and the tile of a large image that it is in. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import InvalidInputError

Box = tuple[float, float, float, float]

TILE = 1024
"""Side in pixels of the smallest tile that is encoded; a model sees about as many pixels."""


@dataclass(frozen=True)
class ObjectPrompt:
    """What a user says about one object: points in it, points outside, and a box around it.

    Parameters
    ----------
    inside, outside : tuple of (float, float)
        (row, column) in pixels of the image; integers are pixel centres.
    box : (float, float, float, float), optional
        Top, left, bottom and right, in the same coordinates.

    Raises
    ------
    InvalidInputError
        If there is neither a point inside nor a box.
    """

    inside: tuple[tuple[float, float], ...] = ()
    outside: tuple[tuple[float, float], ...] = ()
    box: Box | None = None

    def __post_init__(self) -> None:
        """Check that the prompt names an object."""
        if not self.inside and self.box is None:
            raise InvalidInputError("A prompt needs a point inside the object, or a box around it.")

    @property
    def places(self) -> tuple[tuple[float, float], ...]:
        """All points, and two corners of the box."""
        box = () if self.box is None else (self.box[:2], self.box[2:])
        return (*self.inside, *self.outside, *box)

    def moved(self, rows: float, columns: float) -> ObjectPrompt:
        """Return the prompt in the coordinates of a crop that starts at (rows, columns)."""

        def move(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
            return tuple((row - rows, column - columns) for row, column in points)

        box = self.box
        if box is not None:
            box = (box[0] - rows, box[1] - columns, box[2] - rows, box[3] - columns)
        return ObjectPrompt(move(self.inside), move(self.outside), box)


def tile_around(
    shape: tuple[int, int], places: Sequence[tuple[float, float]], view: float = 0
) -> tuple[slice, slice]:
    """Choose the tile of an image to encode for some clicks.

    Tiles are squares of 1024 pixels or a power of two more, and overlap by half, so that clicks
    near each other share a tile. An image of up to 1024 pixels is one tile.

    Parameters
    ----------
    shape : (int, int)
        (Y, X) of the image.
    places : sequence of (float, float)
        (row, column) of points and corners, in the image.
    view : float
        How many pixels of the image are in view along the longer side: someone who sees more of it
        means larger objects. The tile is at least as large.

    Returns
    -------
    (slice, slice)
        Rows and columns.

    Raises
    ------
    InvalidInputError
        If a place is outside of the image.
    """
    for row, column in places:
        if not (-0.5 <= row <= shape[0] - 0.5 and -0.5 <= column <= shape[1] - 0.5):
            raise InvalidInputError(
                f"The point ({row:.0f}, {column:.0f}) is outside of the image, which has "
                f"{shape[0]} x {shape[1]} pixels."
            )
    side = TILE
    while side < min(view, max(shape)):
        side *= 2
    while True:
        parts = [_part(n, [place[axis] for place in places], side) for axis, n in enumerate(shape)]
        if all(part is not None for part in parts):
            rows, columns = parts
            assert rows is not None and columns is not None  # noqa: S101, PT018 - see above
            return rows, columns
        side *= 2


def _part(n: int, positions: list[float], side: int) -> slice | None:
    """Return the part of an axis around some positions; None if they do not fit into one."""
    if n <= side:
        return slice(0, n)
    low, high = min(positions), max(positions)
    step = side // 2
    centre = (low + high) / 2
    start = min(max(round((centre - step) / step) * step, 0), n - side)
    return slice(start, start + side) if start <= low + 0.5 and high < start + side else None
