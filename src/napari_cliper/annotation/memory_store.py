"""Labels and edit mask in memory; a save writes only the chunks that have changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from ..io.files import FileError
from ..segmentation import InvalidInputError
from .chunk_files import chunks_in, open_array, read_chunk
from .chunks import (
    Chunk,
    ChunkChange,
    ChunkCounts,
    Index,
    Part,
    chunks_of,
    counts_in,
    pieces_by_chunk,
    region_of_chunk,
    relabel_pixels,
)
from .edit_mask import CLEANED, EditMask, Labels
from .label_store import LabelStore


class MemoryStore(LabelStore):
    """Labels and edit mask of a stack, as arrays that the caller may change within `changing`.

    Other threads read whole chunks, as they are between two changes.

    Parameters
    ----------
    labels : (..., Y, X) uint16 array
    edit_mask : (..., Y, X) uint8 array
        Both are used without a copy.
    path : Path, optional
        A folder with this content, that `save` has written.

    Raises
    ------
    InvalidInputError
        If the shapes differ.
    """

    in_memory = True

    def __init__(self, labels: Labels, edit_mask: EditMask, path: Path | None = None) -> None:
        if labels.shape != edit_mask.shape:
            raise InvalidInputError(
                f"Labels {labels.shape} and edit mask {edit_mask.shape} must have the same shape."
            )
        super().__init__(labels.shape, path)
        self.labels = labels
        self.edit_mask = edit_mask
        self._snapshots: WeakSet[_Snapshot] = WeakSet()
        self._changed = {index: object() for index in self._indices() if path is None}

    @classmethod
    def opened(cls, shape: tuple[int, ...], path: Path) -> MemoryStore:
        """Return the content of a folder that `save` has written.

        Raises
        ------
        FileError
            If it is missing, damaged, or of another shape.
        """
        array = open_array(path, shape)
        labels, edit_mask = np.zeros(shape, np.uint16), np.zeros(shape, np.uint8)
        for index in chunks_in(path, shape):
            part = region_of_chunk(index, shape)
            pixels = read_chunk(array, path, index, shape)
            if int(pixels[1].max()) > CLEANED:
                raise FileError(
                    f"The edit mask in {path} has the value {pixels[1].max()}, and at most "
                    f"{CLEANED} is expected. Another program has changed it: take it from a backup."
                )
            labels[part], edit_mask[part] = pixels
        return cls(labels, edit_mask, path)

    def fork(self) -> MemoryStore:
        """Return a store with copies of the arrays, for the same folder.

        Other threads may change this one at the same time.
        """
        with self._lock:
            snapshot, path, array = self.snapshot(), self._path, self._array
            changed, there, counts = dict(self._changed), set(self._there), dict(self._counts)
            version = self.version
        labels, edit_mask = np.empty_like(self.labels), np.empty_like(self.edit_mask)
        for index in self._indices():
            part = region_of_chunk(index, self.shape)
            labels[part], edit_mask[part] = snapshot.read(part)
        other = MemoryStore(labels, edit_mask)
        other._path, other._array = path, array
        other._changed, other._there, other._counts = changed, there, counts
        other._forked_at = other.version = version
        return other

    def snapshot(self) -> LabelStore:
        """Return a store with the same content that changes of this one do not change, to read.

        It copies what is about to change here.
        """
        with self._lock:
            found = _Snapshot(self.labels, self.edit_mask, self._lock, self._counts_of)
            self._snapshots.add(found)
        return found

    @contextmanager
    def changing(self, *parts: Part) -> Iterator[None]:
        """Let the caller change some parts of the arrays, while other threads wait."""
        with self._lock:
            indices = {index for part in parts for index in chunks_of(part, self.shape)}
            for snapshot in self._snapshots:
                snapshot.keep(indices)
            try:
                yield
            finally:
                self.version += 1
                for index in indices:
                    self._changed[index] = object()
                    self._set_at[index] = self.version
                    self._counts.pop(index, None)

    def has_changed(self, region: Part, version: int) -> bool:
        """Return whether a region has changed since this store had a version."""
        with self._lock:
            return any(
                self._set_at.get(index, 0) > version for index in chunks_of(region, self.shape)
            )

    @property
    def blank(self) -> bool:
        """Whether no pixel has a label or is decided."""
        planes = np.ndindex(self.shape[:-2])
        return not any(self.edit_mask[at].any() or self.labels[at].any() for at in planes)

    def relabel_chunk(
        self, index: Index, old: Collection[int], new: int, *, opened: bool = False
    ) -> list[ChunkChange]:
        """Do `relabel` in one chunk; there are no changes that `swap` can undo."""
        part = region_of_chunk(index, self.shape)
        if self._counts_of(index).labels.keys() & set(old):
            with self.changing(part):
                labels, edit_mask = self.labels[part], self.edit_mask[part]
                relabel_pixels(labels, edit_mask, old, new, opened=opened)
        return []

    def _read(self, region: Part, which: slice) -> NDArray[np.uint16]:
        sides = [max(one.stop - one.start, 0) for one in region]
        found = np.empty((len(range(2)[which]), *sides), np.uint16)
        arrays = (self.labels, self.edit_mask)[which]
        for index in np.ndindex(*sides[:-2]):
            with self._lock:
                for target, array in zip(found, arrays, strict=True):
                    target[index] = array[region][index]
        return found

    def _indices(self) -> list[Index]:
        return [*chunks_of(tuple(slice(0, side) for side in self.shape), self.shape)]

    def _counts_of(self, index: Index) -> ChunkCounts:
        part = region_of_chunk(index, self.shape)
        with self._lock:
            found = self._counts.get(index)
            if found is None:
                found = counts_in(self.labels[part], self.edit_mask[part])
                self._counts[index] = found
        return found

    def _to_write(self, index: Index) -> tuple[Any, NDArray[np.uint16] | None]:
        part = region_of_chunk(index, self.shape)
        with self._lock:
            mark, labels, edit_mask = (
                self._changed.get(index),
                self.labels[part],
                self.edit_mask[part],
            )
            if not (edit_mask.any() or labels.any()):
                return mark, None
            return mark, np.stack([labels, edit_mask.astype(np.uint16)])


class _Snapshot(LabelStore):
    """A `MemoryStore` as it was at one moment, to read."""

    in_memory = True

    def __init__(
        self,
        labels: Labels,
        edit_mask: EditMask,
        lock: threading.RLock,
        counts_now: Callable[[Index], ChunkCounts],
    ) -> None:
        super().__init__(labels.shape)
        self._arrays = labels, edit_mask
        self._lock = lock
        self._counts_now = counts_now
        self._kept: dict[Index, Chunk] = {}

    def keep(self, indices: Collection[Index]) -> None:
        """Copy chunks that are about to change."""
        for index in indices:
            if index not in self._kept:
                self._kept[index] = Chunk(self._pixels(index))

    @property
    def blank(self) -> bool:
        """Whether no pixel has a label or is decided."""
        found = self.counts()
        return not (found.labels or found.decided)

    def _pixels(self, index: Index) -> NDArray[np.uint16]:
        """A chunk, (2, ..., y, x), which is not to be changed."""
        with self._lock:
            kept = self._kept.get(index)
            if kept is None:
                part = region_of_chunk(index, self.shape)
                return np.stack([one[part].astype(np.uint16) for one in self._arrays])
        return kept.pixels

    def _read(self, region: Part, which: slice) -> NDArray[np.uint16]:
        sides = [max(one.stop - one.start, 0) for one in region]
        found = np.empty((len(range(2)[which]), *sides), np.uint16)
        for index, inside, outside in pieces_by_chunk(region, self.shape):
            found[(slice(None), *outside)] = self._pixels(index)[(which, *inside)]
        return found

    def _indices(self) -> list[Index]:
        return [*chunks_of(tuple(slice(0, side) for side in self.shape), self.shape)]

    def _counts_of(self, index: Index) -> ChunkCounts:
        with self._lock:
            if index not in self._kept:
                return self._counts_now(index)
        return counts_in(*self._kept[index].pixels)

    def _to_write(self, index: Index) -> tuple[Any, NDArray[np.uint16] | None]:
        pixels = self._pixels(index)
        return None, pixels if pixels.any() else None
