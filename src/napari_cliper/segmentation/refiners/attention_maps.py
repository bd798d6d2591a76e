"""Propagation of score maps along attention maps, shared by the refiners with a network.

Source: CLIPer (arXiv 2411.13836, sec. 3.3). Pure functions.

Notation: A_1 ... A_m are (n, n) attention maps, n = h * w; c is the coarse map as (n, T) columns.
Products are evaluated from the right, A_1 (A_2 (... (A_m c))), so that no (n, n) product is
formed.
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

from ..features.interpolation import interpolated

HeadFusion = Literal["product", "mean"]

SPARSE_BELOW = 0.1
"""Fraction of non-zero values up to which a map is stored as a sparse matrix.

Measured (benchmarks/speed.py, 4096 x 4096 times eight columns, two cores): the time of a sparse
product is proportional to this fraction and equals that of a dense product at 15 %. Up to 10 % it
is faster and smaller, which outweighs the 0.1 s of the conversion.
"""

ROWS = 128
"""Rows processed at a time, so that their values stay in the processor's cache."""

CLASSES = 16
"""Classes refined at a time, which bounds the memory of intermediate results. On two cores,
sixteen columns take little longer than one."""

LEVELS = 2**16 - 1
"""Largest level of a `LevelMap`."""


@dataclass(frozen=True, eq=False)
class LevelMap:
    """A dense attention map quantised to 16 bits per value, with one scale per row.

    It takes half the memory of float32. The error is at most 1/131070 of the maximum of a row;
    that of float16 would be up to 1/4096 of each value. A product is as fast as in float32,
    because rows are converted a few at a time in the processor's cache.

    Parameters
    ----------
    levels : (n, n) uint16 tensor
    step : (n, 1) float32 tensor
        Value of one level in each row.
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
        floats = torch.empty(ROWS, len(columns))
        for rows, out in zip(self.levels.split(ROWS), result.split(ROWS), strict=True):
            torch.mm(floats[: len(rows)].copy_(rows), columns, out=out)
        return result.mul_(self.step)

    def add_to(self, total: Tensor) -> None:
        """Add the map to an (n, n) float32 tensor, in place."""
        blocks = (total.split(ROWS), self.levels.split(ROWS), self.step.split(ROWS))
        for sums, rows, step in zip(*blocks, strict=True):
            sums.addcmul_(rows.float(), step)


AttentionMap: TypeAlias = "Tensor | LevelMap | sparse.csr_array"


@dataclass(frozen=True)
class SelfAttention:
    """The sharpened self-attention maps of an image, which refine score maps of any classes.

    Parameters
    ----------
    maps : tuple of (n, n) attention maps
        Rows sum to 1. Sparse, float32 or quantised; see `compress`.
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
    """Set the low values of a self-attention map to 0 and normalise its rows.

    Parameters
    ----------
    raw : (n, n) float tensor
        (query, key).
    threshold : float
        Fraction of the maximum of a column below which its values become 0.

    Returns
    -------
    (n, n) float32 tensor
        Rows sum to 1.
    """
    highest = raw.amax(dim=0).float() + 1e-5
    sharp = torch.empty(raw.shape, dtype=torch.float32, device=raw.device)
    for source, rows in zip(raw.split(ROWS), sharp.split(ROWS), strict=True):
        torch.div(source, highest, out=rows)
        rows.masked_fill_(rows < threshold, 0)
        rows.div_(rows.sum(dim=1, keepdim=True) + 1e-5)
    return sharp


def compress(attention: Tensor) -> AttentionMap:
    """Return a map on the CPU, as a sparse matrix if most values are 0, else in 16 bits.

    It is compressed where it is: a GPU is faster at that, and then has less to transfer.

    Parameters
    ----------
    attention : (n, n) float tensor
        Values of 0 or more.
    """
    attention = attention.float()
    if int(torch.count_nonzero(attention)) <= SPARSE_BELOW * attention.numel():
        return _sparse(attention)
    levels = torch.empty(attention.shape, dtype=torch.uint16, device=attention.device)
    step = attention.amax(dim=1, keepdim=True) / LEVELS  # (n, 1)
    divisor = step.clamp(min=torch.finfo(step.dtype).tiny)  # a row may be all zeros
    for rows, quantised, by in zip(
        attention.split(ROWS), levels.split(ROWS), divisor.split(ROWS), strict=True
    ):
        quantised.copy_((rows / by).round_())
    return LevelMap(levels.cpu(), step.cpu())


def _sparse(dense: Tensor) -> sparse.csr_array:
    """Return the values of an (n, n) tensor that are not 0, on the CPU."""
    rows, columns = dense.nonzero(as_tuple=True)
    ends = torch.bincount(rows, minlength=len(dense)).cumsum(dim=0)
    starts = torch.cat([ends.new_zeros(1), ends])
    parts = (dense[rows, columns], columns.int(), starts.int())
    data = tuple(part.cpu().numpy() for part in parts)
    return sparse.csr_array(data, shape=(len(dense), dense.shape[1]))


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
    """Propagate coarse maps along self-attention maps.

    Parameters
    ----------
    coarse : (T, h, w) float tensor
        On any grid; interpolated bilinearly to that of the attention.
    attention : SelfAttention
    fusion : {'product', 'mean'}
        The product of the heads (CLIPer), or their mean.

    Returns
    -------
    (T, h', w') float32 tensor
        On the grid of the attention.
    """
    refined = torch.empty(len(coarse), *attention.grid)
    for batch, result in zip(coarse.split(CLASSES), refined.split(CLASSES), strict=True):
        result.copy_(_refined(batch, attention, fusion))
    return refined


def _refined(coarse: Tensor, attention: SelfAttention, fusion: HeadFusion) -> Tensor:
    """`refine_with_attention` for all classes at once."""
    columns = interpolated(coarse, attention.grid).flatten(1).T.contiguous()  # (n, T)
    return _FUSIONS[fusion](attention.maps, columns).T.reshape(-1, *attention.grid)
