"""Which patches may attend to each other, from masks of regions (CorrCLIP, arXiv 2411.10086).

Pure functions. Notation: n = h * w patches of a foundation model, C its width. Masks are integer
ids; the smallest id that is present stands for "in no mask".
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from torch import Tensor

EPS = 0.2
"""Masks whose mean features are nearer than this to each other are merged (`merged_masks`)."""

SHARPNESS = 4.0
"""Factor of the similarities before the softmax, tau of the paper."""


def mask_clusters(ids: Tensor, unit: Tensor) -> NDArray[np.int64]:
    """Find masks with similar features.

    Parameters
    ----------
    ids : (n,) int64 tensor
    unit : (n, C) float tensor
        Unit vectors of the same patches.

    Returns
    -------
    (masks,) int64 array
        The cluster of each id but the smallest, in ascending order of the ids. Two masks are in one
        cluster if a chain of masks with distances of at most `EPS` joins them; the distance is the
        largest similarity minus their own.
    """
    present, owner = torch.unique(ids, return_inverse=True)
    if len(present) < 2:
        return np.zeros(0, np.int64)
    sums = unit.new_zeros(len(present), unit.shape[1]).index_add_(0, owner, unit)
    means = F.normalize(sums[1:], dim=-1)
    similarity = means @ means.T
    joined = (similarity.max() - similarity <= EPS).numpy()
    _, labels = connected_components(joined, directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    found: NDArray[np.int64] = np.argsort(np.argsort(first))[inverse]  # in order of appearance
    return found


def merged_masks(ids: Tensor, unit: Tensor) -> Tensor:
    """Give masks with similar features one id; with fewer than three ids nothing is merged.

    Parameters
    ----------
    ids : (n,) int64 tensor
    unit : (n, C) float tensor
        Unit vectors of the same patches.

    Returns
    -------
    (n,) int64 tensor
        The smallest id is unchanged; the others are larger.
    """
    present, owner = torch.unique(ids, return_inverse=True)
    if len(present) < 3:
        return ids
    clusters = torch.from_numpy(mask_clusters(ids, unit))
    return torch.cat([present[:1], present[0] + 1 + clusters])[owner]


def scoped_attention(ids: Tensor, unit: Tensor) -> Tensor:
    """Return the attention between patches of the same mask.

    A patch outside of the masks attends to all patches that are more similar to it than the mean
    of all pairs, and they to it.

    Parameters
    ----------
    ids : (n,) int64 tensor
    unit : (n, C) float tensor
        Unit vectors of the same patches.

    Returns
    -------
    (n, n) float tensor
        Rows sum to 1.

    Notes
    -----
    Each patch attends at least to itself. Where all patches are equal, none is more similar than
    the mean.
    """
    similarity = unit @ unit.T
    outside = ids == ids.min()
    allowed = (ids[:, None] == ids) & ~outside
    allowed |= (outside[:, None] | outside) & (similarity > similarity.mean())
    allowed.fill_diagonal_(fill_value=True)
    scaled = (SHARPNESS * similarity).masked_fill(~allowed, float("-inf"))
    return torch.softmax(scaled, dim=-1)
