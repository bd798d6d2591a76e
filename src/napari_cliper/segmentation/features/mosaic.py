"""Maps of overlapping tiles, blended into one mosaic. Pure functions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..tiles import TileLayout, Window
from ..working_size import OBJECTS_ACROSS


class Mosaic:
    """The weighted mean of the maps of tiles, on the grid of their patches.

    The weight of a tile is a Hann window: highest in its centre and never 0, also at the edges of
    the image, where there is no other tile.

    Parameters
    ----------
    layout : TileLayout
    finer : int
        Cells of the mosaic along each side of a patch.
    within : Window, optional
        The part of the mosaic that is computed, in its cells. Default: all of it.
    """

    def __init__(self, layout: TileLayout, finer: int = 1, within: Window | None = None) -> None:
        self.finer = finer
        self._within = within or Window(0, 0, layout.grid[0] * finer, layout.grid[1] * finer)
        self._weight = _hann(layout.tile[0] * finer)[:, None] * _hann(layout.tile[1] * finer)
        self._total: Tensor | None = None
        self._weights = torch.zeros(self._within.shape)

    def add(self, maps: Tensor | None, cells: Window) -> None:
        """Add the (C, h, w) maps of a tile, on any grid; None for zeros."""
        place = cells.in_pixels(self.finer)
        here, part = place.within(self._within).slices, self._within.within(place).slices
        self._weights[here] += self._weight[part]
        if maps is None:
            return
        if self._total is None:
            self._total = torch.zeros(len(maps), *self._within.shape)
        found = resampled(maps.float(), place.shape)
        self._total[:, *here] += found[:, *part] * self._weight[part]

    def result(self, count: int) -> Tensor:
        """The mosaic, (count, h, w) float32, where `count` is the number of maps."""
        if self._total is None:
            return torch.zeros(count, *self._within.shape)
        return self._total / self._weights


def _hann(cells: int) -> Tensor:
    """A Hann window that is above 0 at every cell, (cells,)."""
    return torch.sin(math.pi * (torch.arange(cells) + 0.5) / cells) ** 2


def resampled(maps: Tensor, shape: tuple[int, int]) -> Tensor:
    """Resample (C, h, w) maps to a grid: means over cells where it is coarser, else bilinear."""
    if maps.shape[1:] == shape:
        return maps
    if maps.shape[1] >= shape[0] and maps.shape[2] >= shape[1]:
        return F.adaptive_avg_pool2d(maps, shape)
    return F.interpolate(maps[None], size=shape, mode="bilinear", align_corners=False)[0]


def presence(maps: Tensor, layout: TileLayout) -> Tensor:
    """Return the score for the presence of each class in a mosaic, (C,).

    For an image of the size of one tile it is the maximum of the class's map. The maximum of more
    tiles would grow with their number, also for classes that are absent. For an image of n times
    the area of a tile it is therefore the sqrt(n)-th highest value, but none that lies outside of
    a single object in the whole image: at most as many values as half of such an object covers.

    Parameters
    ----------
    maps : (C, h, w) tensor
        On the grid of the layout.
    layout : TileLayout
    """
    return maps.flatten(1).topk(presence_rank(layout), dim=1).values[:, -1]


def presence_rank(layout: TileLayout) -> int:
    """Return which of the highest values is the score for presence, from 1; see `presence`."""
    tile = math.prod(layout.tile)
    return presence_rank_of(math.prod(layout.grid) / tile, tile)


def presence_rank_of(area: float, tile: int) -> int:
    """Return the rank for an area in tiles of so many cells."""
    of_object = math.pi / 4 * tile / OBJECTS_ACROSS**2
    return max(round(min(math.sqrt(area), of_object / 2)), 1)
