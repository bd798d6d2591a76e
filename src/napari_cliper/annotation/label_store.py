"""Labels and edit mask of a large image, in chunks that are kept on disk.

Both are one Zarr array, ``(2, Y, X)`` uint16: the labels and the edit mask of a chunk are one file,
which is replaced atomically, so that a crash cannot separate them. Chunks that have changed stay in
memory until `LabelStore.save` writes them; of the others, the most recently used are in memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from ..io.files import FileError
from ..segmentation import atomic
from .edit_mask import OPEN, EditMask, Labels

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

CHUNK = 512
"""Rows and columns of a chunk."""

CACHED = 256
"""Chunks as on disk that stay in memory: 256 MB."""

OVERVIEW = 8
"""Every how many rows and columns have a pixel in `LabelStore.overview`."""

Region = tuple[slice, slice]
"""Rows and columns, with start and stop."""

Index = tuple[int, int]

_Chunk = NDArray[np.uint16]  # (2, y, x): labels and edit mask; never changed once it is made


@dataclass(frozen=True)
class ChunkCounts:
    """Number of pixels of each label but 0, and of decided pixels, in a chunk or in all."""

    labels: Mapping[int, int]
    decided: int


class _SyncedStore(LocalStore):
    """Files of a Zarr array that are on the disk, whole, when a write returns."""

    async def set(self, key: str, value: Buffer) -> None:
        """Write one file atomically."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, value.to_bytes())


class LabelStore:
    """Labels and edit mask of one large plane; several threads may use it.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the image.
    path : Path, optional
        A folder that `save` has written. Default: nothing is labelled, and nothing on disk.

    Raises
    ------
    FileError
        If the folder is missing, damaged, or of another shape.
    """

    def __init__(self, shape: tuple[int, int], path: Path | None = None) -> None:
        self.shape = shape
        self.overview: Labels = np.zeros(
            (-(-shape[0] // OVERVIEW), -(-shape[1] // OVERVIEW)), np.uint16
        )
        """The label of every eighth pixel; complete once `counts` was called."""
        self.version = 0
        """How many chunks were changed so far."""
        self._lock = threading.RLock()
        self._saving = threading.Lock()
        self._changed: dict[Index, _Chunk] = {}  # not on disk yet
        self._cached: OrderedDict[Index, _Chunk] = OrderedDict()  # as on disk
        self._counts: dict[Index, ChunkCounts] = {}
        self._path = path
        self._array = None if path is None else _opened(path, shape)
        self._there = set() if path is None else _chunks_in(path)  # on disk; others are empty
        with _ALL_LOCK:
            _ALL.add(self)

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
            return not unchanged and not any(chunk.any() for chunk in self._changed.values())

    def fork(self) -> LabelStore:
        """Return a store with the same content, whose changes do not change this one."""
        with self._lock:
            other = LabelStore(self.shape)
            other._path, other._array = self._path, self._array
            other._changed, other._there = dict(self._changed), set(self._there)
            other._counts, other.overview = dict(self._counts), self.overview.copy()
            other.version = self.version
        return other

    # ------------------------------------------------------------------ pixels

    def read(self, region: Region) -> tuple[Labels, EditMask]:
        """Return copies of the labels and the edit mask of a region.

        Raises
        ------
        FileError
            If a chunk on disk is damaged.
        """
        labels, edit_mask = self._read(region, slice(None))
        return labels, edit_mask.astype(np.uint8)

    def read_labels(self, region: Region) -> Labels:
        """Return a copy of the labels of a region; raises as `read`."""
        labels: Labels = self._read(region, slice(0, 1))[0]
        return labels

    def read_edit_mask(self, region: Region) -> EditMask:
        """Return a copy of the edit mask of a region; raises as `read`."""
        edit_mask: EditMask = self._read(region, slice(1, 2))[0].astype(np.uint8)
        return edit_mask

    def _read(self, region: Region, which: slice) -> NDArray[np.uint16]:
        sides = [max(part.stop - part.start, 0) for part in region]
        found = np.zeros((len(range(2)[which]), *sides), np.uint16)
        for index, inside, outside in _pieces(region, self.shape):
            chunk = self._chunk(index)
            if chunk is not None:
                found[(slice(None), *outside)] = chunk[(which, *inside)]
        return found

    def decided_in(self, region: Region) -> tuple[bool, bool]:
        """Return whether a region has decided pixels, and whether some of them have a label."""
        decided = False
        for index, inside, _ in _pieces(region, self.shape):
            chunk = self._chunk(index)
            if chunk is not None:
                labels, edit_mask = chunk[(slice(None), *inside)]
                if edit_mask.any():
                    decided = True
                    if labels[edit_mask != OPEN].any():
                        return True, True
        return decided, False

    def write(
        self,
        region: Region,
        labels: Labels | np.uint16,
        edit_mask: EditMask | np.uint8 | None = None,
        where: NDArray[np.bool_] | None = None,
    ) -> None:
        """Write labels and edit mask into a region.

        Parameters
        ----------
        region : (slice, slice)
        labels : uint16
            An array of the shape of the region, or one label.
        edit_mask : uint8, optional
            Likewise; by default, the edit mask stays.
        where : bool array of the shape of the region, optional
            Which pixels change; default: all.
        """
        for index, inside, outside in _pieces(region, self.shape):
            chosen = None if where is None else where[outside]
            if chosen is not None and not chosen.any():
                continue
            with self._lock:
                old = self._chunk(index)
                new = self._empty(index) if old is None else old.copy()
                for layer, values in enumerate((labels, edit_mask)):
                    if values is not None:
                        given = values[outside] if isinstance(values, np.ndarray) else values
                        target = new[(layer, *inside)]
                        np.copyto(target, given, where=True if chosen is None else chosen)
                self._set(index, new)

    def relabel(self, old: Collection[int], new: int, *, opened: bool = False) -> None:
        """Give all pixels of some labels another one; `opened` makes them undecided too."""
        for index in self._indices():
            if not self._counts_of(index).labels.keys() & set(old):
                continue
            with self._lock:
                chunk = self._chunk(index)
                if chunk is not None:
                    here, chunk = np.isin(chunk[0], list(old)), chunk.copy()
                    chunk[0][here] = new
                    if opened:
                        chunk[1][here] = OPEN
                    self._set(index, chunk)

    def counts(self) -> ChunkCounts:
        """Count the pixels of each label but 0, and the decided ones; only changed chunks are read.

        The first call reads all chunks, and completes `overview`.
        """
        labels: dict[int, int] = {}
        decided = 0
        for index in self._indices():
            one = self._counts_of(index)
            decided += one.decided
            for label, count in one.labels.items():
                labels[label] = labels.get(label, 0) + count
        return ChunkCounts(dict(sorted(labels.items())), decided)

    def blocks(self) -> Iterator[Region]:
        """Yield the regions of the chunks that are not empty, row by row."""
        for index in sorted(self._indices()):
            yield _region_of(index, self.shape)

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
            return ChunkCounts({}, 0)
        numbers = np.bincount(chunk[0].ravel())
        labels = {label: int(numbers[label]) for label in np.flatnonzero(numbers).tolist() if label}
        counted = ChunkCounts(labels, int(np.count_nonzero(chunk[1] != OPEN)))
        with self._lock:
            if self._chunk(index) is chunk:
                self._counts[index] = counted
                self._look_at(index, chunk)
        return counted

    def _look_at(self, index: Index, chunk: _Chunk) -> None:
        small = chunk[0, ::OVERVIEW, ::OVERVIEW]
        top, left = (position * CHUNK // OVERVIEW for position in index)
        self.overview[top : top + small.shape[0], left : left + small.shape[1]] = small

    def _set(self, index: Index, chunk: _Chunk) -> None:
        chunk.flags.writeable = False
        self.version += 1
        self._changed[index] = chunk
        self._cached.pop(index, None)
        self._counts.pop(index, None)
        self._look_at(index, chunk)

    def _empty(self, index: Index) -> _Chunk:
        sides = (part.stop - part.start for part in _region_of(index, self.shape))
        return np.zeros((2, *sides), np.uint16)

    def _chunk(self, index: Index) -> _Chunk | None:
        """Return a chunk that must not be changed; None if it is empty."""
        with self._lock:
            found = self._changed.get(index)
            if found is None and index in self._there:
                found = self._cached.pop(index, None)
                found = self._from_disk(index) if found is None else found
                self._keep(index, found)
            return found

    def _from_disk(self, index: Index) -> _Chunk:
        assert self._array is not None  # noqa: S101 - something is on disk
        assert self._path is not None  # noqa: S101
        try:
            chunk = np.asarray(self._array[(slice(None), *_region_of(index, self.shape))])
        except (OSError, ValueError, RuntimeError) as error:
            raise FileError(
                f"The labels in {self._path} are damaged ({error}). Take them from a backup."
            ) from error
        if not chunk.any() and not is_stored(self._path):  # Zarr reads missing files as 0
            raise FileError(
                f"The labels in {self._path} are gone. Connect their disk again; if another "
                "program has saved this image, open the image again."
            )
        chunk.flags.writeable = False
        return chunk

    def _keep(self, index: Index, chunk: _Chunk) -> None:
        self._cached[index] = chunk
        while len(self._cached) > CACHED:
            self._cached.popitem(last=False)

    # ------------------------------------------------------------------ disk

    def save(self, path: Path) -> None:
        """Write what has changed; into another folder than before, write everything.

        All is on disk when this returns. Each chunk is replaced atomically. Changes meanwhile
        stay in memory for the next save.

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
                changed = dict(self._changed)
            for index, chunk in changed.items():
                self._array[(slice(None), *_region_of(index, self.shape))] = chunk
                self._mark_written(index, chunk)
            atomic.sync_folder(path)

    @contextmanager
    def saved_to(self, path: Path) -> Iterator[None]:
        """Write everything into a new folder; this store uses it once the block has ended.

        If the block raises, this store stays as it was.

        Parameters
        ----------
        path : Path
            A folder that does not exist.

        Raises
        ------
        OSError, FileError
            As `save`.
        """
        with self._saving:
            array = _created(path, self.shape)
            there: set[Index] = set()
            written: dict[Index, _Chunk] = {}  # of those that are in memory only
            for index in self._indices():
                chunk = self._chunk(index)
                if chunk is None:
                    continue
                if chunk.any():
                    array[(slice(None), *_region_of(index, self.shape))] = chunk
                    there.add(index)
                with self._lock:
                    if self._changed.get(index) is chunk:
                        written[index] = chunk
            atomic.sync_folder(path)
            yield
            with self._lock:
                self._path, self._array, self._there = path, array, there
                for index, chunk in written.items():
                    self._mark_written(index, chunk)

    def _mark_written(self, index: Index, chunk: _Chunk) -> None:
        with self._lock:
            if chunk.any():
                self._there.add(index)
            else:
                self._there.discard(index)
            if self._changed.get(index) is chunk:
                del self._changed[index]
                if chunk.any():
                    self._keep(index, chunk)


_ALL: WeakSet[LabelStore] = WeakSet()
_ALL_LOCK = threading.Lock()


def is_stored(path: Path) -> bool:
    """Return whether a folder has the labels of a `LabelStore`, as far as its metadata tells."""
    return (path / "zarr.json").is_file()


def in_use(path: Path) -> bool:
    """Return whether a `LabelStore` of this process reads a folder."""
    with _ALL_LOCK:
        return any(store.path == path for store in _ALL)


def _created(path: Path, shape: tuple[int, int]) -> zarr.Array[Any]:
    return zarr.create_array(
        _SyncedStore(path),
        shape=(2, *shape),
        chunks=(2, min(CHUNK, shape[0]), min(CHUNK, shape[1])),
        dtype=np.uint16,
        fill_value=0,
        dimension_names=("labels_and_edit_mask", "y", "x"),
        config={"write_empty_chunks": False},
    )


def _opened(path: Path, shape: tuple[int, int]) -> zarr.Array[Any]:
    try:
        array = zarr.open_array(_SyncedStore(path), mode="r+", config={"write_empty_chunks": False})
    except (OSError, ValueError, KeyError) as error:
        raise FileError(
            f"{path} is missing or damaged, with the annotation. Take it from a backup."
        ) from error
    chunks = (2, min(CHUNK, shape[0]), min(CHUNK, shape[1]))
    if array.shape != (2, *shape) or array.dtype != np.uint16 or array.chunks != chunks:
        raise FileError(
            f"{path} is {array.dtype} {array.shape} in chunks of {array.chunks}, and was uint16 "
            f"{(2, *shape)}. Another program has changed it: take it from a backup."
        )
    return array


def _chunks_in(path: Path) -> set[Index]:
    """The chunks of an array that have a file."""
    found = (one for one in (path / "c" / "0").glob("*/*") if one.name.isdecimal())
    return {(int(one.parent.name), int(one.name)) for one in found}


def _region_of(index: Index, shape: tuple[int, int]) -> Region:
    rows, columns = (
        slice(position * CHUNK, min((position + 1) * CHUNK, side))
        for position, side in zip(index, shape, strict=True)
    )
    return rows, columns


def _pieces(region: Region, shape: tuple[int, int]) -> Iterator[tuple[Index, Region, Region]]:
    """Yield each chunk of a region: its index, the part of the chunk, the part of the region."""
    rows, columns = (
        range(part.start // CHUNK, -(-min(part.stop, side) // CHUNK))
        for part, side in zip(region, shape, strict=True)
    )
    for row in rows:
        for column in columns:
            whole = _region_of((row, column), shape)
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
