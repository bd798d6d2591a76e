"""Maps refined at the pixels of a large image, a part of the image at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..features.interpolation import bilinear_region, needed
from ..features.pixel_planes import PixelPlanes
from ..features.preprocessing import Resampling
from ..features.tiled_image import TiledImage
from ..progress import Monitor
from ..recent import RecentCache
from ..tiles import TileLayout, Window
from .protocol import PixelRefiner

CHUNK = 512
"""Side of a part, in pixels that the networks see."""

SMALL = 0.25
"""A window with less than this share of a part's pixels is not refined by itself."""

BLOCK_PIXELS = 1 << 20
"""Pixels of the image that are summarised at once."""

CACHE_BYTES = 1 << 28
"""Bytes of refined parts that are kept in memory."""


class Summary(NamedTuple):
    """Summary of refined planes over the image or a part of it.

    Parameters
    ----------
    means, maxima : (C, h, w) float32 tensor
        Of each patch.
    low, high : (C,) float32 tensor
        The lowest and the highest value over the pixels of the image.
    """

    means: Tensor
    maxima: Tensor
    low: Tensor
    high: Tensor


class RefinedPlanes:
    """Refined maps at the pixels of an image, as `pixel_planes.PixelPlanes`.

    A part is refined with as much of the image around it as the refiner can reach, so that the
    values are those of refining the whole image at once.

    Parameters
    ----------
    coarse : PixelPlanes
        The coarse maps at the pixels that the networks see.
    image : TiledImage
    layout : TileLayout
    refiner : PixelRefiner
    resampling : str
        How the image is scaled.
    keeps : bool
        Whether refined parts are kept in memory, up to `CACHE_BYTES`.
    """

    def __init__(
        self,
        coarse: PixelPlanes,
        image: TiledImage,
        layout: TileLayout,
        refiner: PixelRefiner,
        resampling: Resampling,
        *,
        keeps: bool = True,
    ) -> None:
        self.coarse, self.image, self.layout = coarse, image, layout
        self._refiner, self._resampling, self._keeps = refiner, resampling, keeps
        self._chunks = {
            window: cells.in_pixels(layout.patch)
            for cells, window in layout.parts(part_side(layout.patch))
        }
        self._kept = RecentCache[Window, Tensor](CACHE_BYTES)

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of the image."""
        return self.layout.shape

    @property
    def count(self) -> int:
        """Number of planes."""
        return self.coarse.count

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.coarse.nbytes + self._kept.nbytes

    def windows(self) -> Iterator[Window]:
        """Parts of the image, row by row."""
        yield from self._chunks

    def at(self, window: Window, chosen: Sequence[int] | None = None) -> Tensor:
        """Planes in a part of the image, (C, height, width) float32.

        A small part is taken from refined parts that are kept.
        """
        scale = math.prod(self.layout.scaled) / math.prod(self.shape)
        whole = window in self._chunks or not self._keeps
        if whole or math.prod(window.shape) * scale > SMALL * CHUNK**2:
            region = self._region(window)
            return self._interpolated(self._refined(region, Monitor(), chosen), region, window)
        count = self.count if chosen is None else len(chosen)
        found = torch.empty(count, *window.shape)
        for part in self._chunks:
            here = part.within(window)
            if min(here.shape) > 0:
                inside = Window(
                    here.top + window.top, here.left + window.left,
                    here.bottom + window.top, here.right + window.left,
                )  # fmt: skip
                region = self._region(part)
                planes = self._refined(region, Monitor())
                planes = planes if chosen is None else planes[list(chosen)]
                found[:, *here.slices] = self._interpolated(planes, region, inside)
        return found

    def _interpolated(self, planes: Tensor, region: Window, window: Window) -> Tensor:
        """Planes of a region at the pixels of a part of the image in it."""
        origin = (region.top, region.left)
        return bilinear_region(planes, self.shape, window, grid=self.layout.scaled, origin=origin)

    def summary(self, monitor: Monitor) -> Summary:
        """Refine every part once, and summarise the planes."""
        means, maxima = torch.empty(2, self.count, *self.layout.grid)
        low, high = [], []
        for done, (window, chunk) in enumerate(self._chunks.items()):
            monitor.tell("Refining the tiles", done, len(self._chunks))
            cells = chunk.in_patches(self.layout.patch)
            part = self.summary_of(window, cells, monitor.downloads_only())
            means[:, *cells.slices], maxima[:, *cells.slices] = part.means, part.maxima
            low.append(part.low)
            high.append(part.high)
        return Summary(means, maxima, torch.stack(low).amin(dim=0), torch.stack(high).amax(dim=0))

    def summary_of(self, window: Window, cells: Window, monitor: Monitor) -> Summary:
        """Refine one part, a row of `TileLayout.parts` of `part_side`, and summarise its planes."""
        region, chunk = self._region(window), cells.in_pixels(self.layout.patch)
        planes = self._refined(region, monitor)
        low, high = [], []
        rows = max(BLOCK_PIXELS // window.shape[1], 1)
        for top in range(window.top, window.bottom, rows):
            monitor.check()
            bottom = min(top + rows, window.bottom)
            place = Window(top, window.left, bottom, window.right)
            block = self._interpolated(planes, region, place)
            low.append(block.flatten(1).amin(dim=1))
            high.append(block.flatten(1).amax(dim=1))
        inside = planes[:, *chunk.within(region).slices]
        means = F.avg_pool2d(inside, self.layout.patch)
        maxima = F.max_pool2d(inside, self.layout.patch)
        return Summary(means, maxima, torch.stack(low).amin(dim=0), torch.stack(high).amax(dim=0))

    def _region(self, window: Window) -> Window:
        """What is refined for a window, in pixels that the networks see."""
        read = needed(window, self.shape, self.layout.scaled)
        chunk = self._chunks.get(window, read)
        return Window(
            min(read.top, chunk.top), min(read.left, chunk.left),
            max(read.bottom, chunk.bottom), max(read.right, chunk.right),
        )  # fmt: skip

    def _refined(
        self, region: Window, monitor: Monitor, chosen: Sequence[int] | None = None
    ) -> Tensor:
        """The refined maps of a region, (C, height, width); kept in memory if they are all."""
        known = self._kept.get(region)
        if known is not None:
            return known if chosen is None else known[list(chosen)]
        around = region.grown(self._refiner.reach, self.layout.scaled)
        maps = self.coarse.at(around, chosen)
        pixels = self.image.scaled(around, self.layout.scaled, self._resampling)
        refined = self._refiner.refine_pixels(maps, pixels, monitor)
        top, left = region.top - around.top, region.left - around.left
        found = refined[:, top : top + region.shape[0], left : left + region.shape[1]].clone()
        if chosen is None and self._keeps:
            self._kept.put(region, found)
        return found


def part_side(patch: int) -> int:
    """Return the side of a part in patches."""
    return max(CHUNK // patch, 1)
