"""Chunks of the labels and the edit mask of an image, compressed unless they are in use."""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .compressed_bytes import CompressedBytes
from .edit_mask import OPEN, Labels

CHUNK = 512
"""Rows and columns of a chunk."""

UNPACKED = 256
"""Chunks whose pixels are in memory uncompressed: 256 MB."""

OVERVIEW = 8
"""Every how many rows and columns have a pixel in `Chunk.small`."""

Region = tuple[slice, slice]
"""Rows and columns, with start and stop."""

Part = tuple[slice, ...]
"""A slice with start and stop for each axis of an image."""

Index = tuple[int, ...]
"""Row and column of a chunk among the chunks of a plane, and before them the plane of a stack."""


@dataclass(frozen=True)
class ChunkCounts:
    """Pixels of each label but 0, and of each edit mask but `OPEN`, in a chunk or in all."""

    labels: Mapping[int, int]
    edit_mask: Mapping[int, int]

    @property
    def decided(self) -> int:
        """Number of pixels that are not open."""
        return sum(self.edit_mask.values())


def counts_in(labels: NDArray[np.uint16], edit_mask: NDArray[np.unsignedinteger]) -> ChunkCounts:
    """Count the pixels of each label but 0, and of each edit mask but `OPEN`."""
    return ChunkCounts(_numbers(labels, 0), _numbers(edit_mask, OPEN))


def decided_in(
    labels: NDArray[np.uint16], edit_mask: NDArray[np.unsignedinteger]
) -> tuple[bool, bool]:
    """Return whether some pixels are decided, and whether some of them have a label."""
    decided = edit_mask != OPEN
    return bool(decided.any()), bool((decided & (labels != 0)).any())


def _numbers(values: NDArray[np.unsignedinteger], left_out: int) -> dict[int, int]:
    numbers = np.bincount(values.ravel(), minlength=1)
    return {one: int(numbers[one]) for one in np.flatnonzero(numbers).tolist() if one != left_out}


def relabel_pixels(
    labels: Labels,
    edit_mask: NDArray[np.unsignedinteger],
    old: Iterable[int],
    new: int,
    *,
    opened: bool,
) -> None:
    """Give the pixels of some labels another one, in place; `opened` makes them undecided too."""
    here = np.zeros(labels.shape, bool)
    for label in old:  # a class has few labels; faster than `isin`
        here |= labels == label
    np.copyto(labels, np.uint16(new), where=here)
    if opened:
        np.copyto(edit_mask, edit_mask.dtype.type(OPEN), where=here)


class Chunk:
    """Labels and edit mask of a chunk; never changed once it is made.

    Of all chunks, the `UNPACKED` that were used last have their pixels in memory as they are. Those
    of the others are compressed, in memory or in a temporary file (`compressed_bytes`).

    Parameters
    ----------
    pixels : (2, y, x) uint16 array
        Labels and edit mask. Owned by the chunk.
    """

    empty = False
    """Whether no pixel has a label or is decided."""

    def __init__(self, pixels: NDArray[np.uint16]) -> None:
        pixels.flags.writeable = False
        self.small: Labels | None = pixels[0, ::OVERVIEW, ::OVERVIEW].copy()
        """The label of every eighth pixel; None as long as no pixel is computed."""
        self.shape = pixels.shape
        self._packed: CompressedBytes | None = None
        self._counts: ChunkCounts | None = None
        self._decided: tuple[bool, bool] | None = None
        self._pixels: NDArray[np.uint16] | None = pixels
        _use(self)

    @property
    def pixels(self) -> NDArray[np.uint16]:
        """Labels and edit mask, (2, y, x) uint16; read-only."""
        pixels = self._pixels
        if pixels is None:
            pixels = self._pixels = self._unpacked()
        _use(self)
        return pixels

    @property
    def at_hand(self) -> bool:
        """Whether `pixels` takes next to no time."""
        return self._pixels is not None

    @property
    def decided(self) -> tuple[bool, bool]:
        """Whether some pixels are decided, and whether some of them have a label."""
        if self._decided is None:
            self._decided = decided_in(*self.pixels)
        return self._decided

    @property
    def counts(self) -> ChunkCounts:
        """How many pixels have each label, and how many are decided."""
        if self._counts is None:
            self._counts = counts_in(*self.pixels)
        return self._counts

    @property
    def nbytes(self) -> int:
        """Bytes of the compressed pixels."""
        return self._pack().nbytes

    def _unpacked(self) -> NDArray[np.uint16]:
        assert self._packed is not None  # noqa: S101 - see `put_away`
        unpacked = zlib.decompress(self._packed.read())
        return np.frombuffer(unpacked, np.uint16).reshape(self.shape)

    def _pack(self) -> CompressedBytes:
        packed, pixels = self._packed, self._pixels
        if packed is None:
            pixels = self._unpacked() if pixels is None else pixels
            packed = self._packed = CompressedBytes(zlib.compress(pixels.tobytes(), 1))
        return packed

    def put_away(self) -> None:
        """Compress the pixels and drop the uncompressed copy."""
        self._pack()
        self._pixels = None


_Sources = tuple[Chunk | None, tuple[tuple[Chunk | None, Chunk | None], ...]]


class SwappedChunk(Chunk):
    """A chunk in which a change is undone, although it has changed otherwise since.

    The pixels that the change has changed have their values of before. They are computed when they
    are used first, which takes milliseconds, and not in the thread that undoes a step of many
    chunks.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    now : Chunk or None
        The chunk with both changes; None if it is empty.
    old, new : Chunk or None
        The chunk before and after the change that is undone.
    """

    def __init__(
        self, shape: tuple[int, ...], now: Chunk | None, old: Chunk | None, new: Chunk | None
    ) -> None:
        self.shape = (2, *shape)
        self.small = self._packed = self._counts = self._decided = self._pixels = None
        earlier = now.sources if isinstance(now, SwappedChunk) and now.small is None else None
        known, undone = (now, ()) if earlier is None else earlier  # many steps, no deep recursion
        self.sources: _Sources | None = (known, (*undone, (old, new)))
        """A chunk and what is undone in it, before and after; None once the pixels are packed."""

    @property
    def empty(self) -> bool:  # type: ignore[override]
        """Whether no pixel has a label or is decided."""
        return not self.pixels.any()

    def _unpacked(self) -> NDArray[np.uint16]:
        sources = self.sources
        if sources is None:
            return super()._unpacked()
        known, undone = sources
        pixels = np.zeros(self.shape, np.uint16) if known is None else known.pixels.copy()
        for old, new in undone:
            if old is not new:
                before, after = (0 if one is None else one.pixels for one in (old, new))
                changed = np.not_equal(before, after)
                np.copyto(pixels, before, where=changed[0] | changed[1])
        pixels.flags.writeable = False
        self.small = pixels[0, ::OVERVIEW, ::OVERVIEW].copy()
        return pixels

    def _pack(self) -> CompressedBytes:
        packed = super()._pack()
        self.sources = None  # not earlier: another thread may compute the pixels at the same time
        return packed


@dataclass(frozen=True, eq=False)
class ChunkChange:
    """A change of a chunk.

    Parameters
    ----------
    index : tuple of int
    old, new : Chunk or None
        Before and after; None if it is empty.
    region : tuple of slices
        The rows and columns of the image within which pixels have changed.
    """

    index: Index
    old: Chunk | None
    new: Chunk | None
    region: Part

    @property
    def reverse(self) -> ChunkChange:
        """The change that undoes this one."""
        return ChunkChange(self.index, self.new, self.old, self.region)

    @property
    def nbytes(self) -> int:
        """Bytes of both in memory; compresses them."""
        return sum(one.nbytes for one in (self.old, self.new) if one is not None)


def compress(changes: Iterable[ChunkChange]) -> None:
    """Compress the chunks of changes now, and not in the thread that takes them."""
    for one in changes:
        _ = one.nbytes


_USED: OrderedDict[Chunk, None] = OrderedDict()
_USED_LOCK = threading.Lock()


def _use(chunk: Chunk) -> None:
    """Mark a chunk as used, and compress the least recently used ones."""
    old = []
    with _USED_LOCK:
        _USED[chunk] = None
        _USED.move_to_end(chunk)
        while len(_USED) > UNPACKED:
            old.append(_USED.popitem(last=False)[0])
    for one in old:
        one.put_away()


def chunk_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sides of a chunk of an image of this shape; a chunk is in one plane."""
    return (*(1 for _ in shape[:-2]), *(min(CHUNK, side) for side in shape[-2:]))


def region_of_chunk(index: Index, shape: tuple[int, ...]) -> Part:
    """Return the pixels of a chunk of an image of this shape."""
    return tuple(
        slice(position * length, min((position + 1) * length, side))
        for position, length, side in zip(index, chunk_shape(shape), shape, strict=True)
    )


def chunks_of(region: Part, shape: tuple[int, ...]) -> Iterator[Index]:
    """Yield the chunks of a region of an image of this shape."""
    yield from product(
        *(
            range(part.start // length, -(-min(part.stop, side) // length))
            for part, length, side in zip(region, chunk_shape(shape), shape, strict=True)
        )
    )


def pieces_by_chunk(region: Part, shape: tuple[int, ...]) -> Iterator[tuple[Index, Part, Part]]:
    """Yield each chunk of a region: its index, the part of the chunk, the part of the region."""
    for index in chunks_of(region, shape):
        whole = region_of_chunk(index, shape)
        both = [
            slice(max(part.start, one.start), min(part.stop, one.stop))
            for part, one in zip(region, whole, strict=True)
        ]
        inside, outside = (
            tuple(
                slice(part.start - one.start, part.stop - one.start)
                for part, one in zip(both, origin, strict=True)
            )
            for origin in (whole, region)
        )
        yield index, inside, outside
