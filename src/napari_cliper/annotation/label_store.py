"""Labels and edit mask of a large image, in chunks that are kept on disk.

Both are one Zarr array, ``(2, Y, X)`` uint16: the labels and the edit mask of a chunk are one file,
which is replaced atomically, so that a crash cannot separate them. Chunks that have changed stay in
memory, compressed, until `LabelStore.save` writes them; of the others, those that were used last
are in memory. All labels of a stack are in memory, in a `memory_store.MemoryStore`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet, WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from ..segmentation import Monitor, atomic
from . import open_stores
from .chunk_files import chunks_in, create_array, link_chunks, open_array, read_chunk
from .chunks import (
    OVERVIEW,
    Chunk,
    ChunkChange,
    ChunkCounts,
    Index,
    Part,
    SwappedChunk,
    decided_in,
    pieces_by_chunk,
    region_of_chunk,
    relabel_pixels,
)
from .edit_mask import EditMask, Labels


class LabelStore:
    """Labels and edit mask of one large plane; several threads may use it.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    path : Path, optional
        A folder that `save` has written. Default: nothing is labelled, and nothing on disk.

    Raises
    ------
    FileError
        If the folder is missing, damaged, or of another shape.
    """

    in_memory = False
    """Whether all labels are in memory."""

    def __init__(self, shape: tuple[int, ...], path: Path | None = None) -> None:
        self.shape = shape
        self.overview: Labels = np.zeros([-(-side // OVERVIEW) for side in shape[-2:]], np.uint16)
        """The label of every eighth pixel; complete once `counts` was called."""
        self.version = 0
        """How many chunks were changed so far."""
        self._lock = threading.RLock()
        self._saving = threading.Lock()
        self._changed: dict[Index, Any] = {}  # not on disk yet; None: empty
        # What is there now, as long as it was used lately, or an undo step keeps it.
        self._alive: WeakValueDictionary[Index, Chunk] = WeakValueDictionary()
        self._set_at: dict[Index, int] = {}  # the version in which a chunk changed last
        self._forked_at: int | None = None
        self._forks: WeakSet[LabelStore] = WeakSet()
        self._counts: dict[Index, ChunkCounts] = {}
        self._path = path
        self._array = None if path is None else open_array(path, shape)
        self._there = set() if path is None else chunks_in(path, shape)  # on disk; others are empty
        open_stores.add(self)

    @property
    def path(self) -> Path | None:
        """The folder of the last save; None if there was none."""
        return self._path

    @property
    def saved(self) -> bool:
        """Whether all changes are on disk."""
        return not self._changed

    @property
    def blank(self) -> bool:
        """Whether no pixel has a label or is decided."""
        with self._lock:
            unchanged = self._there - self._changed.keys()
            return not unchanged and all(one is None or one.empty for one in self._changed.values())

    def fork(self) -> LabelStore:
        """Return a store with the same content and a life of its own, but without `overview`."""
        with self._lock:
            other = LabelStore(self.shape)
            other._path, other._array = self._path, self._array
            other._changed, other._there = dict(self._changed), set(self._there)
            other._counts = dict(self._counts)
            other._forked_at = other.version = self.version
            self._forks.add(other)
        return other

    def snapshot(self) -> LabelStore:
        """Return a store with the same content that changes of this one do not change, to read."""
        return self.fork()

    # ------------------------------------------------------------------ pixels

    def read(self, region: Part) -> tuple[Labels, EditMask]:
        """Return copies of the labels and the edit mask of a region.

        Raises
        ------
        FileError
            If a chunk on disk is damaged.
        """
        labels, edit_mask = self._read(region, slice(None))
        return labels, edit_mask.astype(np.uint8)

    def read_labels(self, region: Part) -> Labels:
        """Return a copy of the labels of a region; raises as `read`."""
        labels: Labels = self._read(region, slice(0, 1))[0]
        return labels

    def read_edit_mask(self, region: Part) -> EditMask:
        """Return a copy of the edit mask of a region; raises as `read`."""
        edit_mask: EditMask = self._read(region, slice(1, 2))[0].astype(np.uint8)
        return edit_mask

    def _read(self, region: Part, which: slice) -> NDArray[np.uint16]:
        sides = [max(part.stop - part.start, 0) for part in region]
        found = np.zeros((len(range(2)[which]), *sides), np.uint16)
        for index, inside, outside in pieces_by_chunk(region, self.shape):
            chunk = self._chunk(index)
            if chunk is not None:
                found[(slice(None), *outside)] = chunk.pixels[(which, *inside)]
        return found

    def decided_in(self, region: Part) -> tuple[bool, bool]:
        """Return whether a region has decided pixels, and whether some of them have a label."""
        decided = False
        for index, inside, _ in pieces_by_chunk(region, self.shape):
            chunk = self._chunk(index)
            if chunk is None or not chunk.decided[0]:
                continue
            whole = inside == tuple(slice(0, side) for side in chunk.shape[1:])
            here = chunk.decided if whole else decided_in(*chunk.pixels[(slice(None), *inside)])
            if here[1]:
                return here
            decided |= here[0]
        return decided, False

    def write(
        self,
        region: Part,
        labels: Labels | np.uint16,
        edit_mask: EditMask | np.uint8 | None = None,
        where: NDArray[np.bool_] | None = None,
    ) -> list[ChunkChange]:
        """Write labels and edit mask into a region.

        Parameters
        ----------
        region : tuple of slices
        labels : uint16
            An array of the shape of the region, or one label.
        edit_mask : uint8, optional
            Likewise; by default, the edit mask stays.
        where : bool array of the shape of the region, optional
            Which pixels change; default: all.

        Returns
        -------
        list of ChunkChange
            For `swap`, which undoes it.
        """
        changes = []
        for index, inside, outside in pieces_by_chunk(region, self.shape):
            chosen = None if where is None else where[outside]
            if chosen is not None and not chosen.any():
                continue
            with self._lock:
                old = self._chunk(index)
                new = self._pixels_for(index, old)
                for layer, values in enumerate((labels, edit_mask)):
                    if values is not None:
                        given = values[outside] if isinstance(values, np.ndarray) else values
                        target = new[layer][inside]
                        np.copyto(target, given, where=True if chosen is None else chosen)
                changed = tuple(
                    slice(whole.start + part.start, whole.start + part.stop)
                    for whole, part in zip(region, outside, strict=True)
                )
                changes.append(ChunkChange(index, old, self._set(index, new), changed))
        return changes

    def swap(self, changes: Sequence[ChunkChange]) -> None:
        """Undo changes: give the pixels that they have changed their values of before."""
        for change in reversed(changes):
            with self._lock:
                now, old = self._chunk(change.index), change.old
                if now is not change.new:
                    old = SwappedChunk(self._sides(change.index), now, old, change.new)
                self._put(change.index, old)

    def at_hand(self, index: Index) -> bool:
        """Whether the pixels of a chunk are in memory, uncompressed, or the chunk is empty."""
        with self._lock:
            chunk = self._changed.get(index, self._alive.get(index))
            return chunk.at_hand if chunk else index in self._changed or index not in self._there

    def merge(self, fork: LabelStore, changes: Sequence[ChunkChange]) -> set[Index]:
        """Take changes that were made in a fork; return which chunks have changed here since.

        Changes of the latter are not taken.
        """
        with self._lock:
            stale = self.changed_since(fork)
            for one in changes:
                if one.index not in stale:
                    self._put(one.index, one.new)
        return stale

    def changed_since(self, fork: LabelStore) -> set[Index]:
        """Return which chunks have changed here since a fork was made."""
        with self._lock:
            since = fork._forked_at or 0
            return {index for index, version in self._set_at.items() if version > since}

    def relabel(
        self,
        old: Collection[int],
        new: int,
        *,
        opened: bool = False,
        monitor: Monitor | None = None,
    ) -> list[ChunkChange]:
        """Give all pixels of some labels another one.

        Parameters
        ----------
        old : collection of int
        new : int
        opened : bool
            Whether they become undecided too.
        monitor : Monitor, optional
            Told of each chunk; can stop in between.

        Returns
        -------
        list of ChunkChange
        """
        changes, indices = [], self._indices()
        for done, index in enumerate(indices):
            if monitor is not None:
                monitor.tell("Changing labels", done, len(indices))
            changes += self.relabel_chunk(index, old, new, opened=opened)
        return changes

    def relabel_chunk(
        self, index: Index, old: Collection[int], new: int, *, opened: bool = False
    ) -> list[ChunkChange]:
        """Do `relabel` in one chunk."""
        if not self._counts_of(index).labels.keys() & set(old):
            return []
        with self._lock:
            chunk = self._chunk(index)
            pixels = self._pixels_for(index, chunk)
            relabel_pixels(pixels[0], pixels[1], old, new, opened=opened)
            new_chunk = self._set(index, pixels)
        return [ChunkChange(index, chunk, new_chunk, region_of_chunk(index, self.shape))]

    def counts(self) -> ChunkCounts:
        """Count the pixels of each label and edit mask; only changed chunks are read.

        The first call reads all chunks, and completes `overview`.
        """
        labels, edit_mask = Counter[int](), Counter[int]()
        for index in self._indices():
            one = self._counts_of(index)
            labels.update(one.labels)
            edit_mask.update(one.edit_mask)
        return ChunkCounts(dict(sorted(labels.items())), dict(sorted(edit_mask.items())))

    def chunks_with(self, edit_mask: int) -> set[Index]:
        """Return the chunks in which pixels have a value of the edit mask other than `OPEN`."""
        return {one for one in self._indices() if edit_mask in self._counts_of(one).edit_mask}

    def blocks(self) -> Iterator[Part]:
        """Yield the regions of the chunks that are not empty, row by row."""
        for index in sorted(self._indices()):
            yield region_of_chunk(index, self.shape)

    def _indices(self) -> list[Index]:
        with self._lock:
            return [*(self._there | self._changed.keys())]

    def _counts_of(self, index: Index) -> ChunkCounts:
        with self._lock:
            found, chunk = self._counts.get(index), None
            if found is None:
                chunk = self._chunk(index)
        if found is not None:
            return found
        if chunk is None:
            return ChunkCounts({}, {})
        counted = chunk.counts
        with self._lock:
            if self._chunk(index) is chunk:
                self._counts[index] = counted
                self._look_at(index, chunk)
        return counted

    def _look_at(self, index: Index, chunk: Chunk | None) -> None:
        small = 0 if chunk is None else chunk.small
        if self._forked_at is None and small is not None:  # else it is looked at when counted
            part = tuple(
                slice(one.start // OVERVIEW, -(-one.stop // OVERVIEW))
                for one in region_of_chunk(index, self.shape)
            )
            self.overview[part] = small

    def _set(self, index: Index, pixels: NDArray[np.uint16]) -> Chunk | None:
        chunk = Chunk(pixels) if pixels.any() else None
        self._put(index, chunk)
        return chunk

    def _put(self, index: Index, chunk: Chunk | None) -> None:
        for fork in self._forks:
            self._give(index, fork)
        self.version += 1
        self._set_at[index] = self.version
        self._changed[index] = chunk
        self._alive.pop(index, None)
        if chunk is not None:
            self._alive[index] = chunk
        self._counts.pop(index, None)
        self._look_at(index, chunk)

    def _give(self, index: Index, fork: LabelStore) -> None:
        """Let a fork keep a chunk that is about to change in the folder that it reads."""
        with fork._lock:
            own = index in fork._changed or index in fork._set_at or index not in fork._there
            if not own and fork._array is self._array:
                fork._changed[index] = self._chunk(index)

    def _pixels_for(self, index: Index, chunk: Chunk | None) -> NDArray[np.uint16]:
        """The pixels of a chunk that may be empty, to be changed."""
        if chunk is not None:
            return chunk.pixels.copy()
        return np.zeros((2, *self._sides(index)), np.uint16)

    def _sides(self, index: Index) -> tuple[int, ...]:
        return tuple(part.stop - part.start for part in region_of_chunk(index, self.shape))

    def _chunk(self, index: Index) -> Chunk | None:
        """Return a chunk; None if it is empty."""
        with self._lock:
            found: Chunk | None
            if index in self._changed:
                found = self._changed[index]
                return found
            if index not in self._there:
                return None
            found = self._alive.get(index)
            if found is None:
                assert self._array is not None  # noqa: S101 - something is on disk
                assert self._path is not None  # noqa: S101
                found = Chunk(read_chunk(self._array, self._path, index, self.shape))
                self._alive[index] = found
            return found

    # ------------------------------------------------------------------ disk

    def save(self, path: Path) -> None:
        """Write what has changed; into another folder than before, write everything.

        Everything is on disk when this returns. Each chunk is replaced atomically. Changes made
        during the save stay in memory for the next one.

        Parameters
        ----------
        path : Path
            The folder of this store, or one that does not exist.

        Raises
        ------
        OSError
            If a chunk cannot be written; it then stays in memory.
        FileError
            If a chunk in the old folder is damaged.
        """
        if path != self._path or self._array is None:
            with self.saved_to(path):
                return
        with self._saving:
            with self._lock:
                changed = [*self._changed]
            for index in changed:
                mark, pixels = self._to_write(index)
                part = slice(None), *region_of_chunk(index, self.shape)
                self._array[part] = 0 if pixels is None else pixels
                self._mark_written(index, mark, filled=pixels is not None)
            atomic.sync_folder(path)

    def go_on_from(self, fork: LabelStore) -> None:
        """Use the folder that a fork was saved to; what has changed since is not on disk yet."""
        with self._saving, self._lock:
            self._changed = {index: self._chunk(index) for index in self.changed_since(fork)}
            self._path, self._array, self._there = fork._path, fork._array, set(fork._there)

    def look_again(self, path: Path) -> None:
        """Reload what another program has saved; unsaved changes made here are kept.

        Parameters
        ----------
        path : Path
            The folder that it has saved to.

        Raises
        ------
        FileError
            If the folder is missing, damaged, or of another shape.
        """
        array, there = open_array(path, self.shape), chunks_in(path, self.shape)
        with self._saving, self._lock:
            others = (self._there | there) - self._changed.keys()
            self._path, self._array, self._there = path, array, there
            self.version += 1
            for index in others:
                self._set_at[index] = self.version
                self._alive.pop(index, None)
                self._counts.pop(index, None)
                if index not in there:
                    self._look_at(index, None)

    @contextmanager
    def saved_to(
        self, path: Path, monitor: Monitor | None = None, axes: str = "", *, in_place: bool = False
    ) -> Iterator[None]:
        """Write everything into a new folder, which this store uses if the block does not raise.

        Parameters
        ----------
        path : Path
            A folder that does not exist.
        monitor : Monitor, optional
            Told of each chunk; can stop in between.
        axes : str
            The letters of all axes, which then are names of the axes of the Zarr array.
        in_place : bool
            Whether the folder will take the place of the present one, and may share its files.

        Raises
        ------
        OSError, FileError
            As `save`.
        """
        with self._saving:
            array = create_array(path, self.shape, axes)
            there: set[Index] = set()
            written: dict[Index, Any] = {}  # the marks of those that are in memory only
            if in_place and self._path is not None and not self.in_memory:
                there = link_chunks(self._path, path, self._there - self._changed.keys())
            indices = [one for one in self._indices() if one not in there]
            for done, index in enumerate(indices):
                if monitor is not None:
                    monitor.tell("Writing labels", done, len(indices))
                mark, pixels = self._to_write(index)
                if pixels is not None:
                    array[(slice(None), *region_of_chunk(index, self.shape))] = pixels
                    there.add(index)
                with self._lock:
                    if index in self._changed and self._changed[index] is mark:
                        written[index] = mark
            atomic.sync_folder(path)
            yield
            with self._lock:
                self._path, self._array, self._there = path, array, there
                for index, mark in written.items():
                    self._mark_written(index, mark, filled=index in there)

    def _to_write(self, index: Index) -> tuple[Any, NDArray[np.uint16] | None]:
        """A chunk's entry in `_changed` if it has changed, and its pixels; None if it is empty."""
        chunk = self._chunk(index)
        return chunk, None if chunk is None or chunk.empty else chunk.pixels

    def _mark_written(self, index: Index, mark: Any, *, filled: bool) -> None:
        with self._lock:
            if filled:
                self._there.add(index)
            else:
                self._there.discard(index)
            if index in self._changed and self._changed[index] is mark:
                del self._changed[index]
