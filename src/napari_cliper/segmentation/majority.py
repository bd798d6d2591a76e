"""The most frequent value in each group. Pure functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_TABLE = 1 << 24
"""Cells of the largest table of counts."""


def most_frequent(
    groups: NDArray[np.integer], values: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the most frequent value of each group.

    Parameters
    ----------
    groups, values : (N,) arrays of int
        Group and value of each item, 0 or more.

    Returns
    -------
    groups, values : (G,) int64 arrays
        The groups that occur, ascending, and the most frequent value of each. Of equally frequent
        ones, the smallest.
    """
    span = int(values.max(initial=0)) + 1
    pairs = groups.astype(np.int64) * span + values
    if (int(groups.max(initial=0)) + 1) * span <= _TABLE:
        table = np.bincount(pairs, minlength=1)
        table = np.pad(table, (0, -len(table) % span)).reshape(-1, span)
        found = np.flatnonzero(table.any(axis=1))
        return found, table[found].argmax(axis=1).astype(np.int64)
    votes, counts = np.unique(pairs, return_counts=True)
    # Sort by group, then by count; lexsort is stable, so ties stay sorted by value.
    order = np.lexsort((-counts, votes // span))
    winners, firsts = np.unique((votes // span)[order], return_index=True)
    return winners, (votes % span)[order][firsts]


def majority_of_masks(labels: NDArray[Any], masks: NDArray[np.integer]) -> NDArray[Any]:
    """Give all pixels of a mask their most frequent label (CorrCLIP's map correction).

    Parameters
    ----------
    labels : (Y, X) array of int
    masks : (Y, X) array of int
        0 or more; 0 is in no mask: its pixels keep their labels.

    Returns
    -------
    (Y, X) array
        In the dtype of `labels`. Of equally frequent labels, the smallest.
    """
    inside = masks > 0
    groups, winners = most_frequent(masks[inside], labels[inside])
    found = labels.copy()
    found[inside] = winners[np.searchsorted(groups, masks[inside])].astype(labels.dtype)
    return found
