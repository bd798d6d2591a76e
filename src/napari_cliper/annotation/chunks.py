"""Chunks of the labels and the edit mask of a large image, compressed unless they are in use."""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .edit_mask import OPEN, Labels

CHUNK = 512
"""Rows and columns of a chunk."""

UNPACKED = 256
"""Chunks whose pixels are in memory uncompressed: 256 MB."""

OVERVIEW = 8
"""Every how many rows and columns have a pixel in `Chunk.small`."""

Region = tuple[slice, slice]
"""Rows and columns, with start and stop."""

Index = tuple[int, int]
"""Row and column of a chunk among the chunks of an image."""


@dataclass(frozen=True)
class ChunkCounts:
    """Number of pixels of each label but 0, and of decided pixels, in a chunk or in all."""

    labels: Mapping[int, int]
    decided: int


class Chunk:
    """Labels and edit mask of a chunk; never changed once it is made.

    Of all chunks, the `UNPACKED` that were used last have their pixels in memory as they are. Those
    of the others are compressed.

    Parameters
    ----------
    pixels : (2, y, x) uint16 array
        Labels and edit mask. Owned by the chunk.
    """

    def __init__(self, pixels: NDArray[np.uint16]) -> None:
        pixels.flags.writeable = False
        self.small: Labels = pixels[0, ::OVERVIEW, ::OVERVIEW].copy()
        """The label of every eighth pixel."""
        self.shape = pixels.shape
        self._packed = b""
        self._counts: ChunkCounts | None = None
        self._pixels: NDArray[np.uint16] | None = pixels
        _use(self)

    @property
    def pixels(self) -> NDArray[np.uint16]:
        """Labels and edit mask, (2, y, x) uint16; read-only."""
        pixels = self._pixels
        if pixels is None:
            packed = zlib.decompress(self._packed)
            pixels = self._pixels = np.frombuffer(packed, np.uint16).reshape(self.shape)
        _use(self)
        return pixels

    @property
    def counts(self) -> ChunkCounts:
        """How many pixels have each label, and how many are decided."""
        if self._counts is None:
            labels, edit_mask = self.pixels
            numbers = np.bincount(labels.ravel())
            found = {one: int(numbers[one]) for one in np.flatnonzero(numbers).tolist() if one}
            self._counts = ChunkCounts(found, int(np.count_nonzero(edit_mask != OPEN)))
        return self._counts

    @property
    def nbytes(self) -> int:
        """Bytes of the compressed pixels."""
        self._pack()
        return len(self._packed)

    def _pack(self) -> None:
        pixels = self._pixels
        if not self._packed and pixels is not None:
            self._packed = zlib.compress(pixels.tobytes(), 1)

    def put_away(self) -> None:
        """Keep the pixels compressed only."""
        self._pack()
        self._pixels = None


_USED: OrderedDict[Chunk, None] = OrderedDict()
_USED_LOCK = threading.Lock()


def _use(chunk: Chunk) -> None:
    """Note that a chunk is in use, and compress those that have not been for the longest time."""
    old = []
    with _USED_LOCK:
        _USED[chunk] = None
        _USED.move_to_end(chunk)
        while len(_USED) > UNPACKED:
            old.append(_USED.popitem(last=False)[0])
    for one in old:
        one.put_away()


def region_of_chunk(index: Index, shape: tuple[int, int]) -> Region:
    """Return the rows and columns of a chunk of an image of this shape."""
    rows, columns = (
        slice(position * CHUNK, min((position + 1) * CHUNK, side))
        for position, side in zip(index, shape, strict=True)
    )
    return rows, columns


def pieces_by_chunk(
    region: Region, shape: tuple[int, int]
) -> Iterator[tuple[Index, Region, Region]]:
    """Yield each chunk of a region: its index, the part of the chunk, the part of the region."""
    rows, columns = (
        range(part.start // CHUNK, -(-min(part.stop, side) // CHUNK))
        for part, side in zip(region, shape, strict=True)
    )
    for row in rows:
        for column in columns:
            whole = region_of_chunk((row, column), shape)
            both = [
                slice(max(part.start, one.start), min(part.stop, one.stop))
                for part, one in zip(region, whole, strict=True)
            ]
            inside = [
                slice(part.start - one.start, part.stop - one.start)
                for part, one in zip(both, whole, strict=True)
            ]
            outside = [
                slice(part.start - one.start, part.stop - one.start)
                for part, one in zip(both, region, strict=True)
            ]
            yield (row, column), (inside[0], inside[1]), (outside[0], outside[1])
