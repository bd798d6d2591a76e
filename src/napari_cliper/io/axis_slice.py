"""One index along an axis of an array that is read where it is indexed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..segmentation import LazyArray


class AxisSlice(LazyArray):
    """One index along an axis of an array, as an array that is read where it is indexed.

    Parameters
    ----------
    array : array
        Of any library.
    axis, index : int
    keep : bool
        Whether the axis stays, with length 1.
    """

    def __init__(self, array: Any, axis: int, index: int, *, keep: bool = True) -> None:
        self._array, self._axis, self._index, self._keep = array, axis, index, keep
        sides = [1 if i == axis else int(n) for i, n in enumerate(array.shape)]
        self.shape = tuple(sides if keep else sides[:axis] + sides[axis + 1 :])
        self.dtype = np.dtype(array.dtype)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read a part; the index has integers and slices."""
        parts = self._parts(index)
        if not self._keep:
            parts.insert(self._axis, self._index)
        elif isinstance(parts[self._axis], slice):
            parts[self._axis] = slice(self._index, self._index + 1)
        else:
            parts[self._axis] = self._index
        return np.asarray(self._array[tuple(parts)])
