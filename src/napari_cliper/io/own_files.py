"""Which files this program wrote: the record that decides what may be replaced.

A folder that results are written into has a hidden file, `RECORD`, with one line of JSON for each
file written there: its path from the folder and the SHA-256 of its content. Only a file whose
content still has that hash is our own; one that a person has edited or put there is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

RECORD = ".napari-cliper.jsonl"


class OwnFiles:
    """Look up, and note, the files that this program wrote."""

    def __init__(self) -> None:
        self._records: dict[Path, bytes] = {}

    def wrote(self, path: Path) -> bool:
        """Whether this program wrote a file, or every file of a folder, as it is now.

        A link is never our own: what it leads to belongs to somebody else.
        """
        try:
            if path.is_symlink():
                return False
            if path.is_dir():
                return all(self.wrote(one) for one in path.iterdir() if one.name != RECORD)
            return self._is_as_written(path.resolve())
        except OSError:  # what cannot be read cannot be told
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
    """Note files that are about to be moved into a folder.

    Lines are added in one write, so that programs that write into one folder at the same time
    keep each other's.

    Parameters
    ----------
    folder : Path
    files : mapping of str to Path
        Where each file is now, by its path from the folder, with slashes.

    Raises
    ------
    OSError
    """
    lines = [_line(name, sha256(path)) for name, path in files.items()]
    with (folder / RECORD).open("a", encoding="ascii") as file:
        # The first line break ends a line that a kill has cut short.
        file.write("".join(f"{line}\n" for line in ["", *lines]))


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hashes(record: bytes, name: str) -> set[str]:
    """The hashes that a record has of a file; a line that was cut short matches none."""
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
