"""Attention variants for the last block of CLIP's image encoder, as pure functions.

Sources: CLIPer (arXiv 2411.13836, sec. 3.2), SCLIP (2312.01597, eq. 3),
ClearCLIP (2407.12442), MaskCLIP (2112.01071), ProxyCLIP (2408.04883, eq. 5-7), NACLIP
(2404.08181).

Notation: H heads, n tokens (class token first, if there is one), d head width. Attention tensors
are (..., H, n, n) with query before key; rows sum to 1 unless stated otherwise. Leading dimensions
are images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

PROXY_BETA, PROXY_GAMMA = 1.2, 3.0
"""As published by ProxyCLIP; see `proxy_attention`."""

LastBlockAttention = Literal["q-q", "k-k", "v-v", "identity", "vanilla", "q-q+k-k", "q-q+k-k+v-v"]


def _affinity(a: Tensor, b: Tensor) -> Tensor:
    """Return softmax(a b^T / sqrt(d)), (..., H, n, n), of two (..., H, n, d) tensors."""
    return torch.softmax((a @ b.mT).mul_(a.shape[-1] ** -0.5), dim=-1)


def _identity(q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # noqa: ARG001 - one signature in the table
    return torch.eye(q.shape[-2], dtype=q.dtype, device=q.device).expand(*q.shape[:-1], -1)


LAST_BLOCK: Mapping[LastBlockAttention, Callable[[Tensor, Tensor, Tensor], Tensor]] = (
    MappingProxyType(
        {
            "vanilla": lambda q, k, v: _affinity(q, k),  # CLIP as trained
            "q-q": lambda q, k, v: _affinity(q, q),  # ClearCLIP
            "k-k": lambda q, k, v: _affinity(k, k),
            "v-v": lambda q, k, v: _affinity(v, v),
            "identity": _identity,  # MaskCLIP: each token attends to itself
            "q-q+k-k": lambda q, k, v: _affinity(q, q) + _affinity(k, k),  # SCLIP; rows sum to 2
            "q-q+k-k+v-v": lambda q, k, v: _affinity(q, q) + _affinity(k, k) + _affinity(v, v),
        }
    )
)
"""Functions from q, k and v, each (..., H, n, d), to the attention (..., H, n, n), by name."""


def nearness(grid: tuple[int, int], sigma: float) -> Tensor:
    """Return a Gaussian of the distance between patches, (n, n) float32 (NACLIP).

    Parameters
    ----------
    grid : (int, int)
        (h, w); n = 1 + h * w.
    sigma : float
        In patches.

    Returns
    -------
    (n, n) float32 tensor
        1 on the diagonal, not normalised; 0 in the row and the column of the class token.
    """
    across = [torch.exp(-((_steps(side) / sigma) ** 2) / 2) for side in grid]
    return F.pad(torch.kron(*across), (1, 0, 1, 0))


def _steps(side: int) -> Tensor:
    """Differences between the positions on an axis, (side, side)."""
    positions = torch.arange(side, dtype=torch.float32)
    return positions[:, None] - positions


def normalise_once(summed: Tensor) -> Tensor:
    """Normalise the columns, then the rows of an attention sum (one Sinkhorn iteration).

    Parameters
    ----------
    summed : (..., H, n, n) float tensor
        The attention summed over the blocks, or the result of the previous iteration.
    """
    summed = summed / summed.sum(dim=-2, keepdim=True)
    return summed.div_(summed.sum(dim=-1, keepdim=True))


def fused_attention(summed: Tensor) -> Tensor:
    """Return CLIPer's attention for the last block from the normalised sum of attentions.

    The sum is symmetrised, the mean of each column is subtracted, negative values become 0 and the
    rows are normalised (CLIPer, sec. 3.2). Rows without a positive value stay 0.

    Parameters
    ----------
    summed : (..., H, n, n) float tensor
        As returned by `normalise_once`.
    """
    symmetric = (summed + summed.mT).div_(2)
    kept = symmetric.sub_(symmetric.mean(dim=-2, keepdim=True)).clamp_(min=0)
    # All values of a row may lie below their column means: that row stays 0.
    return kept.div_(kept.sum(dim=-1, keepdim=True).clamp(min=1e-8))


def mean_similarity(features: Tensor) -> float:
    """Return the mean cosine similarity of the patches of each image, over all images.

    Parameters
    ----------
    features : (B, C, h, w) float tensor
    """
    unit = F.normalize(features.float().flatten(2), dim=1)
    return float(unit.mean(dim=2).square().sum(dim=1).mean())


def proxy_attention(
    features: Tensor, beta: float, gamma: float, mean: float | None = None
) -> Tensor:
    """Return the attention between patches by the similarity of foundation model features.

    Parameters
    ----------
    features : (n, C) float tensor
        Patch features without the class token, of any length.
    beta, gamma : float
        Shift in units of the mean similarity, and scale (ProxyCLIP, eq. 6).
    mean : float, optional
        The mean similarity. Default: that of these features.

    Returns
    -------
    (n, n) float tensor
        Rows sum to 1; 0 for pairs less similar than `beta` times the mean.

    Notes
    -----
    Where nearly all patches are alike, `beta` times the mean is more than any similarity. Each
    patch then attends to itself alone, as just before that point.
    """
    unit = F.normalize(features, dim=-1)
    similarity = unit @ unit.mT
    shifted = (similarity - beta * (similarity.mean() if mean is None else mean)) * gamma
    dropped = (shifted < 0).fill_diagonal_(False)
    return torch.softmax(shifted.masked_fill(dropped, float("-inf")), dim=-1)
