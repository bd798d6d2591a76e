"""Journal of a run over many images, so that it can be resumed: one JSON line per image.

The first line holds the settings, the second the weights and library versions; images finished with
other settings follow after lines of the same kind. A last line that a crash truncated or filled
with NUL bytes is dropped, and so is what follows it.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from ..segmentation import InvalidInputError, atomic
from .files import FileAccessError, FileError, cannot

VERSION = 2
_START = b'{"version": '


@dataclass(eq=False)
class Run:
    """The finished images of all runs with the same settings.

    Parameters
    ----------
    settings : dict
    engine : dict
        ``weights`` and ``versions``; empty until they are known.
    entries : dict of str to dict
        Record of each image, by its name.
    """

    settings: dict[str, Any]
    engine: dict[str, Any] = field(default_factory=dict)
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)


class Journal:
    """The finished images of a folder of results, on disk and in memory.

    Reading needs nothing else. To write, use it as a context manager: it is then locked, so that
    a second program cannot use it at the same time. `append` may be called in any thread.

    Parameters
    ----------
    path : Path
        Read if it exists; otherwise created by `start` or `append`.
    command : str
        The command that it belongs to, such as ``"segment"``.
    settings : mapping
        Everything that the results depend on except the images; JSON-safe.

    Attributes
    ----------
    own : Run
        The images that were finished with these settings.
    runs : list of Run
        Those of all settings, in the order of the file.

    Raises
    ------
    FileError
        For a file that cannot be read or is not a journal of this command.
    """

    def __init__(self, path: Path, command: str, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.command = command
        self.runs: list[Run] = []
        self._settings: dict[str, Any] = json.loads(json.dumps(settings))  # as they are read again
        self._whole = 0
        self._last: Run | None = None  # that of the last header in the file
        self._with_engine: set[int] = set()  # runs whose engine is in the file
        self._writing = threading.Lock()
        lock = path.with_name(f".{path.name}.lock")
        self._lock = FileLock(lock, timeout=0, thread_local=False)
        self._read()
        self.own = self._run(self._settings)

    def _run(self, settings: dict[str, Any]) -> Run:
        for run in self.runs:
            if run.settings == settings:
                return run
        self.runs.append(Run(settings))
        return self.runs[-1]

    def _read(self) -> None:
        """Read the file, if there is one."""
        self.runs, self._last, self._with_engine, self._whole = [], None, set(), 0
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise cannot("read", self.path, error) from error
        content = content.partition(b"\0")[0]  # what a loss of power leaves of unwritten lines
        check_start(self.path, content)
        lines = content.splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        self._whole = sum(map(len, whole))
        for number, line in enumerate(whole, 1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
                raise self.damaged(f"line {number}") from error

    def _take(self, record: dict[str, Any]) -> None:
        """Take a line of the file."""
        if "settings" in record:
            if record.get("command", self.command) != self.command:
                raise FileError(
                    f"{self.path} is the journal of another command. Choose another folder."
                )
            settings = record["settings"]
            if record["version"] > VERSION:
                raise FileError(
                    f"{self.path} was written by a newer napari-cliper: it has version "
                    f"{record['version']}, and this one reads versions up to {VERSION}. Update "
                    "napari-cliper, choose another folder, or use --overwrite to start again."
                )
            if record["version"] != VERSION:
                settings = {**settings, "version of the journal": record["version"]}
            self._last = self._run(settings)
        elif self._last is None:
            raise KeyError("settings")
        elif "engine" in record:
            self._last.engine = dict(record["engine"])
            self._with_engine.add(id(self._last))
        else:
            self._keep(record, self._last)

    def _drop(self, name: str) -> None:
        for run in self.runs:
            run.entries.pop(name, None)

    def _keep(self, record: dict[str, Any], run: Run) -> None:
        self._drop(record["name"])
        run.entries[record["name"]] = record

    def damaged(self, what: str) -> FileError:
        """Return the error for a file of which `what` cannot be used, such as ``"line 3"``."""
        return FileError(
            f"{self.path} is damaged: {what} is not what napari-cliper wrote there. Use "
            "--overwrite to start again, or choose another folder."
        )

    def check(self, names: Iterable[str]) -> None:
        """Check that none of these images was finished with other settings.

        Raises
        ------
        InvalidInputError
            The message names the settings that differ, and an image.
        """
        others = [run for run in self.runs if run is not self.own and run.entries]
        if not others:
            return
        for name in names:
            for run in others:
                if name in run.entries:
                    theirs, ours = run.settings, self.own.settings
                    keys = sorted(theirs.keys() | ours.keys())
                    differ = [key for key in keys if theirs.get(key) != ours.get(key)]
                    raise InvalidInputError(
                        f"{self.path} belongs to a run with other settings: {', '.join(differ)} "
                        f"({name}). Choose another folder, use the same settings, or use "
                        "--overwrite to start again."
                    )

    def __enter__(self) -> Self:
        """Lock the file for this program; read what was added in the meantime.

        Raises
        ------
        FileError
            If another program is writing it.
        """
        if self.path.parent.is_dir():
            self._acquire()
        return self

    def _acquire(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout as error:
            raise FileAccessError(
                f"Another program is writing {self.path}. Wait until it has ended, or choose "
                "another folder."
            ) from error
        except OSError as error:
            raise cannot("write", self.path, error) from error
        try:
            if self.path.exists() and self.path.stat().st_size != self._whole:
                self._read()
                self.own = self._run(self._settings)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Unlock the file."""
        if self._lock.is_locked:
            with suppress(OSError):  # Windows deletes no open file
                Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()

    @property
    def goes_on(self) -> bool:
        """Whether the file has a run with these settings."""
        return self._last is not None and (self.own is self._last or bool(self.own.entries))

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
        if self.own.engine and self.own.engine.get("weights") != new["weights"]:
            raise InvalidInputError(
                f"The weights have changed since {self.path} was created. Use --overwrite to start "
                "again, or choose another folder."
            )
        self.own.engine = self.own.engine or new

    def start(self) -> None:
        """Write the settings, before the first result is written.

        Raises
        ------
        FileError
            If they cannot be written.
        """
        with self._writing:
            self._write([])

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
            self._write([record])
            self._keep(dict(record), self.own)

    def _write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write records of the own run at the end of the file."""
        if not self._lock.is_locked:
            self._acquire()
        own = self.own
        lines = [] if self._last is own else [self._header(own)]
        adds_engine = bool(own.engine) and id(own) not in self._with_engine
        lines += [{"engine": own.engine}] if adds_engine else []
        data = b"".join(map(_line, [*lines, *records]))
        if not data:
            return
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
        self._last = own
        self._with_engine |= {id(own)} if adds_engine else set()

    def absorb(self, others: Sequence[Journal]) -> None:
        """Take the images of other journals, instead of those of the same names.

        `rewrite` brings them to the disk.

        Raises
        ------
        InvalidInputError
            If they were made with other settings or weights than each other, or than the images
            that are only in this one. This journal must then not be used further.
        """
        for other in others:
            for run in other.runs:
                for name in run.entries:
                    self._drop(name)
        for run in self.runs:
            if not run.entries:
                run.engine = {}
        for other in others:
            for run in other.runs:
                if run.entries or run.engine:
                    self._absorb(run, other.path)

    def _absorb(self, run: Run, path: Path) -> None:
        cure = (
            "Run every shard again with the same settings and weights and --overwrite, or into "
            "another folder."
        )
        for mine in self.runs:
            if mine.entries and mine.settings != run.settings:
                keys = sorted(mine.settings.keys() | run.settings.keys())
                differ = [key for key in keys if mine.settings.get(key) != run.settings.get(key)]
                raise InvalidInputError(
                    f"{path} has other settings than {next(iter(mine.entries))}: "
                    f"{', '.join(differ)}. {cure}"
                )
        mine = self._run(run.settings)
        if mine.engine and run.engine and mine.engine["weights"] != run.engine["weights"]:
            example = next(iter(mine.entries), self.path)
            raise InvalidInputError(f"{path} was made with other weights than {example}. {cure}")
        mine.engine = mine.engine or run.engine
        for record in run.entries.values():
            self._keep(record, mine)

    def forget(self, names: Iterable[str]) -> None:
        """Remove images, so that they are done again.

        Raises
        ------
        FileError
            If the file cannot be written; it is then as it was.
        """
        gone = set(names)
        kept = [
            Run(run.settings, run.engine, {n: r for n, r in run.entries.items() if n not in gone})
            for run in self.runs
        ]
        self._replace([run for run in kept if run.entries])

    def rewrite(self, order: Callable[[Iterable[str]], Iterable[str]]) -> None:
        """Write the file again with one line for each image; all of it or nothing.

        Parameters
        ----------
        order : callable
            Sorts the names of each run.

        Raises
        ------
        FileError
            If it cannot be written; the file is then as it was.
        """
        runs = [
            Run(run.settings, run.engine, {name: run.entries[name] for name in order(run.entries)})
            for run in self.runs
            if run.entries
        ]
        self._replace(runs)

    def _replace(self, runs: Sequence[Run]) -> None:
        if not self._lock.is_locked:
            self._acquire()
        lines: list[Mapping[str, Any]] = []
        for run in runs:
            lines += [self._header(run), *([{"engine": run.engine}] if run.engine else [])]
            lines += run.entries.values()
        try:
            atomic.write(self.path, b"".join(map(_line, lines)))
        except OSError as error:
            raise cannot("write", self.path, error) from error
        self._read()
        self.own = self._run(self._settings)

    def _header(self, run: Run) -> dict[str, Any]:
        return {"version": VERSION, "command": self.command, "settings": run.settings}


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
        check_start(path, path.read_bytes().partition(b"\0")[0])
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
