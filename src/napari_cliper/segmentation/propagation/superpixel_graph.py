"""Superpixels of an image and how alike they are, along which user hints propagate.

The image is divided into superpixels twice (SLIC: Achanta et al., TPAMI 2012):

- Small ones are joined to those with the nearest pixel features and to their neighbours, with
  local scaling (Zelnik-Manor and Perona, NIPS 2004). Labels follow edges along this graph.
- Larger ones are compared by patch features, colour and distance, and, if the refiner provides it,
  by Stable Diffusion's self-attention. A random walk with restart (Tong, Faloutsos and Pan, ICDM
  2006) tells which belong together.

Pure functions. Notation: n superpixels, m larger superpixels, N = h * w patches, D feature width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy import sparse
from skimage.color import rgb2lab
from skimage.segmentation import slic
from torch import Tensor

from ..features.interpolation import interpolated
from ..features.patch_features import patch_features
from ..features.pixel_features import PixelFeatures, pixel_features
from ..features.preprocessing import RGBImage
from ..features.tiled_image import TiledImage
from ..progress import Monitor
from ..refiners.attention_maps import LevelMap, SelfAttention
from ..results import ImageEmbedding
from .affinity import ImageAffinity

FEATURE_PIXELS, SMALL_PIXELS, LARGE_PIXELS = 1 << 22, 1 << 20, 1 << 18
"""Pixel features and both kinds of superpixels are computed on copies with at most this many pixels
each."""
COMPACTNESS = 10

PIXELS_EACH, FEWEST, MOST = 30, 800, 6000
"""Pixels of a small superpixel, unless there are fewer or more of them than this."""
NEIGHBOURS, SCALED_BY = 10, 7
"""Each superpixel is joined to this many like it; the distance to the `SCALED_BY`-th is 1."""
LEAST_LIKENESS = 1e-4
BLOCK = 1024
"""Rows of the matrix of distances that are computed at once."""
ENCODER_COMPONENTS = 8
"""Principal components of each grid of an encoder that count as pixel features."""

WALKED, PIXELS_EACH_WALKED = 1500, 16
"""Number of larger superpixels, unless they would have fewer pixels than this."""
FEATURE_SCALE = 20.0
COLOUR_SCALE = 15.0
"""In units of CIELAB, where 2 is a just noticeable difference."""
NEAR = 1.0
"""Distance scale of the similarity, as a fraction of the image's shorter side."""
RESTART = 0.1


def image_affinity(
    embedding: ImageEmbedding,
    monitor: Monitor | None = None,
    *,
    patches: Sequence[Tensor] = (),
    shape: tuple[int, int] | None = None,
) -> ImageAffinity:
    """Compute the superpixels of an image and their affinities; takes a few seconds.

    Parameters
    ----------
    embedding : ImageEmbedding
    monitor : Monitor, optional
        Reports ``"Preparing for corrections"``.
    patches : sequence of (D_i, h_i, w_i) float tensors
        Patch features of the same image by another encoder, such as `ObjectEmbedding.features`.
        Their principal components are added to the pixel features; the last ones replace CLIP's.
    shape : (int, int), optional
        (Y, X) of a reduced copy of a large image, for hints on the copy.
    """
    monitor = monitor or Monitor()
    monitor.tell("Preparing for corrections", 0, 4)
    image: RGBImage | TiledImage = embedding.image
    reduced = _reduced(image, FEATURE_PIXELS)
    if shape is None:
        shape = image.shape
    else:
        image = RGBImage(reduced)  # a large image is read once
    features = pixel_features(reduced, shape)
    for planes in patches:
        features = features.with_level(_principal(planes))
    monitor.tell("Preparing for corrections", 1, 4)
    pixels = _reduced(image, min(SMALL_PIXELS, math.prod(shape)))  # no superpixel without a pixel
    count = int(np.clip(pixels[..., 0].size // PIXELS_EACH, FEWEST, MOST))
    small = _superpixels(pixels, count, smoothing=0.5)
    pixels = _reduced(RGBImage(pixels), LARGE_PIXELS)
    count = max(min(WALKED, pixels[..., 0].size // PIXELS_EACH_WALKED), 1)
    large = _superpixels(pixels, count, smoothing=1)
    monitor.tell("Preparing for corrections", 2, 4)
    members = _Members(small)
    means = members.mean(features.levels)  # (n, F)
    touching = _touching(small, len(means))
    alike = _alike(means, members.places(), touching, features)
    monitor.tell("Preparing for corrections", 3, 4)
    planes = F.normalize(patches[-1].float(), dim=0) if patches else patch_features(embedding)
    attention = embedding.self_attention
    heads = attention if isinstance(attention, SelfAttention) else None
    reach = _reach(_steps(_Members(large), planes, pixels, heads))
    return ImageAffinity(
        _enlarged(small, shape),
        features,
        means.numpy(),
        touching,
        alike,
        _most_common(small, _enlarged(large, (small.shape[0], small.shape[1]))),
        reach,
    )


# ---------------------------------------------------------------------- superpixels


def _superpixels(pixels: NDArray[np.uint8], count: int, smoothing: float) -> NDArray[np.intp]:
    found = slic(pixels, n_segments=count, compactness=COMPACTNESS, sigma=smoothing, start_label=0)
    numbers: NDArray[np.intp] = np.unique(found, return_inverse=True)[1]  # no empty ones
    return numbers.reshape(found.shape)


def _most_common(small: NDArray[np.intp], large: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the large superpixel in which most of each small one lies, (n,)."""
    count = int(large.max()) + 1
    pairs, pixels = np.unique(small.ravel() * count + large.ravel(), return_counts=True)
    order = np.lexsort((pixels, pairs // count))  # the largest share of each comes last
    last = np.append(np.flatnonzero(np.diff(pairs[order] // count)), len(order) - 1)
    most: NDArray[np.int32] = (pairs[order][last] % count).astype(np.int32)
    return most


class _Members:
    """Averages over the pixels of each superpixel."""

    def __init__(self, regions: NDArray[np.intp]) -> None:
        self.shape = (regions.shape[0], regions.shape[1])
        self.index = torch.from_numpy(regions.ravel().astype(np.int64))
        self.sizes = torch.bincount(self.index).float()  # (n,)

    def mean(self, levels: Iterable[Tensor]) -> Tensor:
        """Return the means of (C_i, h_i, w_i) planes over each superpixel, (n, C)."""
        found = []
        for level in levels:
            for some in level.split(64):  # in groups of channels, to save memory
                full = interpolated(some, self.shape).flatten(1)
                total = torch.zeros(len(self.sizes), len(some))
                found.append(total.index_add_(0, self.index, full.T.contiguous()))
        total = torch.cat(found, dim=1)
        return total / self.sizes[:, None]

    def places(self) -> Tensor:
        """Return the centroid of each superpixel in units of the shorter side, (n, 2)."""
        rows, columns = np.indices(self.shape, dtype=np.float32)
        centres = self.mean([torch.from_numpy(np.stack([rows, columns]))])
        scaled: Tensor = centres / min(self.shape)
        return scaled

    def colours(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return mean and standard deviation of each superpixel in CIELAB, (n, 6)."""
        lab = torch.from_numpy(np.ascontiguousarray(rgb2lab(pixels).transpose(2, 0, 1))).float()
        mean = self.mean([lab])
        deviation = (self.mean([lab**2]) - mean**2).clamp(min=0).sqrt()
        return torch.cat([mean, deviation], dim=1)

    def steps_of(self, attention: SelfAttention) -> Tensor:
        """Return the mean attention as transition probabilities, (n, n); rows sum to 1."""
        height, width = self.shape
        rows, columns = (
            (torch.arange(n) * cells // n)
            for n, cells in zip(self.shape, attention.grid, strict=True)
        )
        cells = (rows[:, None] * attention.grid[1] + columns).flatten()
        shares = torch.zeros(len(self.sizes), attention.grid[0] * attention.grid[1])
        shares.index_put_((self.index, cells), torch.ones(height * width), accumulate=True)
        into = shares / shares.sum(dim=0).clamp(min=1)  # (n, cells), columns sum to 1
        walked = _mean_map(attention) @ into.T  # (cells, n)
        steps = (shares / self.sizes[:, None]) @ walked
        return steps / steps.sum(dim=-1, keepdim=True).clamp(min=1e-9)


# ---------------------------------------------------------------------- the graph


def _touching(regions: NDArray[np.intp], count: int) -> sparse.csr_array:
    """Return which superpixels are adjacent, (n, n)."""
    pairs = ((regions[1:], regions[:-1]), (regions[:, 1:], regions[:, :-1]))
    one, other = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    apart = one != other
    numbers = np.unique(one[apart] * count + other[apart])
    found = sparse.csr_array(
        (np.ones(len(numbers), bool), (numbers // count, numbers % count)), shape=(count, count)
    )
    both: sparse.csr_array = (found + found.T).tocsr()
    return both


def _alike(
    means: Tensor, places: Tensor, touching: sparse.csr_array, features: PixelFeatures
) -> sparse.csr_array:
    """Return the similarities of neighbours and of those with the nearest features, (n, n)."""
    # The mean square of a feature is 1: all features together weigh as much as the place.
    points = torch.cat([means / features.count**0.5, places - places.mean(dim=0)], dim=1)
    count = len(points)
    kept = min(NEIGHBOURS, count - 1)
    nearest, scale = [], []
    for start in range(0, count, BLOCK):
        away = torch.cdist(points[start : start + BLOCK], points)
        away[torch.arange(len(away)), torch.arange(start, start + len(away))] = np.inf
        least = away.topk(max(kept, 1), largest=False)
        nearest.append(least.indices)
        scale.append(least.values[:, min(SCALED_BY, max(kept, 1)) - 1])
    scales = torch.cat(scale).clamp(min=1e-6).numpy()
    rows = np.repeat(np.arange(count), max(kept, 1))
    columns = torch.cat(nearest).flatten().numpy()
    joined = sparse.csr_array((np.ones(len(rows), bool), (rows, columns)), shape=(count, count))
    pairs = (joined + joined.T + touching).tocoo()
    values = points.numpy()
    square = ((values[pairs.row] - values[pairs.col]) ** 2).sum(axis=1)
    likeness = np.exp(-square / (scales[pairs.row] * scales[pairs.col])) + LEAST_LIKENESS
    likeness[pairs.row == pairs.col] = 0
    found = sparse.csr_array((likeness.astype(np.float32), (pairs.row, pairs.col)), pairs.shape)
    found.eliminate_zeros()
    return found


def _principal(patches: Tensor) -> Tensor:
    """Return the first principal components of (D, h, w) patch features, (C, h, w)."""
    points = patches.float().flatten(1).T  # (N, D)
    points = points - points.mean(dim=0)
    kept = min(ENCODER_COMPONENTS, *points.shape)
    directions = torch.linalg.eigh(points.T @ points).eigenvectors[:, -kept:]
    components: Tensor = (points @ directions).T.reshape(kept, *patches.shape[1:])
    return components


# ---------------------------------------------------------------------- the walk


def _steps(
    members: _Members,
    planes: Tensor,
    pixels: NDArray[np.uint8],
    attention: SelfAttention | None,
) -> Tensor:
    """Return the transition probabilities of the walk, (m, m)."""
    features = F.normalize(members.mean([planes]), dim=-1)  # (m, D)
    colours, places = members.colours(pixels), members.places()
    likeness = FEATURE_SCALE * features @ features.T
    likeness -= torch.cdist(colours, colours) ** 2 / (2 * COLOUR_SCALE**2)
    likeness -= torch.cdist(places, places) ** 2 / (2 * NEAR**2)
    steps = likeness.softmax(dim=-1)
    if attention is not None:
        steps = (steps + members.steps_of(attention)) / 2
    return steps


def _reach(steps: Tensor) -> Tensor:
    """Return m times the stationary random walk with restart: m r (I - (1 - r) W)^-1, (m, m)."""
    count = len(steps)
    eye = torch.eye(count)
    arrival = torch.linalg.solve(eye - (1 - RESTART) * steps, eye)
    return cast("Tensor", arrival.mul_(RESTART * count))


def _mean_map(attention: SelfAttention) -> Tensor:
    """Return the mean of the attention maps, (cells, cells) float32."""
    cells = attention.grid[0] * attention.grid[1]
    total = torch.zeros(cells, cells)
    for one in attention.maps:
        if isinstance(one, sparse.csr_array):
            total += torch.from_numpy(one.toarray())
        elif isinstance(one, LevelMap):
            one.add_to(total)
        else:
            total += one
    return total.div_(len(attention.maps))


# ---------------------------------------------------------------------- sizes


def _reduced(image: RGBImage | TiledImage, most: int) -> NDArray[np.uint8]:
    """Downscale an image to at most so many pixels."""
    height, width = image.shape
    scale = (most / (height * width)) ** 0.5
    if scale >= 1:
        return image.pixels
    size = (max(int(width * scale), 1), max(int(height * scale), 1))
    if isinstance(image, TiledImage):
        return image.averaged(size[::-1])
    return np.asarray(Image.fromarray(image.pixels).resize(size, Image.Resampling.BOX))


def _enlarged(regions: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[np.int32]:
    rows, columns = (np.arange(n) * have // n for n, have in zip(shape, regions.shape, strict=True))
    enlarged: NDArray[np.int32] = regions[rows[:, None], columns].astype(np.int32)
    return enlarged
