"""Extract what depends on the image only: CLIP's patch features and the refiner's attention.

Called by `Segmenter.embed`; class names play no part here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config import Method, Settings
from ..models.image_encoder import ImageEncoder
from ..models.last_block_attention import LastBlockAttention
from ..progress import Monitor
from ..refiners.refinement import AttentionMap, SelfAttention, compress, feature_attention, sharpen
from ..results import PatchFeatures
from .preprocessing import normalised, padded, patch_aligned_shape, resized, squashed
from .tiling import Window, sliding_windows, stitch_attention

if TYPE_CHECKING:
    from ..models.dino import FoundationModel
    from ..models.stable_diffusion import Diffusion

WINDOWS_AT_ONCE = 8
PROXY_BETA, PROXY_GAMMA = 1.2, 3.0
PROXY_MULTIPLE = 56  # ProxyCLIP pads windows to a common multiple of patch sizes 8 and 14

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class LastBlock:
    """How a method other than CLIPer changes CLIP's last block.

    Parameters
    ----------
    attention : LastBlockAttention or None
        Attention of the last block; None for that of a vision foundation model.
    residual : bool
        Whether the residual connections and the MLP remain.
    """

    attention: LastBlockAttention | None
    residual: bool


LAST_BLOCKS: Mapping[Method, LastBlock] = MappingProxyType(
    {
        "clip": LastBlock("vanilla", residual=True),
        "maskclip": LastBlock("identity", residual=False),
        "sclip": LastBlock("q-q+k-k", residual=True),
        "clearclip": LastBlock("q-q", residual=False),
        "proxyclip": LastBlock(None, residual=False),
    }
)


def read_early_layers(
    encoder: ImageEncoder, pixels: Pixels, settings: Settings, monitor: Monitor
) -> tuple[PatchFeatures, tuple[PatchFeatures, ...], Tensor | None]:
    """Extract CLIPer's features of all layers, from the whole image and from sliding windows.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 array
        Both sides are multiples of the patch size.

    Returns
    -------
    whole : PatchFeatures
        Features of the whole image.
    windows : tuple of PatchFeatures
        Features of each window; empty if `settings.window` is 0.
    attention : (N, N) float32 tensor or None
        Attention of the windows, stitched to the whole image; None without windows.
    """
    patch = encoder.patch
    planes = normalised(pixels, encoder.mean, encoder.std)

    def read(windows: Sequence[Window]) -> list[PatchFeatures]:
        """Encode windows of the same shape in one pass."""
        parts = [planes[..., w.top : w.bottom, w.left : w.right] for w in windows]
        found = encoder.early_layers_of_each(torch.cat(parts), monitor=monitor)
        return [
            PatchFeatures(
                features=layers.features[:, 1:].cpu(),
                grid=window.in_patches(patch).shape,
                attention=layers.attention.cpu(),
                window=window,
                padding=Window(0, 0, *window.shape),
                padded_shape=window.shape,
            )
            for window, layers in zip(windows, found, strict=True)
        ]

    shape = (pixels.shape[0], pixels.shape[1])
    (whole,) = read([Window(0, 0, *shape)])
    if not settings.window:
        return whole, (), None
    # Window borders are aligned to patches, as in every published setting.
    side, stride = (max(n // patch, 1) * patch for n in (settings.window, settings.stride))
    places = sliding_windows(shape, side, stride)  # all of one shape
    in_patches = [window.in_patches(patch) for window in places]
    at_once = _at_once(whole.grid, in_patches[0].shape)
    windows = []
    attentions: list[Tensor] = []
    for start in range(0, len(places), at_once):
        monitor.tell("Encoding the windows", start, len(places))
        for part in read(places[start : start + at_once]):
            if part.attention is not None:
                attentions.append(part.attention)
            windows.append(replace(part, attention=None))
    return whole, tuple(windows), stitch_attention(attentions, in_patches, whole.grid)


def _at_once(whole: tuple[int, int], window: tuple[int, int]) -> int:
    """Return how many windows to encode per pass, so that they need no more memory than `whole`."""
    pairs_of_whole, pairs_of_window = ((1 + math.prod(grid)) ** 2 for grid in (whole, window))
    return min(max(pairs_of_whole // pairs_of_window, 1), WINDOWS_AT_ONCE)


def read_last_block(
    encoder: ImageEncoder,
    foundation: FoundationModel | None,
    pixels: Pixels,
    method: Method,
    settings: Settings,
    monitor: Monitor,
) -> tuple[PatchFeatures, ...]:
    """Extract patch features of sliding windows for the methods that change the last block only.

    Parameters
    ----------
    foundation : FoundationModel or None
        Second network, for ProxyCLIP only.
    pixels : (H, W, 3) uint8 array
    """
    shape = (pixels.shape[0], pixels.shape[1])
    places = sliding_windows(shape, settings.window, settings.stride)  # all of one shape
    found: list[PatchFeatures] = []
    for start in range(0, len(places), WINDOWS_AT_ONCE):
        monitor.tell("Encoding the windows", start, len(places))
        batch = places[start : start + WINDOWS_AT_ONCE]
        crops = [pixels[w.top : w.bottom, w.left : w.right] for w in batch]
        found += _read_batch(encoder, foundation, crops, batch, LAST_BLOCKS[method], monitor)
    return tuple(found)


def _read_batch(
    encoder: ImageEncoder,
    foundation: FoundationModel | None,
    crops: Sequence[Pixels],
    windows: Sequence[Window],
    block: LastBlock,
    monitor: Monitor,
) -> Iterator[PatchFeatures]:
    multiple = encoder.patch
    if foundation is not None:
        multiple = math.lcm(PROXY_MULTIPLE, foundation.patch)
    planes, (top, left) = padded(
        torch.cat([normalised(crop, encoder.mean, encoder.std) for crop in crops]), multiple
    )
    height, width = planes.shape[2], planes.shape[3]
    if foundation is not None:
        theirs = torch.cat([normalised(crop, foundation.mean, foundation.std) for crop in crops])
        external = foundation.features(padded(theirs, multiple)[0], monitor)
        grid = (external.shape[2], external.shape[3])
        features = encoder.proxied(
            planes, external, beta=PROXY_BETA, gamma=PROXY_GAMMA, monitor=monitor
        )
    else:
        grid = (height // encoder.patch, width // encoder.patch)
        features = encoder.last_block(
            planes, block.attention or "vanilla", residual=block.residual, monitor=monitor
        )
    for one, window in zip(features.cpu(), windows, strict=True):
        inside = Window(top, left, top + window.shape[0], left + window.shape[1])
        yield PatchFeatures(one[None], grid, None, window, inside, (height, width))


def read_diffusion(
    model: Diffusion, pixels: Pixels, *, seed: int, threshold: float, monitor: Monitor
) -> SelfAttention:
    """Return the sharpened self-attention maps of Stable Diffusion.

    Parameters
    ----------
    pixels : (Y, X, 3) uint8 array
        The image at its original size.
    seed : int
        Seed of the noise.
    threshold : float
        See `refinement.sharpen`.
    """
    with monitor.watching(*model.networks):
        monitor.tell("Encoding for the diffusion model", 0, 1)
        square = squashed(pixels, model.image_side)
        latents = model.noisy_latents(square, model.noise(seed))
        monitor.tell("Reading the diffusion model's attention", 0, 1)
        maps = model.self_attention(latents, partial(_sharpened, threshold=threshold))
    return SelfAttention(tuple(maps), (model.side, model.side))


def _sharpened(raw: Tensor, threshold: float) -> AttentionMap:
    return compress(sharpen(raw, threshold))


def read_foundation(
    model: FoundationModel, pixels: Pixels, shorter_side: int, monitor: Monitor
) -> SelfAttention:
    """Return the attention between patches by the features of a vision foundation model.

    Parameters
    ----------
    pixels : (Y, X, 3) uint8 array
        The image at its original size.
    shorter_side : int
        Its shorter side is resized to about this length, in pixels.
    """
    monitor.tell("Reading the foundation model", 0, 1)
    shape = patch_aligned_shape((pixels.shape[0], pixels.shape[1]), shorter_side, model.patch)
    planes = normalised(resized(pixels, shape, "bicubic"), model.mean, model.std)
    features = model.features(planes, monitor)[0].cpu()
    return feature_attention(features, beta=PROXY_BETA, gamma=PROXY_GAMMA)
