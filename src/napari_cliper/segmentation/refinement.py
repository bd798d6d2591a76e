"""Coarse maps become refined maps.

Sources: CLIPer (arXiv 2411.13836, sec. 3.3) for the product of the self-attention
heads and for the vision foundation model beside it; PAMR (Araslanov and Roth, CVPR
2020, sec. 3.3). Pure functions.

Notation: A_1 .. A_m are (n, n) attention maps, n = h * w; c is the coarse map as
(n, T) columns. Products are taken from the right, A_1 (A_2 (.. (A_m c))), so that no
(n, n) product is ever formed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from types import MappingProxyType
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor

from .attention import proxy_attention
from .progress import Monitor

HeadFusion = Literal["product", "mean"]

SPARSE_BELOW = 0.2
"""Share of values that survive the threshold up to which a map is kept sparse. A sparse
product reads 8 bytes a value where a dense one reads 4, and does not vectorise."""

AttentionMap: TypeAlias = "Tensor | sparse.csr_array"


@dataclass(frozen=True)
class SelfAttention:
    """The sharpened self-attention of an image, ready to refine any map.

    Parameters
    ----------
    maps : tuple of (n, n) attention maps
        float32; rows sum to 1. Dense or sparse, by how filled they are.
    grid : (int, int)
        (h, w) with n = h * w.
    """

    maps: tuple[AttentionMap, ...]
    grid: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the maps take."""
        return sum(
            m.nbytes
            if isinstance(m, Tensor)
            else m.data.nbytes + m.indices.nbytes + m.indptr.nbytes
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
    raw = raw.float()
    relative = raw / (raw.amax(dim=0, keepdim=True) + 1e-5)
    kept = torch.where(relative < threshold, 0, relative)
    return kept / (kept.sum(dim=1, keepdim=True) + 1e-5)


def compress(attention: Tensor) -> AttentionMap:
    """Move a map to the CPU, sparse where few of its values are left."""
    filled = int(torch.count_nonzero(attention)) / attention.numel()
    attention = attention.cpu()
    if filled > SPARSE_BELOW:
        return attention
    return sparse.csr_array(attention.numpy())


def _apply(attention: AttentionMap, columns: Tensor) -> Tensor:
    """(n, n) times (n, T)."""
    if isinstance(attention, Tensor):
        return attention @ columns
    return torch.from_numpy(attention @ columns.numpy())


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
    columns = _on_grid(coarse, attention.grid).flatten(1).T.contiguous()  # (n, T)
    refined: Tensor = _FUSIONS[fusion](attention.maps, columns).T  # (T, n)
    return refined.reshape(-1, *attention.grid)


def feature_attention(features: Tensor, *, beta: float = 1.2, gamma: float = 3.0) -> SelfAttention:
    """The attention between the patches of a vision foundation model, as a refiner.

    Parameters
    ----------
    features : (C, fh, fw) float tensor
        Patch features, class token dropped.
    beta, gamma : float
        See `attention.proxy_attention`.
    """
    weights = proxy_attention(features.float().flatten(1).T, beta, gamma)  # (n, n)
    return SelfAttention((compress(weights),), (features.shape[1], features.shape[2]))


def _on_grid(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    return F.interpolate(maps[None].float(), size=grid, mode="bilinear", align_corners=False)[0]


def refine_with_colours(
    maps: Tensor,
    image: Tensor,
    *,
    iterations: int,
    dilations: Sequence[int],
    monitor: Monitor | None = None,
) -> Tensor:
    """PAMR: let neighbours of like colour agree.

    Each iteration replaces a pixel's values by a mean over its 8 neighbours at every
    dilation, weighted by a softmax of minus the colour difference over the local
    deviation (Araslanov and Roth 2020, eq. 5-6).

    Parameters
    ----------
    maps : (T, h, w) float tensor
    image : (3, H, W) float tensor
        Any range; the result has its size.
    iterations : int
    dilations : sequence of int
        Distances of the neighbours, in pixels of `image`.

    Returns
    -------
    (T, H, W) float32 tensor
        Within the range of `maps`.
    """
    monitor = monitor or Monitor()
    shape = (image.shape[1], image.shape[2])
    weights = _colour_weights(image.float(), dilations)  # (8 * dilations, H, W)
    maps = _on_grid(maps, shape)
    for iteration in range(iterations):
        monitor.tell("Refining by colour", iteration, iterations)
        total = torch.zeros_like(maps)
        for weight, neighbour in zip(weights, _neighbours(maps, dilations), strict=True):
            total.addcmul_(weight, neighbour)
        maps = total
    return maps


def _neighbours(planes: Tensor, dilations: Sequence[int]) -> Iterator[Tensor]:
    """(C, H, W) planes moved by each of the 8 neighbours at each dilation; borders repeat."""
    height, width = planes.shape[-2:]
    reach = max(dilations)
    padded = F.pad(planes[None], (reach,) * 4, mode="replicate")[0]
    for d in dilations:
        for dy, dx in product((-d, 0, d), repeat=2):
            if dy or dx:
                top, left = reach + dy, reach + dx
                yield padded[:, top : top + height, left : left + width]


def _colour_weights(image: Tensor, dilations: Sequence[int]) -> Tensor:
    """Affinity of every pixel to its neighbours, (8 * dilations, H, W); sums to 1."""
    neighbours = torch.stack(list(_neighbours(image, dilations)))  # (8 * dilations, 3, H, W)
    # The deviation is over 3 x 3 pixels at every dilation: the pixel itself counts each time.
    centres = image.expand(len(dilations), -1, -1, -1)
    deviation = torch.cat([neighbours, centres]).std(dim=0)  # (3, H, W)
    difference = (neighbours - image).abs() / (1e-8 + 0.1 * deviation)
    return torch.softmax(-difference.mean(dim=1), dim=0)
