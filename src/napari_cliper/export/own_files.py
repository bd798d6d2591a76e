"""Which files this program wrote: the record that decides what may be replaced.

A folder that results are written into has a hidden file, `RECORD`, with one line of JSON for each
file written there: its path from the folder and the SHA-256 of its content. Only a file whose
content still has that hash is our own; one that a person has edited or put there is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

RECORD = ".napari-cliper.jsonl"


class OwnFiles:
    """Look up, and note, the files that this program wrote."""

    def __init__(self) -> None:
        self._records: dict[Path, dict[str, set[str]]] = {}

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
            known |= self._record(folder).get(path.relative_to(folder).as_posix(), set())
        return bool(known) and sha256(path) in known

    def _record(self, folder: Path) -> dict[str, set[str]]:
        if folder not in self._records:
            self._records[folder] = _read(folder / RECORD)
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
    lines = [json.dumps({"file": name, "sha256": sha256(path)}) for name, path in files.items()]
    with (folder / RECORD).open("a", encoding="ascii") as file:
        # The first line break ends a line that a kill has cut short.
        file.write("".join(f"{line}\n" for line in ["", *lines]))


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> dict[str, set[str]]:
    """The hashes of each file of a record; a line that was cut short is passed over."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return {}
    found: dict[str, set[str]] = {}
    for line in lines:
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            entry = json.loads(line)
            found.setdefault(str(entry["file"]), set()).add(str(entry["sha256"]))
    return found
