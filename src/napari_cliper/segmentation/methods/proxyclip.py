"""ProxyCLIP (arXiv 2408.04883): CLIP's values under the attention of a foundation model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..config import Settings
from ..features.preprocessing import RGBPixels, normalised, padded
from ..models.clip_image_encoder import ClipImageEncoder
from ..models.image_encoder import ImageEncoder
from ..models.last_block_attention import PROXY_BETA, PROXY_GAMMA
from ..progress import Monitor
from .last_block import Encoded, LastBlockMethod

MULTIPLE = 56
"""Windows are padded to multiples of this, which the patches 8 and 14 divide."""


class ProxyClip(LastBlockMethod):
    """The values of CLIP's last block under the attention between a foundation model's patches."""

    residual = False

    def input_multiple(self, clip: ClipImageEncoder, foundation: ImageEncoder | None) -> int:
        """What the published program pads to, and a multiple of the foundation model's patch."""
        return math.lcm(MULTIPLE, _there(foundation).patch)

    def encode(
        self,
        clip: ClipImageEncoder,
        foundation: ImageEncoder | None,
        crops: Sequence[RGBPixels],
        planes: Tensor,
        settings: Settings,
        monitor: Monitor,
    ) -> Encoded:
        """Features on the foundation model's grid."""
        model = _there(foundation)
        theirs = torch.cat([normalised(crop, model.mean, model.std) for crop in crops])
        multiple = self.input_multiple(clip, foundation)
        external = model.features(padded(theirs, multiple)[0], monitor)
        features = clip.proxied(
            planes, external, beta=PROXY_BETA, gamma=PROXY_GAMMA, monitor=monitor
        )
        return Encoded(features, (external.shape[2], external.shape[3]))


def _there(foundation: ImageEncoder | None) -> ImageEncoder:
    assert foundation is not None  # noqa: S101 - the method's row needs it
    return foundation
