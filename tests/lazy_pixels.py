"""An array whose pixels are read when they are asked for."""

from __future__ import annotations


class Lazy:
    """An array of a library that reads when it is sliced; counts the pixels of each reading."""

    def __init__(self, array):
        self.array, self.read = array, []
        self.shape, self.ndim, self.size, self.dtype = (
            array.shape, array.ndim, array.size, array.dtype
        )  # fmt: skip

    def __getitem__(self, index):
        found = self.array[index]
        self.read.append(found.shape[0] * found.shape[1])
        return found
