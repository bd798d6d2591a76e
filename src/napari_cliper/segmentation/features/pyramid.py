"""An image at several resolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..lazy_array import LazyArray


@dataclass(frozen=True, eq=False)
class Pyramid(LazyArray):
    """An image at several resolutions; each tile is read from the one that fits its scale.

    `Segmenter.embed` accepts it as an image, with tiles.

    Parameters
    ----------
    levels : sequence of (Y, X) or (Y, X, C) arrays
        The largest first; of any library.
    """

    levels: Sequence[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the largest level."""
        return tuple(int(side) for side in self.levels[0].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The data type of the values."""
        found: np.dtype[Any] = np.dtype(self.levels[0].dtype)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all of the largest level."""
        every = np.asarray(self.levels[0])
        return every if dtype is None else every.astype(dtype)
