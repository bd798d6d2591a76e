"""The size that an image is reduced to before CLIP sees it, and which objects that loses.

Sources of the sizes: CLIPer (arXiv 2411.13836); mmsegmentation's `Resize` for the other methods.
Loads no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .errors import InvalidInputError
from .tiles import DIFFUSION_SIDE, SMALLEST_SIDE, Tiles

if TYPE_CHECKING:
    from .config import SegmentationConfig

MIN_SIDE = 8
"""Pixels of the shorter side of the smallest image that is accepted."""

LONGEST = 2048
"""No side of a resized image exceeds this many pixels, except with CLIPer."""

SMALLEST_FOUND = 8
"""Pixels in the reduced image below which objects are lost: half a patch of ViT-B/16."""

OBJECTS_ACROSS = 4.4
"""How many objects lie side by side in a tile that is made for them, as in the images on which the
settings were chosen."""

NOTABLE_FACTOR = 3.0
"""Reductions below this lose no object that a microscope image usually shows."""


def patch_aligned_shape(shape: tuple[int, int], shorter_side: int, patch: int) -> tuple[int, int]:
    """Return the size that CLIPer resizes to, (height, width) in pixels.

    The shorter side becomes about `shorter_side`; both sides are rounded to multiples of `patch`.
    """
    ratio = shorter_side / min(shape)
    height, width = (max(int(side * ratio / patch + 0.5), 1) * patch for side in shape)
    return height, width


def kept_ratio_shape(shape: tuple[int, int], shorter_side: int) -> tuple[int, int]:
    """Return the size that the other methods resize to, (height, width) in pixels.

    The aspect ratio is preserved and no side exceeds `LONGEST`.
    """
    ratio = min(shorter_side / min(shape), LONGEST / max(shape))
    height, width = (max(int(side * ratio + 0.5), 1) for side in shape)
    return height, width


@dataclass(frozen=True)
class Reduction:
    """How much an image is reduced before CLIP sees it.

    Parameters
    ----------
    factor : float
        How many times the sides are shortened; below 1 for an image that is enlarged.
    """

    factor: float

    @property
    def smallest(self) -> float:
        """Diameter of the smallest objects that are found, in pixels of the image."""
        return SMALLEST_FOUND * self.factor

    @property
    def notable(self) -> bool:
        """Whether objects of ordinary size are lost."""
        return self.factor >= NOTABLE_FACTOR


def reduction(shape: tuple[int, int], config: SegmentationConfig) -> Reduction:
    """Return how much an image is reduced before CLIP sees it.

    Sliding windows change nothing: they lie on the reduced image. With tiles, each is reduced by
    itself.

    Parameters
    ----------
    shape : (int, int)
        Of the image or region, (Y, X) in pixels.
    config : SegmentationConfig
    """
    shorter_side = config.settings().shorter_side
    tiles = config.tiles
    if tiles is not None and tiles.scale is not None:
        return Reduction(1 / tiles.scale)
    if tiles is not None and max(shape) > tiles.side:
        return Reduction(tiles.side / shorter_side)
    if config.rule == "cliper":
        return Reduction(min(shape) / shorter_side)
    return Reduction(max(min(shape) / shorter_side, max(shape) / LONGEST))


def tiles_for_objects(size: float, config: SegmentationConfig) -> Tiles:
    """Return tiles in which objects of a given size are found.

    Parameters
    ----------
    size : float
        Diameter of the objects in pixels of the image. Those of less than about 7 px get the
        smallest tiles: to enlarge them more shows no more of them.
    config : SegmentationConfig
        Its method, model and refiner; its own tiles are ignored.

    Raises
    ------
    InvalidInputError
        For a size that is not a number above 0.
    """
    if not (math.isfinite(size) and size > 0):
        raise InvalidInputError(f"The object size is {size:g} px; it must be above 0.")
    seen = max(size * OBJECTS_ACROSS, SMALLEST_SIDE)
    if config.needs_diffusion and seen < DIFFUSION_SIDE:
        return Tiles(DIFFUSION_SIDE, scale=config.settings().shorter_side / seen)
    return Tiles(round(seen))


def objects_of_tiles(config: SegmentationConfig) -> float | None:
    """Return the object size that the tiles of a configuration suit; None without tiles.

    It is the inverse of `tiles_for_objects`, in pixels of the image.
    """
    tiles = config.tiles
    if tiles is None:
        return None
    seen = tiles.side if tiles.scale is None else config.settings().shorter_side / tiles.scale
    return round(seen / OBJECTS_ACROSS, 6)


def with_tiles_of(config: SegmentationConfig, other: SegmentationConfig) -> SegmentationConfig:
    """Return a configuration with the tiles of another one.

    Tiles that were made for objects of a size are made for the same objects with the method, model
    and refiner of `config`, and so are tiles that are too small for its refiner.

    Parameters
    ----------
    config : SegmentationConfig
        Its own tiles are ignored.
    other : SegmentationConfig
        Its tiles are used; None for none.
    """
    tiles, size = other.tiles, objects_of_tiles(other)
    config = replace(config, tiles=None)
    if tiles is None or size is None:
        return config
    too_small = config.needs_diffusion and tiles.side < DIFFUSION_SIDE
    if too_small or tiles == tiles_for_objects(size, other):
        tiles = tiles_for_objects(size, config)
    return replace(config, tiles=tiles)
