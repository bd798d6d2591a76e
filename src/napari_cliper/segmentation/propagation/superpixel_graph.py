"""Superpixel affinity of an image, along which user hints propagate.

The image is divided into superpixels (SLIC: Achanta et al., TPAMI 2012). Their pairwise similarity
combines CLIP's patch features, mean colours, distance and, if the refiner provides it, Stable
Diffusion's self-attention. A random walk with restart (Tong, Faloutsos and Pan, ICDM 2006) turns
similarities into affinities. Pure functions.

Notation: n superpixels, N = h * w patches, D embedding width.
"""

from __future__ import annotations

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

from ..features.patch_features import patch_features
from ..progress import Monitor
from ..refiners.attention_maps import LevelMap, SelfAttention
from ..results import ImageEmbedding
from .label_propagation import ImageAffinity

SUPERPIXELS, COMPACTNESS, SMOOTHING = 700, 20, 1
WORKING_SIDE = 512
"""Superpixels are computed on an image whose shorter side has at most this many pixels."""

FEATURE_SCALE = 20.0
COLOUR_SCALE = 15.0
"""In units of CIELAB, where 2 is a just noticeable difference."""
NEAR = 0.25
"""Distance scale of the similarity, as a fraction of the image's shorter side."""
RESTART = 0.1


def image_affinity(embedding: ImageEmbedding, monitor: Monitor | None = None) -> ImageAffinity:
    """Compute the superpixels of an image and their affinities; takes up to a second.

    Parameters
    ----------
    embedding : ImageEmbedding
    monitor : Monitor, optional
        Reports ``"Preparing for corrections"``.
    """
    monitor = monitor or Monitor()
    monitor.tell("Preparing for corrections", 0, 1)
    pixels = _reduced(embedding.image.pixels)
    found = slic(
        pixels, n_segments=SUPERPIXELS, compactness=COMPACTNESS, sigma=SMOOTHING, start_label=0
    )
    regions = np.unique(found, return_inverse=True)[1].reshape(found.shape)  # no empty superpixels
    monitor.check()
    members = _Members(regions)
    features = F.normalize(members.mean(patch_features(embedding)), dim=-1)  # (n, D)
    colours = members.colours(pixels)  # (n, 6)
    places = members.places() / min(regions.shape)  # (n, 2)
    likeness = FEATURE_SCALE * features @ features.T
    likeness -= torch.cdist(colours, colours) ** 2 / (2 * COLOUR_SCALE**2)
    likeness -= torch.cdist(places, places) ** 2 / (2 * NEAR**2)
    steps = likeness.softmax(dim=-1)  # (n, n)
    if embedding.self_attention is not None:
        monitor.check()
        steps = (steps + members.steps_of(embedding.self_attention)) / 2
    return ImageAffinity(
        _enlarged(regions, embedding.image.shape), _reach(steps), _nearby(regions, len(steps))
    )


def _nearby(regions: NDArray[np.intp], count: int) -> Tensor:
    """Return which superpixels are equal, adjacent or share a neighbour, (n, n) bool."""
    touch = torch.eye(count)
    for one, other in ((regions[1:], regions[:-1]), (regions[:, 1:], regions[:, :-1])):
        touch[one.ravel(), other.ravel()] = touch[other.ravel(), one.ravel()] = 1
    return touch @ touch > 0


def _reach(steps: Tensor) -> Tensor:
    """Return n times the stationary random walk with restart: n r (I - (1 - r) W)^-1, (n, n)."""
    count = len(steps)
    eye = torch.eye(count)
    arrival = torch.linalg.solve(eye - (1 - RESTART) * steps, eye)
    return cast("Tensor", arrival.mul_(RESTART * count))


class _Members:
    """Averages over the pixels of each superpixel."""

    def __init__(self, regions: NDArray[np.intp]) -> None:
        self.shape = regions.shape
        self.index = torch.from_numpy(regions.ravel().astype(np.int64))
        self.sizes = torch.bincount(self.index).float()  # (n,)

    def mean(self, planes: Tensor) -> Tensor:
        """Return the mean of (C, h, w) planes over each superpixel, (n, C)."""
        shape = (self.shape[0], self.shape[1])
        total = torch.zeros(len(self.sizes), len(planes))
        for start in range(0, len(planes), 64):  # in groups of channels, to save memory
            some = planes[start : start + 64, ...]
            full = F.interpolate(some[None], size=shape, mode="bilinear")[0].flatten(1)
            total[:, start : start + 64].index_add_(0, self.index, full.T.contiguous())
        return total / self.sizes[:, None]

    def places(self) -> Tensor:
        """Return the centroid of each superpixel in pixels, (n, 2)."""
        rows, columns = np.indices(self.shape, dtype=np.float32)
        return self.mean(torch.from_numpy(np.stack([rows, columns])))

    def colours(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return mean and standard deviation of each superpixel in CIELAB, (n, 6)."""
        lab = torch.from_numpy(np.ascontiguousarray(rgb2lab(pixels).transpose(2, 0, 1))).float()
        mean = self.mean(lab)
        deviation = (self.mean(lab**2) - mean**2).clamp(min=0).sqrt()
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


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Downscale the image to a shorter side of at most `WORKING_SIDE`."""
    height, width = pixels.shape[:2]
    scale = WORKING_SIDE / min(height, width)
    if scale >= 1:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _enlarged(regions: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[np.int32]:
    rows, columns = (np.arange(n) * have // n for n, have in zip(shape, regions.shape, strict=True))
    enlarged: NDArray[np.int32] = regions[rows[:, None], columns].astype(np.int32)
    return enlarged
