"""Arrays that are read piece by piece, for writers of images that do not fit into the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 4096
"""Rows and columns of a piece; a multiple of all powers of two by which pyramids are reduced."""


class Pieces:
    """An array whose rows and columns are read when they are needed.

    Parameters
    ----------
    read : callable
        Takes a slice of rows and one of columns, and returns these pixels as a numpy array with the
        axes Y, X and, for colours, C.
    shape : tuple of int
        (Y, X) or (Y, X, C).
    dtype : numpy dtype
    order : tuple of int, optional
        Order of the axes of what is read; see `transpose`.
    """

    def __init__(
        self,
        read: Callable[[slice, slice], NDArray[Any]],
        shape: tuple[int, ...],
        dtype: Any,
        order: tuple[int, ...] = (),
    ) -> None:
        self._read = read
        self._shape = shape
        self._order = order or tuple(range(len(shape)))
        self.shape = tuple(shape[axis] for axis in self._order)
        self.dtype = np.dtype(dtype)
        self.ndim = len(shape)

    def transpose(self, axes: Any) -> Pieces:
        """Return the same array with other axes; Y and X stay in this order."""
        order = tuple(self._order[axis] for axis in axes)
        return Pieces(self._read, self._shape, self.dtype, order)

    def mapped(self, convert: Callable[[NDArray[Any]], NDArray[Any]], dtype: Any) -> Pieces:
        """Return the same array with pixels that are converted after they are read."""
        read = self._read
        return Pieces(
            lambda rows, columns: convert(read(rows, columns)), self._shape, dtype, self._order
        )

    def piece(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return some rows and columns, with the axes in their order."""
        return self._read(rows, columns).astype(self.dtype, copy=False).transpose(self._order)


def loaded(array: Any) -> Any:
    """Return an array in memory; one that is in memory as it is."""
    if not isinstance(array, Pieces):
        return array
    height, width = array.shape[:2]
    return array.piece(slice(0, height), slice(0, width))


def labels_in(array: NDArray[Any] | Pieces, ignored: Any = None) -> list[int]:
    """Return the values that occur in uint8 or uint16 labels, sorted; without ignored pixels.

    Parameters
    ----------
    array : uint8 or uint16 array, or Pieces
    ignored : bool array of the same shape, or Pieces, optional
        Both are numpy arrays, or both are `Pieces`.
    """
    seen = np.zeros(1 << 16, bool)
    if isinstance(array, Pieces):
        for rows, columns, piece in pieces_of(array):
            seen[piece if ignored is None else piece[~ignored.piece(rows, columns)]] = True
    else:
        seen[array if ignored is None else array[~ignored]] = True
    found: list[int] = np.flatnonzero(seen).tolist()
    return found


def pieces_of(array: NDArray[Any] | Pieces) -> Iterator[tuple[slice, slice, NDArray[Any]]]:
    """Yield rows, columns and pixels of each piece of an array whose last axes are Y and X.

    A numpy array is one piece.
    """
    height, width = array.shape[-2:]
    if not isinstance(array, Pieces):
        yield slice(0, height), slice(0, width), array
        return
    for top, left in product(range(0, height, PIECE), range(0, width, PIECE)):
        rows = slice(top, min(top + PIECE, height))
        columns = slice(left, min(left + PIECE, width))
        yield rows, columns, array.piece(rows, columns)
