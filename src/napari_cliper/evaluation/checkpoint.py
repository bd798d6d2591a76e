"""Checkpoint file of an evaluation, so that it can be resumed: one JSON line per finished image.

The first line holds the settings; a run with other settings is refused. A last line that a crash
truncated is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..io.files import FileError, cannot
from ..segmentation import InvalidInputError
from .metrics import Scores

NAME = "evaluation.jsonl"
VERSION = 1
_START = b'{"version": '


@dataclass(frozen=True, eq=False)
class Entry:
    """The result of one finished image.

    Parameters
    ----------
    name : str
        Name of the pair.
    digest : str
        SHA-256 of the image file and the true labels, to detect changes.
    scores : Scores
    labels_file : str
        Path of the predicted labels, relative to the checkpoint's folder.
    seconds : float
        Duration of the segmentation.
    notes : tuple of str
        Notes of the engine on this image.
    """

    name: str
    digest: str
    scores: Scores
    labels_file: str
    seconds: float
    notes: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """Return a JSON-safe mapping; only nonzero cells of the confusion matrix are stored."""
        confusion, boundary = self.scores.confusion, self.scores.boundary
        mean = self.scores.mean_boundary_f1
        return {
            "name": self.name,
            "digest": self.digest,
            "confusion": [
                [int(row), int(column), int(confusion[row, column])]
                for row, column in np.argwhere(confusion)
            ],
            "boundary": {
                str(label): float(boundary[label]) for label in np.flatnonzero(~np.isnan(boundary))
            },
            "mean_boundary": None if np.isnan(mean) else mean,
            "labels": self.labels_file,
            "seconds": round(self.seconds, 4),
            "notes": list(self.notes),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], count: int) -> Entry:
        """Restore an entry from `to_record`; `count` is the number of labels."""
        confusion = np.zeros((count, count), dtype=np.int64)
        for row, column, pixels in record["confusion"]:
            confusion[row, column] = pixels
        boundary = np.full(count, np.nan)
        for label, value in record["boundary"].items():
            boundary[int(label)] = value
        mean = record["mean_boundary"]
        return cls(
            name=record["name"],
            digest=record["digest"],
            scores=Scores(confusion, boundary, float("nan") if mean is None else mean),
            labels_file=record["labels"],
            seconds=record["seconds"],
            notes=tuple(record["notes"]),
        )


class Checkpoint:
    """The finished images of an evaluation, on disk and in memory.

    Parameters
    ----------
    path : Path
        Read if it exists; otherwise created by the first `append`.
    settings : mapping
        Everything that the metrics depend on; JSON-safe.
    count : int
        Number of labels, background included.

    Raises
    ------
    FileError
        For a file that cannot be read or is not a checkpoint.
    InvalidInputError
        If the file belongs to a run with other settings; the message names them.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], count: int) -> None:
        self.path = path
        self.settings = json.loads(json.dumps(settings))  # as they will be read again
        self.engine: dict[str, Any] = {}
        self.entries: dict[str, Entry] = {}
        self._whole = 0
        if not path.exists():
            return
        try:
            content = path.read_bytes()
        except OSError as error:
            raise cannot("read", path, error) from error
        _check_start(path, content)
        lines = content.splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        self._whole = sum(map(len, whole))
        try:
            records = [json.loads(line) for line in whole]
            if records:
                self._check(records[0])
                done = [Entry.from_record(record, count) for record in records[1:]]
                self.entries = {one.name: one for one in done}
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            if isinstance(error, InvalidInputError):
                raise
            raise FileError(
                f"{path} is damaged: {error!r}. Use --overwrite to start again, or choose another "
                "folder."
            ) from error

    def _check(self, header: Mapping[str, Any]) -> None:
        theirs = header["settings"] if header["version"] == VERSION else {}
        keys = sorted(theirs.keys() | self.settings.keys())
        differ = [key for key in keys if theirs.get(key) != self.settings.get(key)]
        if differ:
            raise InvalidInputError(
                f"{self.path} belongs to a run with other settings: {', '.join(differ)}. Choose "
                "another folder, use the same settings, or use --overwrite to start again."
            )
        self.engine = header["engine"]

    def check_engine(self, engine: Mapping[str, Any]) -> None:
        """Check that the weights are those of the finished images.

        Raises
        ------
        InvalidInputError
            For other weights.
        """
        new = json.loads(json.dumps(engine))
        if self.engine and self.engine["weights"] != new["weights"]:
            raise InvalidInputError(
                f"The weights have changed since {self.path} was created. Use --overwrite to start "
                "again, or choose another folder."
            )
        self.engine = self.engine or new

    def append(self, entry: Entry) -> None:
        """Add a finished image; it is on disk (fsync) when this returns.

        Raises
        ------
        FileError
            If it cannot be written; earlier entries are kept.
        """
        lines = [] if self._whole else [self._header()]
        lines.append(entry.to_record())
        text = "".join(
            json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines
        )
        data = text.encode("utf-8", errors="backslashreplace")
        try:
            with self.path.open("r+b" if self.path.exists() else "w+b") as file:
                file.truncate(self._whole)  # a line that was cut short
                file.seek(self._whole)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise cannot("write", self.path, error) from error
        self._whole += len(data)
        self.entries[entry.name] = entry

    def _header(self) -> dict[str, Any]:
        return {"version": VERSION, "settings": self.settings, "engine": self.engine}


def remove(path: Path) -> None:
    """Delete a checkpoint file, if there is one.

    Raises
    ------
    FileError
        For a file that is not a checkpoint, which is left alone, or that cannot be deleted.
    """
    try:
        _check_start(path, path.read_bytes())
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot("write", path, error) from error


def _check_start(path: Path, content: bytes) -> None:
    """Check that a file starts like a checkpoint; a crash may have truncated it."""
    start = content[: len(_START)]
    if start != _START[: len(start)]:
        raise FileError(
            f"{path} was not written by an evaluation, and napari-cliper does not replace other "
            "files. Choose another folder, or move the file."
        )
