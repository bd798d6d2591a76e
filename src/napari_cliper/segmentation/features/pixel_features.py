"""Colour, edges and texture around each pixel at several scales, for a pixel classifier.

Pure functions. Notation: F features, P pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2lab
from torch import Tensor

from ..tiles import Window
from .interpolation import bilinear_region

SCALES = ((0.7, 1.5), (1.5, 3.0), (3.0,))
"""Standard deviations of the Gaussians in pixels of each level; a level has half the resolution of
the one before."""
REACH = 3
"""How far a Gaussian reaches, in standard deviations."""
EDGES = 3
"""Features of edges at each scale."""
LEAST_SPREAD = 1e-3
"""Features that vary less than this over the image are 0."""


@dataclass(frozen=True, eq=False)
class PixelFeatures:
    """Features of all pixels of an image, coarse ones at a lower resolution.

    Parameters
    ----------
    levels : tuple of (F_i, h_i, w_i) float32 tensors
        Each feature has mean 0 and variance 1 over the image. Values between the points of a grid
        are interpolated bilinearly.
    shape : (int, int)
        (Y, X) of the image.
    """

    levels: tuple[Tensor, ...]
    shape: tuple[int, int]

    @property
    def count(self) -> int:
        """F, the number of features."""
        return sum(len(level) for level in self.levels)

    @property
    def comparable(self) -> int:
        """Number of the first features, which mean the same in all images; not of `with_level`."""
        return sum(len(level) for level in self.levels[: len(SCALES)])

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(level.nbytes for level in self.levels)

    def with_level(self, planes: Tensor) -> PixelFeatures:
        """Return a copy with more features, (F, h, w) on any grid."""
        return PixelFeatures((*self.levels, _standardised(planes)), self.shape)

    def at(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the features of P pixels, (P, F)."""
        found = []
        for level in self.levels:
            y, x = (
                torch.from_numpy((2 * np.asarray(at) + 1) / n - 1).float()
                for at, n in zip((rows, columns), self.shape, strict=True)
            )
            grid = torch.stack([x, y], dim=-1)[None, None]  # (1, 1, P, 2)
            values = F.grid_sample(level[None], grid, padding_mode="border", align_corners=False)
            found.append(values[0, :, 0].T)
        result: NDArray[np.float32] = torch.cat(found, dim=1).numpy()
        return result

    def lightness(self, start: int, stop: int) -> Tensor:
        """Return the first feature at some rows of pixels, (stop - start, X) float32."""
        return _rows(self.levels[0][:1], self.shape, start, stop)[0]

    def weighted(self, weights: NDArray[np.float32]) -> WeightedFeatures:
        """Return linear functions of the features at all pixels; weights are (K, F)."""
        fine, coarse, first = [], [], 0
        for level in self.levels:
            some = torch.from_numpy(weights[:, first : first + len(level)])
            first += len(level)
            if level.shape[1:] == self.shape:
                fine.append((level, some))
            else:
                coarse.append(_product(some, level))
        return WeightedFeatures(tuple(fine), tuple(coarse), self.shape)


@dataclass(frozen=True, eq=False)
class WeightedFeatures:
    """K linear functions of pixel features, summed at each pixel when they are asked for.

    Parameters
    ----------
    fine : tuple of ((F_i, Y, X), (K, F_i)) float32 tensors
        Features at the resolution of the image, and their weights.
    coarse : tuple of (K, h_i, w_i) float32 tensors
        The part of the functions that coarser features make up.
    shape : (int, int)
        (Y, X) of the image.
    """

    fine: tuple[tuple[Tensor, Tensor], ...]
    coarse: tuple[Tensor, ...]
    shape: tuple[int, int]

    @property
    def levels(self) -> list[Tensor]:
        """(K, h_i, w_i) float32 tensors; interpolated, they sum to the functions."""
        return [*(_product(weights, level) for level, weights in self.fine), *self.coarse]

    def rows(self, start: int, stop: int) -> Tensor:
        """Return the values of some rows of pixels, (K, stop - start, X) float32."""
        parts = [_product(weights, level[:, start:stop]) for level, weights in self.fine]
        parts += [_rows(level, self.shape, start, stop) for level in self.coarse]
        for part in parts[1:]:
            parts[0] += part
        return parts[0]


def pixel_features(
    pixels: NDArray[np.uint8], shape: tuple[int, int] | None = None
) -> PixelFeatures:
    """Return features of an image's pixels.

    For lightness and, in colour images, the two colour axes of CIELAB: the smoothed value; for
    lightness also the gradient magnitude and both eigenvalues of the Hessian. At six scales.

    Parameters
    ----------
    pixels : (Y, X, 3) uint8 array
        Image with the contrast in which it is shown.
    shape : (int, int), optional
        (Y, X) of the whole image, if `pixels` is a smaller copy of it.
    """
    levels = map(_standardised, _levels(_lab(pixels[..., :1] if _is_grey(pixels) else pixels)))
    return PixelFeatures(tuple(levels), shape or (pixels.shape[0], pixels.shape[1]))


def colour_levels(pixels: NDArray[np.uint8]) -> list[Tensor]:
    """Return the same features of a colour image in their own units, also for a grey image.

    Parameters
    ----------
    pixels : (Y, X, 3) uint8 array

    Returns
    -------
    list of (F_i, h_i, w_i) float32 tensors
        Level i has 1 / 2^i of the rows and columns, rounded up.
    """
    if not _is_grey(pixels):
        return list(_levels(_lab(pixels)))
    lightness = _lab(pixels[..., :1])[0]
    levels = []
    for level in _levels([lightness]):
        planes = level.reshape(-1, 1 + EDGES, *level.shape[1:])
        colour = planes.new_zeros(len(planes), 2, *level.shape[1:])
        levels.append(torch.cat([planes[:, :1], colour, planes[:, 1:]], dim=1).flatten(0, 1))
    return levels


def _is_grey(pixels: NDArray[np.uint8]) -> bool:
    return bool((pixels[..., :1] == pixels).all())


def _levels(planes: Sequence[NDArray[np.float32]]) -> Iterator[Tensor]:
    """The features of each level, (F_i, h_i, w_i); the first plane is the lightness."""
    for index, scales in enumerate(SCALES):
        if index:
            planes = [_halved(plane) for plane in planes]
        found = []
        for scale in scales:
            smooth = [gaussian_filter(plane, scale, truncate=REACH) for plane in planes]
            found += [*smooth, *_edges(smooth[0])]
        yield torch.from_numpy(np.stack(found))


def _lab(pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    if pixels.shape[2] == 1:
        # The lightness of the 256 greys.
        greys = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
        lightness = rgb2lab(greys)[0, :, 0].astype(np.float32)
        return [lightness[pixels[..., 0]]]
    lab = rgb2lab(pixels.astype(np.float32) / np.float32(255))
    return [np.ascontiguousarray(lab[..., index]) for index in range(3)]


def _edges(smooth: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Gradient magnitude, and larger and smaller eigenvalue of the Hessian."""
    padded = np.pad(smooth, 1, mode="edge")
    up, down, left, right = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    gradient = np.hypot(down - up, right - left)
    yy, xx = up + down - 2 * smooth, left + right - 2 * smooth
    xy = (padded[2:, 2:] + padded[:-2, :-2] - padded[2:, :-2] - padded[:-2, 2:]) / 4
    middle, radius = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    return [gradient, middle + radius, middle - radius]


def _halved(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    halved: NDArray[np.float32] = F.avg_pool2d(
        torch.from_numpy(plane)[None, None], 2, ceil_mode=True, count_include_pad=False
    )[0, 0].numpy()
    return halved


def _standardised(planes: Tensor) -> Tensor:
    """Shift and scale each plane to mean 0 and variance 1."""
    mean = planes.mean(dim=(1, 2), keepdim=True)
    spread = planes.std(dim=(1, 2), keepdim=True)
    return torch.where(spread > LEAST_SPREAD, (planes - mean) / spread.clamp(min=1e-12), 0.0)


def _rows(level: Tensor, shape: tuple[int, int], start: int, stop: int) -> Tensor:
    """Return some rows of an image from (C, h, w) planes, interpolated bilinearly."""
    if level.shape[1:] == shape:
        return level[:, start:stop]
    return bilinear_region(level, shape, Window(start, 0, stop, shape[1]))


def _product(weights: Tensor, level: Tensor) -> Tensor:
    """Return weighted sums, (K, h, w), of (F, h, w) planes; weights are (K, F)."""
    return (weights @ level.flatten(1)).view(len(weights), *level.shape[1:])
