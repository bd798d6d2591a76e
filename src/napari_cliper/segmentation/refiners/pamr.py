"""PAMR: refinement by the colours of neighbouring pixels.

Source: Araslanov and Roth, CVPR 2020, sec. 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor

from ..features.interpolation import interpolated
from ..features.preprocessing import RGBPixels
from ..progress import Monitor
from ..results import ImageEmbedding
from .protocol import PixelRefiner

ITERATIONS, DILATIONS = 10, (1, 2, 4, 8)

ROWS = 32
"""Rows whose weights are computed at once, so that they stay in the CPU's cache."""

AT_ONCE = 1 << 18
"""Values of the maps that are averaged at once, for the same reason."""


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
    height, width = image.shape[1:]
    reach = max(dilations)
    weights = _colour_weights(image.float(), dilations)  # (8 * dilations, H, W)
    maps = interpolated(maps, (height, width))
    # Two arrays with repeated edges take turns: one is averaged into the inner part of the other.
    padded = [_padded(maps, reach) for _ in range(2)]
    inner = [one[:, reach : reach + height, reach : reach + width] for one in padded]
    rows = max(AT_ONCE // (len(maps) * width), 1)
    ends = [(top, min(top + rows, height)) for top in range(0, height, rows)]
    bands = [(slice(top, bottom), slice(top, bottom + 2 * reach)) for top, bottom in ends]
    steps = [
        [
            (
                target[:, band],
                weights[:, band].unbind(),
                list(chain.from_iterable(_neighbours(source[:, around], dilations))),
            )
            for band, around in bands
        ]
        for source, target in zip(padded, inner[::-1], strict=True)
    ]
    for iteration in range(iterations):
        monitor.tell("Refining by colour", iteration, iterations)
        if iteration:
            _repeat_edges(padded[iteration % 2], reach)
        for total, shares, neighbours in steps[iteration % 2]:
            total.zero_()
            for share, neighbour in zip(shares, neighbours, strict=True):
                total.addcmul_(share, neighbour)
    return inner[iterations % 2].contiguous()


def _padded(planes: Tensor, reach: int) -> Tensor:
    """(C, H, W) planes with repeated edges on all sides."""
    return F.pad(planes[None], (reach,) * 4, mode="replicate")[0]


def _repeat_edges(padded: Tensor, reach: int) -> None:
    """Repeat the edges of the inner part of padded planes, in place."""
    for planes in (padded, padded.mT):
        planes[:, :reach] = planes[:, reach : reach + 1]
        planes[:, -reach:] = planes[:, -reach - 1 : -reach]


def _neighbours(padded: Tensor, dilations: Sequence[int]) -> list[Tensor]:
    """Padded planes shifted to each of the 8 neighbours at each dilation; views, no copies.

    In groups of those above, beside and below at one dilation, (3 or 2, ..., H, W) each.
    """
    reach = max(dilations)
    height, width = (side - 2 * reach for side in padded.shape[-2:])
    groups = []
    for d in dilations:
        rows, columns = (slice(reach - d, reach + side + d) for side in (height, width))
        cells = padded[..., rows, columns].unfold(-2, height, d).unfold(-2, width, d)
        above, beside, below = cells.movedim((-4, -3), (0, 1))  # (3, ..., H, W) each
        groups += [above, beside[::2], below]
    return groups


def _colour_weights(image: Tensor, dilations: Sequence[int]) -> Tensor:
    """Affinity of every pixel to its neighbours, (8 * dilations, H, W); sums to 1 per pixel."""
    height, width = image.shape[1:]
    reach = max(dilations)
    padded = _padded(image, reach)
    weights = image.new_empty(8 * len(dilations), height, width)
    for top in range(0, height, ROWS):
        bottom = min(top + ROWS, height)
        differences = _differences(padded[:, top : bottom + 2 * reach], dilations)
        weights[:, top:bottom] = torch.softmax(differences.neg_(), dim=0)
    return weights


def _differences(padded: Tensor, dilations: Sequence[int]) -> Tensor:
    """Colour difference of every pixel from its neighbours, (8 * dilations, H, W).

    In units of the local standard deviation, mean of the channels.
    """
    reach = max(dilations)
    total: Tensor | None = None
    for channel in padded:
        neighbours = _neighbours(channel, dilations)
        centre = channel[reach:-reach, reach:-reach]
        # The deviation is over 3 x 3 pixels at every dilation, so the centre counts once for each.
        samples = torch.cat([*neighbours, centre.expand(len(dilations), -1, -1)])
        deviation = _deviation(samples)
        difference = samples[: 8 * len(dilations)].sub_(centre).abs_().div_(1e-8 + 0.1 * deviation)
        total = difference if total is None else total.add_(difference)
    assert total is not None  # noqa: S101 - an image has channels
    return total.div_(len(padded))


def _deviation(samples: Tensor) -> Tensor:
    """Standard deviation of (N, H, W) samples over N.

    `torch.std` takes several times as long on a CPU.
    """
    squares = (samples - samples.mean(dim=0)).square_()
    return squares.sum(dim=0).div_(len(samples) - 1).sqrt_()
