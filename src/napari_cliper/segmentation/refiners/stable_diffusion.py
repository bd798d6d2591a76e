"""Refinement by the self-attention of Stable Diffusion (CLIPer, arXiv 2411.13836, sec. 3.3)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor

from ..config import SegmentationConfig
from ..features.preprocessing import RGBPixels, squashed
from ..progress import Monitor
from ..results import ImageEmbedding
from .attention_maps import (
    AttentionMap,
    HeadFusion,
    SelfAttention,
    compress,
    refine_with_attention,
    sharpen,
)
from .protocol import Refiner, attention_of

if TYPE_CHECKING:
    from ..models.stable_diffusion import Diffusion


class StableDiffusion(Refiner):
    """Propagates maps along the self-attention heads of two layers of Stable Diffusion.

    Parameters
    ----------
    fusion : {'product', 'mean'}
        How the attention maps of the heads are combined.
    """

    def __init__(self, fusion: HeadFusion) -> None:
        self.fusion = fusion

    def read(
        self, network: Diffusion, pixels: RGBPixels, config: SegmentationConfig, monitor: Monitor
    ) -> SelfAttention:
        """The sharpened self-attention maps; see `read_diffusion`."""
        threshold = config.settings().attention_threshold
        return read_diffusion(
            network, pixels, seed=config.seed, threshold=threshold, monitor=monitor
        )

    def refine(self, maps: Tensor, embedding: ImageEmbedding, monitor: Monitor) -> Tensor:
        """Propagate the maps; the result is on the grid of the attention."""
        return refine_with_attention(maps, attention_of(embedding), self.fusion)


def read_diffusion(
    model: Diffusion, pixels: RGBPixels, *, seed: int, threshold: float, monitor: Monitor
) -> SelfAttention:
    """Return the sharpened self-attention maps of Stable Diffusion for an image.

    Parameters
    ----------
    pixels : (Y, X, 3) uint8 array
        The image at its original size.
    seed : int
        Seed of the noise.
    threshold : float
        See `attention_maps.sharpen`.
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
