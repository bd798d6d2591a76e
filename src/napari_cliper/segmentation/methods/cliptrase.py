"""CLIPtrase (arXiv 2407.08268): clusters of similar patches vote on their label.

Notation: h * w = N patches, n = 1 + N tokens (class token first), H heads, d head width, T classes,
Q query vectors.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ..config import Settings
from ..features.preprocessing import Resampling, RGBPixels
from ..features.tiling import blend
from ..models.clip_image_encoder import ClipImageEncoder
from ..models.image_encoder import ImageEncoder
from ..models.last_block_attention import LAST_BLOCK
from ..progress import Monitor
from ..results import ImageEmbedding, PatchFeatures, StageMaps, softmax_to_classes
from ..scoring.similarity import Queries, cosine
from .last_block import Encoded, LastBlockMethod

PUBLISHED = {14 * 14: (0.7, 3), 21 * 21: (1.1, 7)}
"""Radius of the clusters and smallest number of neighbours of their cores, by the number of patches
of a square image of 224 or 336 pixels."""

FINER, MEDIAN = 4, 7
"""Each cluster's map is enlarged by the one and filtered with a median over the other."""


class ClipTrase(LastBlockMethod):
    """The attention of queries, keys and values to themselves, and a vote of clusters."""

    resampling: Resampling = "bicubic"
    residual = True
    pads_whole = False

    def clustering(self, patches: int) -> tuple[float, int]:
        """Return the radius and the number of neighbours for an image of so many patches.

        Distances grow with the square root of the number of patches. So does the radius where none
        was published.
        """
        return PUBLISHED.get(patches, (0.05 * math.sqrt(patches), max(round(patches / 64), 2)))

    def notes(
        self, settings: Settings, layers: int, patch: int, shape: tuple[int, int]
    ) -> tuple[str, ...]:
        """A remark on other shapes than the published ones."""
        height, width = self.network_shape(self.resized_shape(shape, settings, patch), settings)
        grid = (height // patch, width // patch)
        if grid[0] == grid[1] and math.prod(grid) in PUBLISHED and not settings.window:
            return ()
        note = (
            "CLIPtrase was published for square images of 14 x 14 or 21 x 21 patches. Here there "
            f"are {grid[0]} x {grid[1]}, which is not validated. Square regions of the image at a "
            f"shorter side of {14 * patch} or {21 * patch} are as published."
        )
        return (note,)

    def encode(
        self,
        clip: ClipImageEncoder,
        foundation: ImageEncoder | None,
        crops: Sequence[RGBPixels],
        planes: Tensor,
        settings: Settings,
        monitor: Monitor,
    ) -> Encoded:
        """Features on CLIP's grid; the class token and the affinity of patches as extra."""
        previous, last = clip.blocks[-2], clip.blocks[-1]
        inputs = deque(clip.inputs_of_blocks(planes, monitor=monitor), maxlen=2)
        features, extra = [], []
        for before, tokens in zip(*inputs, strict=True):
            monitor.check()
            x = tokens[None]
            q, k, v = clip.project(last, last.ln_1(x))
            out = clip.merge(last, LAST_BLOCK["q-q+k-k+v-v"](q, k, v), v)
            found = clip.project_out(clip.finish(last, x, out))[0].float()  # (n, D)
            features.append(found[1:])
            correlation = self_correlation(*clip.project(previous, previous.ln_1(before[None])))
            affinity = (correlation[1:, 1:] - correlation[0, 1:]).clamp(min=0)
            extra.append({"class_token": found[0].cpu(), "affinity": affinity.cpu()})
        return Encoded(torch.stack(features), clip.grid(planes), tuple(extra))

    def score(
        self,
        embedding: ImageEmbedding,
        queries: Queries,
        settings: Settings,
        patch: int,
        peaks: Tensor | None = None,
    ) -> StageMaps:
        """Compute the share of each class in the vote of a pixel's cluster.

        The class with the largest share is the published label.
        """
        clusters = [self.pixel_clusters(part) for part in embedding.windows]

        parts = (
            _votes(_logits(part, queries, settings), found, queries)
            for part, found in zip(embedding.windows, clusters, strict=True)
        )
        shape = (embedding.resized.shape[0], embedding.resized.shape[1])
        shares = blend(parts, [part.window for part in embedding.windows], shape)
        maps, background = _split(shares, queries)
        return StageMaps(
            maps=maps.contiguous().numpy(),
            class_scores=maps.flatten(1).amax(dim=1).numpy(),
            background=None if background is None else background.numpy(),
        )

    def pixel_clusters(self, part: PatchFeatures) -> NDArray[np.int64] | None:
        """Return the cluster of each pixel of a window, (height, width); None without clusters."""
        affinity = part.extra["affinity"]
        labels = density_clusters(affinity, *self.clustering(len(affinity)))
        maps = [
            affinity[torch.from_numpy(labels == index)].mean(dim=0).reshape(part.grid)
            for index in range(labels.max(initial=-1) + 1)
        ]
        if not maps:
            return None
        best = np.zeros(part.padded_shape, np.int64)
        highest = torch.full(part.padded_shape, -torch.inf)
        finer = (FINER * part.grid[0], FINER * part.grid[1])
        for index, one in enumerate(maps):  # one at a time, to save memory
            smooth = median_filter(_enlarged(one, finer).numpy(), size=MEDIAN)
            plane = _enlarged(torch.from_numpy(smooth), part.padded_shape)
            best[(plane > highest).numpy()] = index
            highest = torch.maximum(plane, highest)
        return best[part.padding.slices]


def self_correlation(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return the mean cosine between the queries, the keys and the values of tokens.

    Parameters
    ----------
    q, k, v : (1, H, n, d) float tensors

    Returns
    -------
    (n, n) float32 tensor
        Mean over the heads.
    """
    units = (F.normalize(one[0].float(), dim=-1) for one in (q, k, v))
    cosines = [(unit @ unit.mT).mean(dim=0) for unit in units]
    return (cosines[0] + cosines[1] + cosines[2]) / 3


def density_clusters(points: Tensor, radius: float, neighbours: int) -> NDArray[np.int64]:
    """Cluster points by density (DBSCAN).

    Parameters
    ----------
    points : (N, C) float tensor
    radius : float
        Points no farther apart than this are neighbours.
    neighbours : int
        A point with so many neighbours, itself included, is the core of a cluster.

    Returns
    -------
    (N,) int64 array
        The cluster of each point, numbered by their first cores; -1 for points that are neither a
        core nor next to one. A point next to several clusters belongs to the first.
    """
    near = (torch.cdist(points.double(), points.double()) <= radius).numpy()
    core = near.sum(axis=1) >= neighbours
    labels = np.full(len(points), -1, np.int64)
    if not core.any():
        return labels
    _, found = connected_components(near[np.ix_(core, core)], directed=False)
    _, firsts, numbers = np.unique(found, return_index=True, return_inverse=True)
    labels[core] = np.argsort(np.argsort(firsts))[numbers]
    clusters = np.where(near[:, core], labels[core], len(points)).min(axis=1)
    labels[~core] = np.where(clusters < len(points), clusters, -1)[~core]
    return labels


def _enlarged(plane: Tensor, shape: tuple[int, int]) -> Tensor:
    return F.interpolate(plane[None, None], size=shape, mode="bilinear")[0, 0]


def _logits(part: PatchFeatures, queries: Queries, settings: Settings) -> Tensor:
    """The logits of a window at its pixels, (Q, height, width)."""
    logits = cosine(part.features[0], queries.vectors).T * settings.logit_scale
    if settings.number("class_token"):
        token = cosine(part.extra["class_token"][None], queries.vectors).T * settings.logit_scale
        logits = logits * token
    full = F.interpolate(
        logits.reshape(1, -1, *part.grid), size=part.padded_shape, mode="bilinear"
    )[0]
    return full[:, *part.padding.slices]


def _votes(logits: Tensor, clusters: NDArray[np.int64] | None, queries: Queries) -> Tensor:
    """The share of the classes, and of the background words if there are any, (T or T + 1, ...).

    Of the votes of a pixel's cluster; without clusters, the probabilities of the pixel.
    """
    if clusters is None:
        maps, background = softmax_to_classes(logits, queries.owner)
        return maps if background is None else torch.cat([maps, background[None]])
    count = queries.class_count + (queries.background_count > 0)
    owner = torch.tensor([own if own >= 0 else count - 1 for own in queries.owner])
    labels = owner[logits.argmax(dim=0)].numpy()
    pairs = clusters * count + labels
    votes = np.bincount(pairs.ravel(), minlength=(clusters.max() + 1) * count).reshape(-1, count)
    shares = votes / votes.sum(axis=1, keepdims=True).clip(min=1)
    return torch.from_numpy(shares[clusters]).float().permute(2, 0, 1).contiguous()


def _split(planes: Tensor, queries: Queries) -> tuple[Tensor, Tensor | None]:
    """The planes of the classes, and that of the background if there is one."""
    count = queries.class_count
    return planes[:count], planes[count] if len(planes) > count else None
