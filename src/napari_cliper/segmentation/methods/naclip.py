"""NACLIP (arXiv 2404.08181): each patch attends to similar patches, and more to those near it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..config import Settings
from ..features.preprocessing import RGBPixels
from ..models.clip_image_encoder import ClipImageEncoder
from ..models.image_encoder import ImageEncoder
from ..models.last_block_attention import nearness
from ..progress import Monitor
from .last_block import Encoded, LastBlockMethod

SIGMA = 5.0
"""Width of the Gaussian, in patches."""


class NaClip(LastBlockMethod):
    """The attention of keys to keys, with a Gaussian of the distance added to its logits."""

    residual = False
    pads_whole = False

    def encode(
        self,
        clip: ClipImageEncoder,
        foundation: ImageEncoder | None,
        crops: Sequence[RGBPixels],
        planes: Tensor,
        settings: Settings,
        monitor: Monitor,
    ) -> Encoded:
        """Features on CLIP's grid."""
        grid = clip.grid(planes)
        near = nearness(grid, SIGMA)
        outputs = []
        last = clip.blocks[-1]
        for x in clip.before_last(planes, monitor=monitor):
            _, k, v = clip.project(last, last.ln_1(x))  # (1, H, n, d)
            logits = (k @ k.mT).float() * k.shape[-1] ** -0.5 + near.to(x.device)
            weights = logits.softmax(dim=-1).to(v.dtype)
            outputs.append(clip.project_out(clip.merge(last, weights, v))[:, 1:])
        return Encoded(torch.cat(outputs).float(), grid)
