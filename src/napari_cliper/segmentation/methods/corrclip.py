"""CorrCLIP (arXiv 2411.10086): patches attend to patches of the same mask.

Notation: h, w the grid of CLIP's patches, N = h * w; fh, fw that of the foundation model, n = fh *
fw; W CLIP's width, D its embedding width, L its blocks, M the ids of the masks in a window.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..config import Settings
from ..features.interpolation import nearest
from ..features.mask_scope import merged_masks, scoped_attention
from ..features.preprocessing import normalised, padded
from ..features.tiling import sliding_windows
from ..models.clip_image_encoder import ClipImageEncoder
from ..progress import Monitor
from ..results import PatchFeatures
from ..tiles import Window
from .last_block import LastBlockMethod, scaling_note
from .protocol import ClipFeatures, ImageInput, ImageNetworks
from .proxyclip import MULTIPLE

SPATIAL, SEMANTIC = 1.0, 0.5
"""Weights of the early blocks' features and of those of the whole masks."""

SPATIAL_BLOCKS = {12: 5, 24: 12, 32: 28}
"""How many blocks the spatial features are the mean of, by the number of blocks of CLIP."""


class CorrClip(LastBlockMethod):
    """The values of CLIP's last block under the attention of a foundation model inside masks."""

    def notes(
        self, settings: Settings, layers: int, patch: int, shape: tuple[int, int]
    ) -> tuple[str, ...]:
        """Tell of a number of blocks that has no published spatial features."""
        return scaling_note("CorrCLIP", layers, SPATIAL_BLOCKS)

    def read(
        self,
        networks: ImageNetworks,
        image: ImageInput,
        settings: Settings,
        monitor: Monitor,
    ) -> ClipFeatures:
        """The windows, one at a time, since each has its own masks."""
        foundation, clip = networks.foundation, networks.clip
        assert foundation is not None  # noqa: S101 - the method's row needs it
        shape = (image.pixels.shape[0], image.pixels.shape[1])
        ids = mask_ids(image.masks, shape)
        outside = ids.max() + 1  # of the padding
        multiple = math.lcm(MULTIPLE, clip.patch, foundation.patch)
        places = sliding_windows(shape, settings.window, settings.stride)
        found = []
        for index, window in enumerate(places):
            monitor.tell("Encoding the windows", index, len(places))
            crop = image.pixels[window.slices]
            planes, (top, left) = padded(normalised(crop, clip.mean, clip.std), multiple)
            theirs, _ = padded(normalised(crop, foundation.mean, foundation.std), multiple)
            inside = Window(top, left, top + window.shape[0], left + window.shape[1])
            of_window = outside.repeat(planes[0, 0].numel()).reshape(planes.shape[2:])
            of_window[inside.slices] = ids[window.slices]
            external = foundation.query_key_sums(theirs, monitor).cpu()
            features = correlated(clip, planes, external, of_window, monitor)
            grid = (external.shape[2], external.shape[3])
            padded_shape = (planes.shape[2], planes.shape[3])
            found.append(PatchFeatures(features.cpu(), grid, None, window, inside, padded_shape))
        return ClipFeatures(None, tuple(found))


def mask_ids(masks: NDArray[np.integer] | None, shape: tuple[int, int]) -> Tensor:
    """Return the ids of masks at another size, (H, W) int64; all 0 without masks."""
    if masks is None:
        return torch.zeros(shape, dtype=torch.int64)
    return nearest(torch.from_numpy(masks.astype(np.int64)), shape)


def correlated(
    clip: ClipImageEncoder,
    pixels: Tensor,
    external: Tensor,
    ids: Tensor,
    monitor: Monitor | None = None,
) -> Tensor:
    """Return the patch features of a window whose patches attend to their own mask.

    Parameters
    ----------
    clip : ClipImageEncoder
    pixels : (1, 3, H, W) float tensor
        Normalised with CLIP's mean and standard deviation.
    external : (1, C, fh, fw) float tensor
        Queries plus keys of the foundation model's last block.
    ids : (H, W) int64 tensor
        The mask of each pixel; the smallest id is no mask.

    Returns
    -------
    (1, n, D) float32 tensor
        Projected, not normalised.
    """
    monitor = monitor or Monitor()
    grid = (external.shape[2], external.shape[3])
    unit = F.normalize(external[0].flatten(1).T.float(), dim=-1)  # (n, C)
    fine = merged_masks(nearest(ids, grid).flatten(), unit)
    attention = scoped_attention(fine, unit)[None].to(clip.device, clip.dtype)

    coarse_grid = clip.grid(pixels)
    coarse = nearest(fine.reshape(grid), coarse_grid)  # (h, w)
    present = torch.unique(coarse)
    members = coarse.flatten() == present[:, None]  # (M, N)
    main, spatial, copies = _walk(clip, pixels, members, monitor)

    last = clip.blocks[-1]

    def attended(tokens: Tensor) -> Tensor:
        """Values of the patches, on the foundation model's grid and under its attention."""
        values = clip.project(last, last.ln_1(tokens))[2][0, :, 1:]  # (H, N, d)
        table = values.mT.unflatten(-1, coarse_grid).float()
        table = F.interpolate(table, size=grid, mode="bilinear", align_corners=False)
        return clip.merge(last, attention, table.flatten(2).mT[None].to(tokens.dtype))

    of_patch = torch.searchsorted(present, nearest(coarse, grid).flatten())
    semantic = copies[:, of_patch.to(copies.device)]
    features = clip.project_out(attended(main))
    features = features + SPATIAL * clip.project_out(attended(spatial))
    return (features + SEMANTIC * clip.project_out(semantic)).float()


def _walk(
    clip: ClipImageEncoder, pixels: Tensor, members: Tensor, monitor: Monitor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the blocks with a copy of the class token for each mask.

    A copy attends to the class token and the patches of its mask; nothing attends to a copy.

    Parameters
    ----------
    members : (M, N) bool tensor
        The patches of each mask.

    Returns
    -------
    main : (1, 1 + N, W) tensor
        Input of the last block.
    spatial : (1, 1 + N, W) tensor
        Mean of the outputs of some blocks before it.
    copies : (1, M, W) tensor
        The copies after the last block.
    """
    first, end = spatial_blocks(len(clip.blocks))
    seen = torch.cat([members.new_ones(len(members), 1), members], dim=1).to(clip.device)
    total = torch.zeros((), device=clip.device, dtype=clip.dtype)
    inputs = clip.inputs_of_blocks(pixels, monitor=monitor)
    for index, (block, x) in enumerate(zip(clip.blocks, inputs, strict=True)):
        monitor.check()
        if index == 0:
            copies = x[:, :1].expand(-1, len(members), -1)
        if first <= index < end:
            total = total + x
        _, k, v = clip.project(block, block.ln_1(x))
        q = clip.project(block, block.ln_1(copies))[0]
        weights = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(~seen, float("-inf")).softmax(dim=-1)
        copies = clip.finish(block, copies, clip.merge(block, weights, v))
    return x, total / (end - first), copies


def spatial_blocks(blocks: int) -> tuple[int, int]:
    """Return the first block whose output counts as spatial features, and the end of the range.

    They are counted from 1; 0 is the input of the first block, for a CLIP of one or two blocks.
    The published numbers are for 12, 24 and 32 blocks.
    """
    count = SPATIAL_BLOCKS.get(blocks, max(blocks - 4, 1))
    end = max(blocks - 1, 1)
    return max(end - count, 0), end
