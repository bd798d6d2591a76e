"""How an image is cut into tiles: the user's request, and the layout for one image.

All tiles lie on one grid of CLIP's patches that covers the whole image, so that what the networks
compute from them can be joined without resampling. Loads no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from .errors import InvalidInputError

SMALLEST_SIDE = 32
"""Pixels of the smallest tile."""

DIFFUSION_SIDE = 512
"""Pixels of the smallest tile with Stable Diffusion, which sees 512 x 512 of them."""


@dataclass(frozen=True)
class Tiles:
    """Encode an image in overlapping tiles, so that small objects in it are found.

    Parameters
    ----------
    side : int
        Side of the square tiles, in pixels of the image.
    overlap : int, optional
        How far neighbouring tiles overlap, in pixels of the image. Default: a quarter of the side;
        half of it with Stable Diffusion.
    scale : float, optional
        Pixels that the networks see for each pixel of the image. Default: the side of a tile
        becomes the shorter side of the settings.

    Raises
    ------
    InvalidInputError
        For values that are not numbers, and numbers out of range.
    """

    side: int
    overlap: int | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        """Check all fields."""
        from .type_checks import check_fields  # noqa: PLC0415 - pydantic, not for --help

        check_fields(self)
        if not self.side >= SMALLEST_SIDE:  # NaN too
            raise InvalidInputError(
                f"A tile of {self.side} px is too small. Choose at least {SMALLEST_SIDE} px."
            )
        if self.overlap is not None and not 0 <= self.overlap < self.side:
            raise InvalidInputError(
                f"Tiles of {self.side} px cannot overlap by {self.overlap} px. Choose 0 to "
                f"{self.side - 1} px; a quarter of the side is usual."
            )
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise InvalidInputError(f"The scale of tiles is {self.scale}; it must be above 0.")


@dataclass(frozen=True)
class Window:
    """A rectangle, in pixels or in patches; ends are exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the rectangle in an array of the whole."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def in_patches(self, patch: int) -> Window:
        """Convert from pixels to patches; the sides must be aligned to patches."""
        return Window(
            self.top // patch, self.left // patch, self.bottom // patch, self.right // patch
        )

    def in_pixels(self, patch: int) -> Window:
        """Convert from patches to pixels that the network sees."""
        return Window(self.top * patch, self.left * patch, self.bottom * patch, self.right * patch)

    def grown(self, by: int, shape: tuple[int, int]) -> Window:
        """The rectangle with a margin, as far as an array of this shape has it."""
        return Window(
            max(self.top - by, 0), max(self.left - by, 0),
            min(self.bottom + by, shape[0]), min(self.right + by, shape[1]),
        )  # fmt: skip

    def inside(self, shape: tuple[int, int]) -> Window:
        """Return the rectangle itself, of an array of this shape.

        Raises
        ------
        InvalidInputError
            If a part of it lies outside.
        """
        height, width = shape
        if not (0 <= self.top <= self.bottom <= height and 0 <= self.left <= self.right <= width):
            raise InvalidInputError(
                f"The window has the rows {self.top} to {self.bottom} and the columns {self.left} "
                f"to {self.right}, the image is {height} x {width}. Choose one inside of it."
            )
        return self

    def within(self, other: Window) -> Window:
        """The part of this rectangle that lies in another one, relative to its corner.

        Its sides are 0 or less if there is none.
        """
        return Window(
            max(self.top, other.top) - other.top, max(self.left, other.left) - other.left,
            min(self.bottom, other.bottom) - other.top, min(self.right, other.right) - other.left,
        )  # fmt: skip


@dataclass(frozen=True)
class TileLayout:
    """The tiles of one image, on a grid of patches.

    Parameters
    ----------
    shape : (int, int)
        (Y, X) of the image in pixels.
    grid : (int, int)
        Rows and columns of patches over the whole image.
    tile : (int, int)
        Rows and columns of patches of a tile.
    stride : (int, int)
        Patches from one tile to the next.
    patch : int
        Side of a patch, in pixels that the network sees.
    """

    shape: tuple[int, int]
    grid: tuple[int, int]
    tile: tuple[int, int]
    stride: tuple[int, int]
    patch: int

    @property
    def scaled(self) -> tuple[int, int]:
        """(H, W) of the whole image as the networks see it."""
        return self.grid[0] * self.patch, self.grid[1] * self.patch

    @property
    def cells(self) -> tuple[Window, ...]:
        """The patches of each tile, row by row; the last of a row is moved back inside."""
        return tuple(
            Window(top, left, top + self.tile[0], left + self.tile[1])
            for top, left in product(*(self._starts(axis) for axis in (0, 1)))
        )

    def cell(self, index: int) -> Window:
        """The patches of one tile; see `cells`."""
        rows, columns = (list(self._starts(axis)) for axis in (0, 1))
        top, left = rows[index // len(columns)], columns[index % len(columns)]
        return Window(top, left, top + self.tile[0], left + self.tile[1])

    def __len__(self) -> int:
        """Return the number of tiles."""
        return math.prod(len(list(self._starts(axis))) for axis in (0, 1))

    def touching(self, cells: Window) -> Iterator[tuple[int, Window]]:
        """Yield index and patches of each tile that overlaps some patches, in order."""
        rows, columns = (list(self._starts(axis)) for axis in (0, 1))
        for row, top in enumerate(rows):
            if top < cells.bottom and top + self.tile[0] > cells.top:
                for column, left in enumerate(columns):
                    if left < cells.right and left + self.tile[1] > cells.left:
                        place = Window(top, left, top + self.tile[0], left + self.tile[1])
                        yield row * len(columns) + column, place

    def parts(self, side: int) -> Iterator[tuple[Window, Window]]:
        """Yield squares of patches that cover the grid, and the pixels of the image in each.

        The pixels of all parts are those of the image, each once.

        Parameters
        ----------
        side : int
            Of a square, in patches; those at the end of the grid are smaller.
        """
        for cells in squares(self.grid, side):
            scaled = cells.in_pixels(self.patch)
            (top, bottom), (left, right) = (
                [math.floor(end * have / want) for end in ends]
                for ends, have, want in zip(
                    ((scaled.top, scaled.bottom), (scaled.left, scaled.right)),
                    self.shape,
                    self.scaled,
                    strict=True,
                )
            )
            yield cells, Window(top, left, bottom, right)

    def _starts(self, axis: int) -> Iterator[int]:
        return starts(self.grid[axis], self.tile[axis], self.stride[axis])


def squares(shape: tuple[int, int], side: int) -> Iterator[Window]:
    """Yield squares that cover a rectangle, row by row; those at its end are smaller."""
    for top, left in product(range(0, shape[0], side), range(0, shape[1], side)):
        yield Window(top, left, min(top + side, shape[0]), min(left + side, shape[1]))


def starts(length: int, side: int, stride: int) -> Iterator[int]:
    """Start positions of windows along an axis; the last is moved back inside."""
    count = max(length - side + stride - 1, 0) // stride + 1
    return (max(min(index * stride, length - side), 0) for index in range(count))


def tile_layout(
    shape: tuple[int, int], tiles: Tiles, *, overlap: int, shorter_side: int, patch: int
) -> TileLayout:
    """Return the tiles of an image.

    Sides and positions are rounded to whole patches; a distance of half a patch is rounded up, as
    a shorter one can take a row of tiles more. An image that is smaller than a tile is one
    tile, scaled like any other.

    Parameters
    ----------
    shape : (int, int)
        (Y, X) of the image in pixels.
    tiles : Tiles
    overlap : int
        Used if `tiles` has none, in pixels of the image.
    shorter_side : int
        Side of a tile as the networks see it, in pixels, if `tiles` has no scale.
    patch : int
        Side of a patch in pixels that the network sees.
    """
    scale = tiles.scale or shorter_side / tiles.side
    side = max(round(tiles.side * scale / patch), 1)
    scale = side * patch / tiles.side  # exact, so that a tile has whole patches
    shared = overlap if tiles.overlap is None else tiles.overlap
    stride = max(math.floor((tiles.side - shared) / tiles.side * side + 0.5), 1)
    height, width = (max(round(length * scale / patch), 1) for length in shape)
    return TileLayout(
        shape=shape,
        grid=(height, width),
        tile=(min(side, height), min(side, width)),
        stride=(stride, stride),
        patch=patch,
    )
