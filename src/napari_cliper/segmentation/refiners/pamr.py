"""PAMR: refinement by the colours of neighbouring pixels.

Source: Araslanov and Roth, CVPR 2020, sec. 3.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from ..features.interpolation import interpolated
from ..features.preprocessing import RGBPixels
from ..progress import Monitor
from ..results import ImageEmbedding
from .protocol import PixelRefiner

ITERATIONS, DILATIONS = 10, (1, 2, 4, 8)


class Pamr(PixelRefiner):
    """Averages maps over neighbouring pixels of similar colour; needs no network."""

    reach = ITERATIONS * max(DILATIONS)

    def refine(self, maps: Tensor, embedding: ImageEmbedding, monitor: Monitor) -> Tensor:
        """Refine the maps; the result has the size of the resized image."""
        return self.refine_pixels(maps, embedding.resized, monitor)

    def refine_pixels(self, maps: Tensor, pixels: RGBPixels, monitor: Monitor) -> Tensor:
        """Refine the maps of an image or of a part of it."""
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        return refine_with_colours(
            maps, image, iterations=ITERATIONS, dilations=DILATIONS, monitor=monitor
        )


def refine_with_colours(
    maps: Tensor,
    image: Tensor,
    *,
    iterations: int,
    dilations: Sequence[int],
    monitor: Monitor | None = None,
) -> Tensor:
    """Average maps over neighbouring pixels of similar colour.

    Each iteration replaces the values of a pixel by a weighted mean over its 8 neighbours at every
    dilation. The weights are the softmax of the negative colour difference divided by the local
    standard deviation (Araslanov and Roth 2020, eq. 5-6).

    Parameters
    ----------
    maps : (T, h, w) float tensor
    image : (3, H, W) float tensor
        In any range; the result has its size.
    iterations : int
    dilations : sequence of int
        Distances of the neighbours, in pixels of `image`.

    Returns
    -------
    (T, H, W) float32 tensor
        In the range of `maps`.
    """
    monitor = monitor or Monitor()
    shape = (image.shape[1], image.shape[2])
    weights = _colour_weights(image.float(), dilations)  # (8 * dilations, H, W)
    maps = interpolated(maps, shape)
    for iteration in range(iterations):
        monitor.tell("Refining by colour", iteration, iterations)
        total = torch.zeros_like(maps)
        for weight, neighbour in zip(weights, _neighbours(maps, dilations), strict=True):
            total.addcmul_(weight, neighbour)
        maps = total
    return maps


def _neighbours(planes: Tensor, dilations: Sequence[int]) -> Iterator[Tensor]:
    """(C, H, W) planes shifted to each of the 8 neighbours at each dilation; edges are repeated."""
    height, width = planes.shape[-2:]
    reach = max(dilations)
    padded = F.pad(planes[None], (reach,) * 4, mode="replicate")[0]
    for d in dilations:
        for dy, dx in product((-d, 0, d), repeat=2):
            if dy or dx:
                top, left = reach + dy, reach + dx
                yield padded[:, top : top + height, left : left + width]


def _colour_weights(image: Tensor, dilations: Sequence[int]) -> Tensor:
    """Affinity of every pixel to its neighbours, (8 * dilations, H, W); sums to 1 per pixel."""
    total: Tensor | None = None
    for channel in image.split(1):  # one at a time, to save memory
        neighbours = torch.cat(list(_neighbours(channel, dilations)))  # (8 * dilations, H, W)
        # The deviation is over 3 x 3 pixels at every dilation, so the centre counts once for each.
        centres = channel.expand(len(dilations), -1, -1)
        deviation = _deviation(torch.cat([neighbours, centres]))
        difference = neighbours.sub_(channel).abs_().div_(1e-8 + 0.1 * deviation)
        total = difference if total is None else total.add_(difference)
    assert total is not None  # noqa: S101 - an image has channels
    return torch.softmax(total.div_(-len(image)), dim=0)


def _deviation(samples: Tensor) -> Tensor:
    """Standard deviation of (N, H, W) samples over N, overwriting them.

    `torch.std` takes several times as long on a CPU.
    """
    squares = samples.sub_(samples.mean(dim=0)).square_()
    return squares.sum(dim=0).div_(len(samples) - 1).sqrt_()
