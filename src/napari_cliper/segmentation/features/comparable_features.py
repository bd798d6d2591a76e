"""Pixel features that can be compared between images, also of images too large to hold them.

Each feature is taken twice: standardised over its image, which removes differences of stain and
exposure, and in its own units, which does not depend on what else is in the image.

Notation: F features, P pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..tiles import Window, squares
from .interpolation import interpolated
from .pixel_features import EDGES, LEAST_SPREAD, SCALES, colour_levels
from .preprocessing import RGBImage
from .tiled_image import TiledImage

COUNT = (3 + EDGES) * sum(map(len, SCALES))
"""F, the number of features."""
BLOCK = 512
"""Side of the parts of an image that are computed at once, in pixels."""
STEP = 2 ** (len(SCALES) - 1)
MARGIN = 12 * STEP
"""How far features depend on other pixels, rounded up to a multiple of `STEP`."""
MEASURED_BLOCKS = 16
"""Most blocks from which mean and variance are taken."""


class ComparableFeatures:
    """Features of an image's pixels, computed for a part of it at a time.

    Parameters
    ----------
    image : RGBImage or TiledImage
        With the contrast in which it is encoded.

    Attributes
    ----------
    mean, scale : (F,) float32 tensors
        A feature is standardised as ``(value - mean) * scale``; `scale` is 0 for constant features.
    """

    def __init__(self, image: RGBImage | TiledImage) -> None:
        self.image = image
        blocks = list(squares(image.shape, BLOCK))
        chosen = np.linspace(0, len(blocks) - 1, min(len(blocks), MEASURED_BLOCKS)).astype(int)
        total, square, pixels = torch.zeros(COUNT), torch.zeros(COUNT), 0
        for index in chosen.tolist():
            planes = self._planes(blocks[index])
            total += planes.sum(dim=(1, 2))
            square += (planes**2).sum(dim=(1, 2))
            pixels += planes[0].numel()
        self.mean = total / pixels
        spread = (square / pixels - self.mean**2).clamp(min=0).sqrt()
        self.scale = torch.where(spread > LEAST_SPREAD, 1 / spread.clamp(min=LEAST_SPREAD), 0.0)

    def at(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the features of pixels, (P, 2 F): standardised, then in their own units."""
        found = torch.zeros(len(rows), COUNT)
        for block in squares(self.image.shape, BLOCK):
            inside = (block.top <= rows) & (rows < block.bottom)
            inside &= (block.left <= columns) & (columns < block.right)
            if inside.any():
                places = (rows[inside] - block.top, columns[inside] - block.left)
                y, x = (torch.from_numpy(one.astype(np.int64)) for one in places)
                found[torch.from_numpy(inside)] = self._planes(block)[:, y, x].T
        both: NDArray[np.float32]
        both = torch.cat([(found - self.mean) * self.scale, found], dim=1).numpy()
        return both

    def weighted(self, weights: Tensor, limits: Tensor, window: Window) -> Tensor:
        """Return linear functions of the features in their own units, (K, height, width).

        Parameters
        ----------
        weights : (2, K, F) float32 tensor
            Of the features, and of the features clipped to `limits`.
        limits : (2, F) float32 tensor
            Lowest and highest value.
        window : Window
        """
        levels, start = [], 0
        for level in self._levels(window):
            part = slice(start, start + len(level))
            start += len(level)
            values = level.flatten(1)
            clipped = values.clamp(limits[0, part, None], limits[1, part, None])
            found = weights[0, :, part] @ values + weights[1, :, part] @ clipped
            levels.append(found.reshape(-1, *level.shape[1:]))
        return torch.stack(self._enlarged(levels, window)).sum(dim=0)

    def _planes(self, window: Window) -> Tensor:
        """All features of a part of the image, (F, height, width)."""
        return torch.cat(self._enlarged(self._levels(window), window))

    def _levels(self, window: Window) -> list[Tensor]:
        region = self._region(window)
        if isinstance(self.image, RGBImage):
            return colour_levels(self.image.pixels[region.slices])
        return colour_levels(self.image.region(region))

    def _enlarged(self, levels: list[Tensor], window: Window) -> list[Tensor]:
        """Levels of a region at the pixels of its window."""
        region = self._region(window)
        top, left = window.top - region.top, window.left - region.left
        height, width = window.shape
        found = []
        for index, level in enumerate(levels):
            shape = (level.shape[1] << index, level.shape[2] << index)
            full = interpolated(level, shape)
            found.append(full[:, top : top + height, left : left + width])
        return found

    def _region(self, window: Window) -> Window:
        """The pixels that features of a window depend on; it starts at a multiple of `STEP`."""
        height, width = self.image.shape
        return Window(
            max(window.top // STEP * STEP - MARGIN, 0),
            max(window.left // STEP * STEP - MARGIN, 0),
            min(window.bottom + MARGIN, height),
            min(window.right + MARGIN, width),
        )
