"""Interpolation of maps to another grid."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def on_grid(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Interpolate (T, h, w) maps bilinearly to another grid, (T, *grid) float32."""
    return F.interpolate(maps[None].float(), size=grid, mode="bilinear", align_corners=False)[0]
