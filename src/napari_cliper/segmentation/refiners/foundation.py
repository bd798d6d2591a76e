"""Refinement by the patch similarity of a vision foundation model such as DINO.

Source: CLIPer (arXiv 2411.13836, sec. 3.3), with the attention of ProxyCLIP (2408.04883).
"""

from __future__ import annotations

from torch import Tensor

from ..config import SegmentationConfig
from ..features.preprocessing import RGBPixels, normalised, resized
from ..models.image_encoder import ImageEncoder
from ..models.last_block_attention import PROXY_BETA, PROXY_GAMMA, proxy_attention
from ..progress import Monitor
from ..results import ImageEmbedding
from ..working_size import patch_aligned_shape
from .attention_maps import SelfAttention, compress, refine_with_attention
from .protocol import Refiner, attention_of


class Foundation(Refiner):
    """Propagates maps along the similarity of patches in a vision foundation model."""

    def network_shape(
        self, shape: tuple[int, int], shorter_side: int, patch: int
    ) -> tuple[int, int]:
        """The whole image goes through the network at once."""
        return patch_aligned_shape(shape, shorter_side, patch)

    def read(
        self,
        network: ImageEncoder,
        pixels: RGBPixels,
        config: SegmentationConfig,
        monitor: Monitor,
    ) -> SelfAttention:
        """The attention between patches, from the similarity of their features."""
        monitor.tell("Reading the foundation model", 0, 1)
        size = (pixels.shape[0], pixels.shape[1])
        shape = self.network_shape(size, config.settings().shorter_side, network.patch)
        planes = normalised(resized(pixels, shape, "bicubic"), network.mean, network.std)
        return feature_attention(network.features(planes, monitor)[0].cpu())

    def refine(self, maps: Tensor, embedding: ImageEmbedding, monitor: Monitor) -> Tensor:
        """Propagate the maps; the result is on the grid of the patches."""
        return refine_with_attention(maps, attention_of(embedding))


def feature_attention(
    features: Tensor, *, beta: float = PROXY_BETA, gamma: float = PROXY_GAMMA
) -> SelfAttention:
    """The attention between patches, computed from their features as ProxyCLIP does.

    Parameters
    ----------
    features : (C, h, w) float tensor
        Patch features, without the class token.
    beta, gamma : float
        See `last_block_attention.proxy_attention`.
    """
    weights = proxy_attention(features.float().flatten(1).T, beta, gamma)  # (n, n)
    return SelfAttention((compress(weights),), (features.shape[1], features.shape[2]))
