"""Compressed bytes, in memory up to a limit and beyond it in a temporary file."""

from __future__ import annotations

import tempfile
import threading
from typing import IO

import platformdirs

IN_MEMORY = 512_000_000
"""Bytes of all `CompressedBytes` in memory; more is in a file, as long as its disk has room."""


class _Store:
    """The number of bytes in memory, and the file for the rest."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # garbage may be collected while it is held
        self._file: IO[bytes] | None = None
        self._free: dict[int, int] = {}  # the size of each free part of the file, by its start
        self._end = 0
        self.in_memory = 0

    def put(self, data: bytes) -> int | None:
        """Return where the file has the bytes now; None if they are to stay in memory."""
        with self._lock:
            if self.in_memory + len(data) > IN_MEMORY:
                try:
                    return self._write(data)
                except OSError:  # nothing is lost: it stays in memory
                    pass
            self.in_memory += len(data)
            return None

    def _write(self, data: bytes) -> int:
        if self._file is None:
            folder = platformdirs.user_cache_path("napari-cliper")
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - stays
        size = len(data)
        start = next((one for one, room in self._free.items() if room >= size), self._end)
        self._file.seek(start)
        written = self._file.write(data)
        if written != size:
            raise OSError("The disk is full.")
        room = self._free.pop(start, size)
        if room > size:
            self._free[start + size] = room - size
        self._end = max(self._end, start + size)
        return start

    def read(self, start: int, size: int) -> bytes:
        with self._lock:
            assert self._file is not None  # noqa: S101 - something was written
            self._file.seek(start)
            return self._file.read(size)

    def drop(self, start: int | None, size: int) -> None:
        with self._lock:
            if start is None:
                self.in_memory -= size
                return
            size += self._free.pop(start + size, 0)
            before = next((one for one, room in self._free.items() if one + room == start), start)
            size += self._free.pop(before, 0)
            self._free[before] = size
            if before + size == self._end and self._file is not None:
                self._end = before
                del self._free[before]
                self._file.truncate(before)
                if before == 0:
                    self._file.close()
                    self._file = None


_STORE = _Store()


class CompressedBytes:
    """Bytes that are in memory, or in a temporary file if all others take `IN_MEMORY`.

    The file has no name, and its space is used again when the object is gone.

    Parameters
    ----------
    data : bytes
    """

    def __init__(self, data: bytes) -> None:
        self.nbytes = len(data)
        self._store = _STORE
        self._start = self._store.put(data)
        self._data = data if self._start is None else b""

    def read(self) -> bytes:
        """Return the bytes."""
        return self._data if self._start is None else self._store.read(self._start, self.nbytes)

    def __del__(self) -> None:
        """Free the space."""
        self._store.drop(self._start, self.nbytes)
