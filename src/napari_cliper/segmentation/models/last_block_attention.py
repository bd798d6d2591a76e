"""The attentions of CLIP's last block, as pure functions of tensors.

Sources: CLIPer (arXiv 2411.13836, sec. 3.2), SCLIP (2312.01597, eq. 3),
ClearCLIP (2407.12442), MaskCLIP (2112.01071), ProxyCLIP (2408.04883, eq. 5-7).

Shapes: H heads, n tokens (the class token first where there is one), d the width
of a head. Every attention is (..., H, n, n): query, then key; rows sum to 1 unless said.
The dots stand for images, where there are several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

LastBlockAttention = Literal["q-q", "k-k", "v-v", "identity", "vanilla", "q-q+k-k"]


def _affinity(a: Tensor, b: Tensor) -> Tensor:
    """softmax(a b^T / sqrt(d)) of (..., H, n, d) with its like: (..., H, n, n)."""
    return torch.softmax(a @ b.mT * a.shape[-1] ** -0.5, dim=-1)


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
        }
    )
)
"""How q, k and v of the last block, each (..., H, n, d), make its attention (..., H, n, n)."""


def normalise_once(summed: Tensor) -> Tensor:
    """One round of the normalisation of the summed attention: columns, then rows.

    Parameters
    ----------
    summed : (..., H, n, n) float tensor
        The attention summed over the blocks, or the result of the round before.
    """
    summed = summed / summed.sum(dim=-2, keepdim=True)
    return summed / summed.sum(dim=-1, keepdim=True)


def fused_attention(summed: Tensor) -> Tensor:
    """The attention that CLIPer gives the last block, from a normalised sum.

    Symmetrised, everything below the mean of its column dropped, rows normalised
    (CLIPer, sec. 3.2).

    Parameters
    ----------
    summed : (..., H, n, n) float tensor
        As `normalise_once` leaves it.
    """
    symmetric = (summed + summed.mT) / 2
    kept = (symmetric - symmetric.mean(dim=-2, keepdim=True)).clamp(min=0)
    # A row may lie wholly below the means of its columns: it then attends to nothing.
    return kept / kept.sum(dim=-1, keepdim=True).clamp(min=1e-8)


def proxy_attention(features: Tensor, beta: float, gamma: float) -> Tensor:
    """The attention between the patches of a vision foundation model.

    Parameters
    ----------
    features : (n, C) float tensor
        Patch features, class token dropped; any scale.
    beta, gamma : float
        Shift in units of the mean similarity, and sharpness (ProxyCLIP, eq. 6).

    Returns
    -------
    (n, n) float tensor
        Rows sum to 1; pairs less similar than `beta` times the mean get 0.
    """
    unit = F.normalize(features, dim=-1)
    similarity = unit @ unit.mT
    shifted = (similarity - beta * similarity.mean()) * gamma
    return torch.softmax(shifted.masked_fill(shifted < 0, float("-inf")), dim=-1)
