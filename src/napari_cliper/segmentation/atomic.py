"""Files that are written whole or not at all.

A file is written beside the old one, brought to the disk, and renamed over it: POSIX and Windows
both promise that a reader, and whoever comes after a kill, finds the one or the other. The
`fsync` before the rename is for a power cut, after which some file systems would otherwise
have the new name and none of its content.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex


def sync_file(path: Path) -> None:
    """Have the content of a file on the disk when this returns."""
    with path.open("r+b") as file:  # Windows syncs only what may be written
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Have the names in a folder on the disk, as far as the system can do that.

    Windows opens no folders, and some network disks do not sync them: what is in the folder
    is whole all the same, and an error now would call a save failed that was made.
    """
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def move(part: Path, path: Path) -> None:
    """Put a finished file in the place of another on the same disk.

    Raises
    ------
    OSError
        The old file is then as it was.
    """
    sync_file(part)
    part.replace(path)
    sync_folder(path.parent)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path`, which takes its place when the block ends.

    Yields
    ------
    Path
        Where to write. When the block fails, the file is deleted and `path` is as it was.

    Raises
    ------
    OSError
        For a full disk and the like; the old file is then as it was.
    """
    part = path.with_name(f".{path.name}.{token_hex(4)}.tmp")
    try:
        yield part
        move(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def write(path: Path, content: bytes) -> None:
    """Put content in the place of a file.

    Raises
    ------
    OSError
        The old file is then as it was.
    """
    with replacing(path) as part:
        part.write_bytes(content)


def move_all(moves: Mapping[Path, Path]) -> None:
    """Move files and folders to their places on the same disk; all of them, or none.

    Parameters
    ----------
    moves : mapping of Path to Path
        Place by source. What is in a place already is replaced by what is of its kind.

    Raises
    ------
    OSError
        Every place is then as it was.
    """
    done: list[tuple[Path, Path | None]] = []
    try:
        for path, target in moves.items():
            before = _kept_aside(path, target) if os.path.lexists(target) else None
            if before is not None:
                done.append((target, before))
            path.replace(target)
            if before is None:
                done.append((target, None))
    except BaseException:
        for target, before in reversed(done):
            with suppress(OSError):
                _put_back(target, before)
        raise


def _kept_aside(path: Path, target: Path) -> Path:
    """Keep what is about to be replaced: a file stays in its place until then."""
    if path.is_dir() != target.is_dir():
        raise OSError(errno.EISDIR if target.is_dir() else errno.ENOTDIR, "", str(target))
    aside = path.with_name(f"{path.name}.before")
    if target.is_dir():
        return target.replace(aside)
    try:
        aside.hardlink_to(target)
    except OSError:  # a disk without hard links
        shutil.copy2(target, aside, follow_symlinks=False)
    return aside


def _put_back(target: Path, before: Path | None) -> None:
    if before is not None:
        if target.is_dir():
            shutil.rmtree(target)
        before.replace(target)
    elif target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
