"""Files that appear whole or not at all, and errors that say what to do."""

from __future__ import annotations

import errno
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ADVICE: Mapping[int, str] = {
    errno.ENOSPC: "the disk is full. Free some space, or choose another folder",
    errno.EDQUOT: "the disk quota is used up. Free some space, or choose another folder",
    errno.EACCES: "there is no permission. Choose a folder you may write to",
    errno.EPERM: "there is no permission. Choose a folder you may write to",
    errno.EROFS: "the disk is read-only. Choose another folder",
    errno.ENAMETOOLONG: "the name is too long for this disk. Rename the image",
    errno.ENOTDIR: "a file stands where a folder is needed. Choose another folder",
    errno.EEXIST: "a file stands where a folder is needed. Choose another folder",
    errno.EISDIR: "a folder stands where a file is needed. Choose another name",
}


# What one of Windows, macOS and Linux does not take in a file's name.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
LONGEST_NAME = 180  # bytes; suffixes and the indices of planes are added


class FileError(Exception):
    """A file that cannot be read or written; the message says why and what to do."""


def cannot(doing: str, path: Path, error: OSError) -> FileError:
    """The error for a file operation that failed.

    Parameters
    ----------
    doing : str
        ``"read"`` or ``"write"``.
    """
    why = ADVICE.get(error.errno or 0, error.strerror or str(error))
    return FileError(f"Cannot {doing} {path}: {why}.")


def file_name(name: str) -> str:
    """What a file for something of any name can be called on every system.

    What cannot stand in a file's name becomes ``_``; equal names stay equal.
    """
    whole = name.encode("utf-8", errors="replace").decode()  # halves of a surrogate pair
    tidied = _FORBIDDEN.sub("_", whole).strip().rstrip(".") or "image"
    if _RESERVED.fullmatch(tidied) or tidied.startswith("."):
        tidied = f"_{tidied}"
    return tidied.encode("utf-8")[:LONGEST_NAME].decode("utf-8", errors="ignore")


@contextmanager
def whole_files(folder: Path) -> Iterator[Path]:
    """A place to write files that then appear together in `folder`.

    Until the block ends nothing is seen; when it fails or is interrupted, nothing is left.

    Parameters
    ----------
    folder : Path
        Made where it is missing. Files of the same name are replaced.

    Yields
    ------
    Path
        A folder on the same disk; write there, under the final names.

    Raises
    ------
    FileError
        For a full disk, a missing permission and the like.
    """
    staging: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".napari-cliper-", dir=folder))
        yield staging
        for path in sorted(staging.iterdir()):
            _put(path, folder / path.name)
    except OSError as error:
        raise cannot("write", folder, error) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def _put(path: Path, target: Path) -> None:
    """Move a file or folder to its place; a folder that is there is replaced as a whole."""
    if not (path.is_dir() and target.is_dir()):
        path.replace(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=".napari-cliper-", dir=target.parent))
    try:
        target.replace(aside / "old")
        try:
            path.replace(target)
        except OSError:
            (aside / "old").replace(target)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as indented UTF-8 JSON."""
    text = json.dumps(dict(record), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
