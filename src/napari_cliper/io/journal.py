"""Journal of a run over many images, so that it can be resumed: one JSON line per image.

The first line holds the settings; a run with other settings is refused. The second holds the
weights and library versions. A last line that a crash truncated is dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from ..segmentation import InvalidInputError, atomic
from .files import FileError, cannot

VERSION = 2
_START = b'{"version": '


class Journal:
    """The finished images of a run, on disk and in memory.

    Reading needs nothing else. To write, use it as a context manager: it is then locked, so that
    a second program cannot use it at the same time. `append` may be called in any thread.

    Parameters
    ----------
    path : Path
        Read if it exists; otherwise created by the first `append`.
    command : str
        The command that it belongs to, such as ``"segment"``.
    settings : mapping, optional
        Everything that the results depend on except the images; JSON-safe. Default: those of the
        file.

    Attributes
    ----------
    entries : dict of str to dict
        Record of each image, by its name.

    Raises
    ------
    FileError
        For a file that cannot be read or is not a journal of this command.
    InvalidInputError
        If the file belongs to a run with other settings; the message names them.
    """

    def __init__(self, path: Path, command: str, settings: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self.command = command
        self.engine: dict[str, Any] = {}
        self.entries: dict[str, dict[str, Any]] = {}
        # As they will be read again.
        self.settings = None if settings is None else json.loads(json.dumps(settings))
        self._whole = 0
        self._has_engine = False
        self._writing = threading.Lock()
        self._lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
        self._read()

    def _read(self) -> None:
        """Read the file, if there is one."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise cannot("read", self.path, error) from error
        check_start(self.path, content)
        lines = content.splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        self._whole = sum(map(len, whole))
        try:
            records = [json.loads(line) for line in whole]
            if records:
                self._check(records[0])
            for record in records[1:]:
                if "engine" in record:
                    self.engine, self._has_engine = dict(record["engine"]), True
                else:
                    self.entries[record["name"]] = record
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            if isinstance(error, InvalidInputError):
                raise
            raise self.damaged(error) from error

    def damaged(self, error: Exception) -> FileError:
        """Return the error for a file whose content cannot be used."""
        return FileError(
            f"{self.path} is damaged: {error!r}. Use --overwrite to start again, or choose another "
            "folder."
        )

    def _check(self, header: Mapping[str, Any]) -> None:
        if header.get("command", self.command) != self.command:
            raise FileError(
                f"{self.path} is the journal of another command. Choose another folder."
            )
        theirs = header["settings"] if header["version"] == VERSION else {}
        if self.settings is None:
            self.settings = theirs
        keys = sorted(theirs.keys() | self.settings.keys())
        differ = [key for key in keys if theirs.get(key) != self.settings.get(key)]
        if differ:
            raise InvalidInputError(
                f"{self.path} belongs to a run with other settings: {', '.join(differ)}. Choose "
                "another folder, use the same settings, or use --overwrite to start again."
            )

    def __enter__(self) -> Self:
        """Lock the file for this program; read what was added in the meantime.

        Raises
        ------
        FileError
            If another program is writing it, or the folder cannot be written to.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout as error:
            raise FileError(
                f"Another program is writing {self.path}. Wait until it has ended, or choose "
                "another folder."
            ) from error
        except OSError as error:
            raise cannot("write", self.path, error) from error
        try:
            if self.path.exists() and self.path.stat().st_size != self._whole:
                self._read()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Unlock the file."""
        with suppress(OSError):  # Windows deletes no open file
            Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    @property
    def exists(self) -> bool:
        """Whether the file has a complete first line."""
        return self._whole > 0

    def check_engine(self, engine: Mapping[str, Any]) -> None:
        """Check that the weights are those of the finished images.

        Parameters
        ----------
        engine : mapping
            ``weights`` and ``versions``, as in the record of a result.

        Raises
        ------
        InvalidInputError
            For other weights.
        """
        new = json.loads(json.dumps(engine))
        if self.engine and self.engine.get("weights") != new["weights"]:
            raise InvalidInputError(
                f"The weights have changed since {self.path} was created. Use --overwrite to start "
                "again, or choose another folder."
            )
        self.engine = self.engine or new

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a finished image; it is on disk (fsync) when this returns.

        Parameters
        ----------
        record : mapping
            With ``name`` and ``digest``; JSON-safe. It replaces an earlier one of the same name.

        Raises
        ------
        FileError
            If it cannot be written; earlier entries are kept.
        """
        with self._writing:
            lines: list[Mapping[str, Any]] = [] if self._whole else [self._header()]
            adds_engine = bool(self.engine) and not self._has_engine
            lines += [{"engine": self.engine}] if adds_engine else []
            data = b"".join(map(_line, [*lines, record]))
            try:
                with self.path.open("r+b" if self.path.exists() else "w+b") as file:
                    file.truncate(self._whole)  # a line that was cut short
                    file.seek(self._whole)
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                if not self._whole:
                    atomic.sync_folder(self.path.parent)
            except OSError as error:
                raise cannot("write", self.path, error) from error
            self._whole += len(data)
            self._has_engine |= adds_engine
            self.entries[record["name"]] = dict(record)

    def rewrite(self, names: Iterable[str]) -> None:
        """Write the file again with one line for each name, in this order; all of it or nothing.

        Raises
        ------
        FileError
            If it cannot be written; the file is then as it was.
        """
        kept = {name: self.entries[name] for name in names}
        engine = [{"engine": self.engine}] if self.engine else []
        data = b"".join(map(_line, [self._header(), *engine, *kept.values()]))
        try:
            atomic.write(self.path, data)
        except OSError as error:
            raise cannot("write", self.path, error) from error
        self._whole, self._has_engine, self.entries = len(data), bool(engine), kept

    def _header(self) -> dict[str, Any]:
        return {"version": VERSION, "command": self.command, "settings": self.settings}


def _line(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", errors="backslashreplace")


def remove(path: Path) -> None:
    """Delete a journal, if there is one.

    Raises
    ------
    FileError
        For a file that is not a journal, which is left alone, or that cannot be deleted.
    """
    try:
        check_start(path, path.read_bytes())
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot("write", path, error) from error


def check_start(path: Path, content: bytes) -> None:
    """Check that a file starts like a journal; a crash may have truncated it.

    Raises
    ------
    FileError
    """
    start = content[: len(_START)]
    if start != _START[: len(start)]:
        raise FileError(
            f"{path} is not a journal, and napari-cliper does not replace other files. Choose "
            "another folder, or move the file."
        )


def digest_of(*parts: bytes | str) -> str:
    """Return the SHA-256 of an image and of what else its result depends on, to detect changes."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part)
    return found.hexdigest()
