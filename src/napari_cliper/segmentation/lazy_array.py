"""The base class of arrays that read only the indexed part."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class _Shaped(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...


class _Indexed(_Shaped, Protocol):
    def __getitem__(self, index: Any, /) -> NDArray[Any]: ...


class LazyArray:
    """An array that reads or computes only the part that is indexed.

    A subclass has `shape`, `dtype` and `__getitem__`.
    """

    @property
    def ndim(self: _Shaped) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self: _Shaped) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def _parts(self: _Shaped, index: Any) -> list[Any]:
        """An index as one entry for each axis: missing ones are all of the axis."""
        given = index if isinstance(index, tuple) else () if index is ... else (index,)
        return [*given, *(slice(None),) * (len(self.shape) - len(given))]

    def __array__(self: _Indexed, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all of it."""
        every = np.asarray(self[...])
        return every if dtype is None else every.astype(dtype)
