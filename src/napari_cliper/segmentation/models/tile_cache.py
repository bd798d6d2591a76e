"""What the networks compute from tiles, kept on disk or in memory.

On disk each entry is a zip file with a zarr group: float16 for features. An entry is named by a
hash of everything it was computed from. A missing or damaged file only costs the time to compute
it again. A file is written under another name first, so that a killed program leaves whole entries.
"""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol

import numpy as np
import platformdirs
import zarr
from numpy.typing import NDArray
from zarr.storage import ZipStore

from ..errors import InvalidInputError

CACHE_BYTES = 20_000_000_000
"""Default size of the cache on disk."""

MEMORY_BYTES = 4_000_000_000
"""Default size of a store in memory."""

ABANDONED = 24 * 3600
"""Seconds after which an unfinished file is deleted."""

Arrays = Mapping[str, NDArray[Any]]

_SUFFIX = ".zarr.zip"


def key_of(*parts: Any) -> str:
    """Return the name of an entry that was computed from these values and arrays."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(repr((part.shape, part.dtype.str)).encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()[:32]


def _bytes(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())


class TileStore(Protocol):
    """A place for arrays by key."""

    @property
    def limit(self) -> int:
        """Bytes that all entries may take."""
        ...

    def __contains__(self, key: str) -> bool:
        """Return whether there is an entry."""
        ...

    def get(self, key: str) -> Arrays | None:
        """Return an entry; None if it is missing or damaged."""
        ...

    def put(self, key: str, arrays: Arrays) -> None:
        """Store an entry."""
        ...

    def trim(self) -> None:
        """Delete what is beyond the limit."""


@dataclass(frozen=True, eq=False)
class TileMemory:
    """A store in memory, for images that must not be written to disk.

    Parameters
    ----------
    limit : int
        Bytes beyond which the oldest entries are deleted.
    """

    limit: int = MEMORY_BYTES
    entries: dict[str, Arrays] = field(default_factory=dict, repr=False)

    def __contains__(self, key: str) -> bool:
        """Return whether there is an entry."""
        return key in self.entries

    def get(self, key: str) -> Arrays | None:
        """Return an entry; None if it is missing."""
        return self.entries.get(key)

    def put(self, key: str, arrays: Arrays) -> None:
        """Store an entry."""
        self.entries[key] = dict(arrays)
        self.trim()

    def trim(self) -> None:
        """Delete the oldest entries beyond the limit."""
        total = sum(map(_bytes, self.entries.values()))
        while total > self.limit:
            total -= _bytes(self.entries.pop(next(iter(self.entries))))


def default_folder() -> Path:
    """The folder for tiles in the user's cache folder."""
    return platformdirs.user_cache_path("napari-cliper") / "tiles"


@dataclass(frozen=True, eq=False)
class TileCache:
    """A store on disk.

    Parameters
    ----------
    folder : Path, optional
        Default: in the user's cache folder.
    limit : int
        Bytes beyond which the least recently used entries are deleted.
    unwritten : TileMemory, optional
        Takes the entries that cannot be written, because the disk is full.

    Raises
    ------
    InvalidInputError
        For a file where the folder or one above it should be.
    """

    folder: Path = field(default_factory=default_folder)
    limit: int = CACHE_BYTES
    unwritten: TileMemory = field(default_factory=TileMemory, repr=False)

    def __post_init__(self) -> None:
        """Refuse a file, with which there would be no cache."""
        object.__setattr__(self, "folder", Path(self.folder))
        if self.folder == default_folder():  # chosen by nobody
            return
        for place in (self.folder, *self.folder.parents):
            if place.is_file():
                raise InvalidInputError(
                    f"Tiles cannot be kept in {self.folder}: {place} is a file. Give a folder; it "
                    "is created if it is missing."
                )

    def __contains__(self, key: str) -> bool:
        """Return whether there is an entry."""
        return key in self.unwritten or self._path(key).exists()

    def get(self, key: str) -> Arrays | None:
        """Return an entry; None if it is missing or damaged."""
        found = self.unwritten.get(key)
        if found is not None:
            return found
        path = self._path(key)
        if not zipfile.is_zipfile(path):  # missing or cut off
            return None
        try:
            with ZipStore(path, mode="r") as store:
                group: Any = zarr.open_group(store, mode="r")
                names = group.attrs["arrays"]
                arrays = {name: np.asarray(group[name][...]) for name in names}
        except (OSError, zipfile.BadZipFile, ValueError, LookupError, TypeError, EOFError):
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        with suppress(OSError):  # the folder may be read-only
            os.utime(path)  # `trim` deletes the least recently used files
        return arrays

    def put(self, key: str, arrays: Arrays) -> None:
        """Store an entry; in memory if it cannot be written."""
        path = self._path(key)
        part = path.with_name(f"{path.name}.{token_hex(4)}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with ZipStore(part, mode="w") as store:
                group = zarr.open_group(store, mode="w", attributes={"arrays": sorted(arrays)})
                for name, array in arrays.items():
                    target = group.create_array(
                        name, shape=array.shape, dtype=array.dtype, chunks=array.shape,
                        compressors=None,
                    )  # fmt: skip
                    target[...] = array
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            self.unwritten.put(key, arrays)

    def trim(self) -> None:
        """Delete the least recently used entries beyond the limit, and remains of killed runs."""
        with suppress(OSError):
            for part in self.folder.glob("*.part"):
                if time.time() - part.stat().st_mtime > ABANDONED:
                    part.unlink(missing_ok=True)
        used = sorted(self.files(), key=lambda one: one[1], reverse=True)
        total = 0
        for path, _, size in used:
            total += size
            if total > self.limit:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def files(self) -> Iterator[tuple[Path, float, int]]:
        """Path, time of last use and bytes of every entry."""
        with suppress(OSError), os.scandir(self.folder) as found:
            for file in found:
                if file.name.endswith(_SUFFIX):
                    with suppress(OSError):  # another process has just deleted it
                        state = file.stat()
                        yield Path(file.path), state.st_mtime, state.st_size

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"
