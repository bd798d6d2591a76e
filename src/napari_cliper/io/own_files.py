"""Record of the files that this program wrote, which decides what may be replaced.

Every output folder has a hidden file `RECORD` with one JSON line per file written there: its
relative path and the SHA-256 of its content. A file counts as our own only if its content still
has this hash, so files that the user has edited or added are never replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

RECORD = ".napari-cliper.jsonl"


class OwnFiles:
    """Look up whether this program wrote a file; records are cached."""

    def __init__(self) -> None:
        self._records: dict[Path, bytes] = {}

    def wrote(self, path: Path) -> bool:
        """Return whether this program wrote a file, or all files of a folder, unchanged since.

        Links never count as our own, because their target may belong to others.
        """
        try:
            if path.is_symlink():
                return False
            if path.is_dir():
                return all(self.wrote(one) for one in path.iterdir() if one.name != RECORD)
            return self._is_as_written(path.resolve())
        except OSError:  # unreadable, so its origin is unknown
            return False

    def _is_as_written(self, path: Path) -> bool:
        known: set[str] = set()
        for folder in path.parents:
            known |= _hashes(self._record(folder), path.relative_to(folder).as_posix())
        return bool(known) and sha256(path) in known

    def _record(self, folder: Path) -> bytes:
        if folder not in self._records:
            try:
                self._records[folder] = (folder / RECORD).read_bytes()
            except OSError:
                self._records[folder] = b""
        return self._records[folder]


def add_to_record(folder: Path, files: Mapping[str, Path]) -> None:
    """Add files that are about to be moved into a folder to its record.

    All lines are appended in a single write, so that programs that write to the same folder at the
    same time do not overwrite each other's lines.

    Parameters
    ----------
    folder : Path
    files : mapping of str to Path
        Current path of each file, by its future path relative to the folder, with slashes.

    Raises
    ------
    OSError
        If the record cannot be written.
    """
    lines = [_line(name, sha256(path)) for name, path in files.items()]
    with (folder / RECORD).open("a", encoding="ascii") as file:
        # The leading line break ends a line that a killed process left incomplete.
        file.write("".join(f"{line}\n" for line in ["", *lines]))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hashes(record: bytes, name: str) -> set[str]:
    """Return the hashes of a file in a record; incomplete lines match no file."""
    start = _line(name, "").removesuffix('"}').encode("ascii")
    found = set()
    place = record.find(start)
    while place >= 0:
        end = place + len(start)
        found.add(record[end : end + 64].decode("ascii", "replace"))
        place = record.find(start, end)
    return found


def _line(name: str, digest: str) -> str:
    return json.dumps({"file": name, "sha256": digest})
