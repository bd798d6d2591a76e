"""Arrays of object numbers: replace the numbers by values, and close gaps between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALL = 1 << 16
_TABLE = 16  # entries of a table for each pixel, above which sorting is used instead


def mapped(
    numbers: NDArray[np.integer], ids: NDArray[np.int64], values: NDArray[Any]
) -> NDArray[Any]:
    """Replace the numbers of objects by values.

    Parameters
    ----------
    numbers : array of int
        Only 0 and numbers of `ids`.
    ids : (N,) int64 array
        Ascending.
    values : (N,) array

    Returns
    -------
    array
        In the shape of `numbers` and the dtype of `values`; 0 where there is no object.
    """
    highest = int(ids[-1]) if len(ids) else 0
    if highest <= _TABLE * max(numbers.size, _SMALL):
        table = np.zeros(highest + 1, values.dtype)
        table[ids] = values
        found: NDArray[Any] = table[numbers]
    else:
        with_none = np.concatenate([np.zeros(1, values.dtype), values])
        found = with_none[np.searchsorted(ids, numbers, side="right")]
    return found


def without_gaps(
    numbers: NDArray[np.integer],
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Renumber objects from 1 without gaps.

    Parameters
    ----------
    numbers : array of int
        0 or more; 0 belongs to no object.

    Returns
    -------
    dense : int32 array
        In the shape of `numbers`.
    ids : (N,) int64 array
        The earlier number of object i + 1; ascending.
    areas : (N,) int64 array
        Size in pixels.
    """
    if int(numbers.max(initial=0)) <= _TABLE * max(numbers.size, _SMALL):
        counts = np.bincount(numbers.ravel(), minlength=1)
        counts[0] = 0
        ids = np.flatnonzero(counts)
        return mapped(numbers, ids, np.arange(1, len(ids) + 1, dtype=np.int32)), ids, counts[ids]
    found, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    kept = found > 0
    dense: NDArray[np.int32] = inverse.reshape(numbers.shape).astype(np.int32)
    dense += 0 if found[0] == 0 else 1
    return dense, found[kept].astype(np.int64), counts[kept].astype(np.int64)
