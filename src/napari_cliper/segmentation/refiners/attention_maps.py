"""Score maps spread along attention maps: what the refiners with a network have in common.

Source: CLIPer (arXiv 2411.13836, sec. 3.3). Pure functions.

Notation: A_1 .. A_m are (n, n) attention maps, n = h * w; c is the coarse map as
(n, T) columns. Products are taken from the right, A_1 (A_2 (.. (A_m c))), so that no
(n, n) product is ever formed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import Literal, TypeAlias

import torch
from scipy import sparse
from torch import Tensor

from .grid import on_grid

HeadFusion = Literal["product", "mean"]

SPARSE_BELOW = 0.1
"""Share of values that survive the threshold up to which a map is kept sparse.

Measured (benchmarks/speed.py, 4096 x 4096 times eight columns): a sparse product costs in
proportion to the fill and is as slow as a dense one at 15 %, on two cores. Below a tenth it
is faster and smaller, and worth the 0.1 s that making it costs.
"""

ROWS = 128
"""Rows worked on at a time: what they need stays in the processor's cache."""

CLASSES = 16
"""Classes refined at a time: so many share one walk through the maps, and any number more takes
no more memory than its results. On two cores sixteen columns cost little more than one."""

LEVELS = 2**16 - 1


@dataclass(frozen=True, eq=False)
class LevelMap:
    """A dense attention map in half the memory: each row in 16-bit steps of its maximum.

    Off by at most 1/131070 of a row's maximum; a float16 would be off by up to 1/4096 of
    each value. The product takes the time of a float32 one: its rows become numbers in a place
    that stays in the processor's cache.

    Parameters
    ----------
    levels : (n, n) uint16 tensor
    step : (n, 1) float32 tensor
        What one level is worth in each row.
    """

    levels: Tensor
    step: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.levels.nbytes + self.step.nbytes

    def __matmul__(self, columns: Tensor) -> Tensor:
        """(n, n) times (n, T) float32."""
        result = torch.empty(len(self.levels), columns.shape[1])
        numbers = torch.empty(ROWS, len(columns))
        for rows, out in zip(self.levels.split(ROWS), result.split(ROWS), strict=True):
            torch.mm(numbers[: len(rows)].copy_(rows), columns, out=out)
        return result.mul_(self.step)

    def add_to(self, total: Tensor) -> None:
        """Add it to an (n, n) float32 tensor."""
        parts = (total.split(ROWS), self.levels.split(ROWS), self.step.split(ROWS))
        for sums, rows, step in zip(*parts, strict=True):
            sums.addcmul_(rows.float(), step)


AttentionMap: TypeAlias = "Tensor | LevelMap | sparse.csr_array"


@dataclass(frozen=True)
class SelfAttention:
    """The sharpened self-attention of an image, ready to refine any map.

    Parameters
    ----------
    maps : tuple of (n, n) attention maps
        Rows sum to 1. Sparse, or dense in float32 or levels; see `compress`.
    grid : (int, int)
        (h, w) with n = h * w.
    """

    maps: tuple[AttentionMap, ...]
    grid: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the maps take."""
        return sum(
            m.data.nbytes + m.indices.nbytes + m.indptr.nbytes
            if isinstance(m, sparse.csr_array)
            else m.nbytes
            for m in self.maps
        )


def sharpen(raw: Tensor, threshold: float) -> Tensor:
    """One raw self-attention map without its faint values, rows normalised.

    Parameters
    ----------
    raw : (n, n) float tensor
        Query, then key.
    threshold : float
        Share of a column's maximum below which its values become 0.
    """
    highest = raw.amax(dim=0).float() + 1e-5
    sharp = torch.empty(raw.shape, dtype=torch.float32, device=raw.device)
    for source, rows in zip(raw.split(ROWS), sharp.split(ROWS), strict=True):
        torch.div(source, highest, out=rows)
        rows.masked_fill_(rows < threshold, 0)
        rows.div_(rows.sum(dim=1, keepdim=True) + 1e-5)
    return sharp


def compress(attention: Tensor) -> AttentionMap:
    """Move a map to the CPU: sparse where few of its values are left, else in 16 bits.

    Parameters
    ----------
    attention : (n, n) float tensor
        Not negative.
    """
    filled = int(torch.count_nonzero(attention)) / attention.numel()
    attention = attention.float().cpu()
    if filled <= SPARSE_BELOW:
        return sparse.csr_array(attention.numpy())
    levels = torch.empty(attention.shape, dtype=torch.uint16)
    step = attention.amax(dim=1, keepdim=True) / LEVELS  # (n, 1)
    safe = step.clamp(min=torch.finfo(step.dtype).tiny)  # a row may hold nothing
    for rows, kept, worth in zip(
        attention.split(ROWS), levels.split(ROWS), safe.split(ROWS), strict=True
    ):
        kept.copy_((rows / worth).round_())
    return LevelMap(levels, step)


def _apply(attention: AttentionMap, columns: Tensor) -> Tensor:
    """(n, n) times (n, T)."""
    if isinstance(attention, sparse.csr_array):
        return torch.from_numpy(attention @ columns.numpy())
    return attention @ columns


_FUSIONS: Mapping[HeadFusion, Callable[[Sequence[AttentionMap], Tensor], Tensor]] = (
    MappingProxyType(
        {
            "product": lambda maps, c: reduce(lambda x, a: _apply(a, x), reversed(maps), c),
            "mean": lambda maps, c: torch.stack([_apply(a, c) for a in maps]).mean(dim=0),
        }
    )
)


def refine_with_attention(
    coarse: Tensor, attention: SelfAttention, fusion: HeadFusion = "product"
) -> Tensor:
    """Spread a coarse map along the self-attention of a diffusion model.

    Parameters
    ----------
    coarse : (T, h, w) float tensor
        Any grid; taken to the attention's bilinearly.
    attention : SelfAttention
    fusion : {'product', 'mean'}
        The product of the heads (CLIPer), or their mean.

    Returns
    -------
    (T, h', w') float32 tensor
        On the attention's grid.
    """
    refined = torch.empty(len(coarse), *attention.grid)
    for some, result in zip(coarse.split(CLASSES), refined.split(CLASSES), strict=True):
        result.copy_(_refined(some, attention, fusion))
    return refined


def _refined(coarse: Tensor, attention: SelfAttention, fusion: HeadFusion) -> Tensor:
    """`refine_with_attention` of all classes at once."""
    columns = on_grid(coarse, attention.grid).flatten(1).T.contiguous()  # (n, T)
    return _FUSIONS[fusion](attention.maps, columns).T.reshape(-1, *attention.grid)
