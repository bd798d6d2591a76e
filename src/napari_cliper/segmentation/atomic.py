"""Write files atomically: completely or not at all.

A new file is written beside the old one, flushed to disk, and renamed over it. On POSIX and
Windows, readers then find either the old or the new file, even after the process was killed. The
`fsync` before the rename protects against power cuts, after which some file systems would otherwise
have the new name without its content.
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
    """Flush a file to disk."""
    with path.open("r+b") as file:  # Windows syncs only files that are open for writing
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Flush the entries of a folder to disk, if the system supports it.

    Windows cannot open folders, and some network drives cannot sync them. Errors are ignored,
    because the files themselves are complete.
    """
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def move(part: Path, path: Path) -> None:
    """Replace a file by a finished one on the same disk.

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
    """Context manager: write a temporary file that replaces `path` when the block ends.

    Yields
    ------
    Path
        The temporary file. If the block raises, it is deleted and `path` is unchanged.

    Raises
    ------
    OSError
        If it cannot be written, for example on a full disk; the old file is then unchanged.
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
    """Write bytes to a file atomically.

    Raises
    ------
    OSError
        The old file is then as it was.
    """
    with replacing(path) as part:
        part.write_bytes(content)


def move_all(moves: Mapping[Path, Path]) -> None:
    """Move files and folders on the same disk: all of them, or none.

    Parameters
    ----------
    moves : mapping of Path to Path
        Destination by source. An existing file is replaced by a file, a folder by a folder.

    Raises
    ------
    OSError
        All destinations are then unchanged.
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
    """Back up what is about to be replaced; a file stays in its place until then."""
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
