"""Write files atomically, and turn file errors into messages that say what to do."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import stat
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import psutil

from ..segmentation import atomic
from .own_files import RECORD, OwnFiles, add_to_record

ADVICE: Mapping[int, str] = {
    errno.ENOSPC: "the disk is full. Free some space, or choose another folder",
    errno.EDQUOT: "the disk quota is used up. Free some space, or choose another folder",
    errno.EACCES: "there is no permission. Choose a folder you may write to",
    errno.EPERM: "there is no permission. Choose a folder you may write to",
    errno.EROFS: "the disk is read-only. Choose another folder",
    errno.ENOENT: "a folder on the way to it is missing, and cannot be made. Choose another folder",
    errno.ENAMETOOLONG: "the name is too long for this disk. Rename the image",
    errno.ENOTDIR: "a folder is needed, but there is a file of that name. Choose another folder",
    errno.EEXIST: "a folder is needed, but there is a file of that name. Choose another folder",
    errno.EISDIR: "a file is needed, but there is a folder of that name. Choose another name",
}
"""Reason and remedy by error number."""

READING: Mapping[int, str] = {
    errno.EACCES: "there is no permission. Ask its owner for permission to read it",
    errno.EPERM: "there is no permission. Ask its owner for permission to read it",
    errno.ENOENT: "the file does not exist. Check the name",
}
"""The same, where reading needs something else."""

_OF_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

_OF_PATH = (
    errno.ENOENT, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP,
)  # fmt: skip

Replace = Literal["nothing", "own", "any"]
"""Which existing files may be replaced; see `whole_files`."""

_SHOWN = 10  # most files that an error lists
_STAGING = ".napari-cliper-"  # begins the names of temporary folders
_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_ABANDONED = 24 * 3600  # seconds after which a temporary folder of another computer is deleted


class FileError(Exception):
    """A file that cannot be read or written; the message says why and what to do."""


class FileAccessError(FileError):
    """The path is right, but the file cannot be read or written now.

    For example, there is no permission, or another program has locked it.
    """


class DiskError(FileAccessError):
    """No file can be written there, because the disk is full or read-only."""


def cannot(doing: str, path: Path, error: OSError) -> FileError:
    """Create the error for a failed file operation.

    It is a `DiskError` if it concerns all files, a plain `FileError` if the path is wrong, and
    otherwise a `FileAccessError`.

    Parameters
    ----------
    doing : str
        ``"read"`` or ``"write"``.
    path : Path
    error : OSError
        The cause.
    """
    advice = {**ADVICE, **READING} if doing == "read" else ADVICE
    why = advice.get(error.errno or 0, error.strerror or str(error))
    if error.errno == errno.ENOENT and path.is_symlink():
        why = "it is a link to a file that does not exist. Mend or delete the link"
    message = f"Cannot {doing} {path}: {why}."
    if error.errno in _OF_PATH:
        return FileError(message)
    if doing == "write" and error.errno in _OF_DISK:
        return DiskError(message)
    return FileAccessError(message)


def check_kind(path: Path) -> None:
    """Refuse pipes, devices and sockets: reading them may never end.

    Raises
    ------
    FileError
        For a path that exists and is neither a file nor a folder.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return  # reading says what is wrong
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise FileError(
            f"Cannot use {path}: it is a pipe, a device or a socket. Save its content as a file."
        )


@contextmanager
def whole_files(
    folder: Path, *, replace: Replace = "own", inputs: Iterable[Path] = ()
) -> Iterator[Path]:
    """Context manager to write several files to `folder`, either all of them or none.

    The files appear in `folder` when the block ends; if it fails or is interrupted, nothing is
    left behind. Existing subfolders are merged file by file; other files are kept. A folder that
    is one image, whose name ends in ``.zarr``, is replaced as a whole.

    Parameters
    ----------
    folder : Path
        Created if missing.
    replace : 'nothing', 'own' or 'any'
        Which existing files may be replaced: none, those that napari-cliper wrote (see
        `own_files`), or all. ``'any'`` is for projects, which check their files themselves, and
        for files that the user has just chosen to replace.
    inputs : iterable of Path
        Files that the results are made from; they are never replaced.

    Yields
    ------
    Path
        A temporary folder on the same disk; write there, under the final names.

    Raises
    ------
    FileError
        For existing files that may not be replaced, and if files cannot be written.
    """
    staging: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=owned_name(_STAGING), dir=folder))
        yield staging
        moves = dict(moves_of(staging, folder))
        if replace != "any":
            check_places(moves.values(), replace=replace, inputs=inputs)
            with _recorded(folder, moves):
                atomic.move_all(moves)
        else:
            atomic.move_all(moves)
    except OSError as error:
        raise cannot("write", folder, error) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def remove_abandoned(folder: Path) -> None:
    """Delete the temporary folders of `whole_files` that killed programs have left in a folder."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name.startswith(_STAGING) and path.is_dir() and is_abandoned(path, _STAGING):
                shutil.rmtree(path, ignore_errors=True)


def owned_name(prefix: str) -> str:
    """Return the beginning of the name of a temporary folder of this process."""
    return f"{prefix}{os.getpid()}-{_HOST}-"


def is_abandoned(staging: Path, prefix: str) -> bool:
    """Return whether the program that has made a temporary folder is gone.

    A folder from another computer counts as abandoned after a day.
    """
    pid, host, *_ = (*staging.name.removeprefix(prefix).split("-"), "", "")
    if pid.isdecimal() and host == _HOST:
        return not psutil.pid_exists(int(pid))
    return time.time() - staging.stat().st_mtime > _ABANDONED


def check_places(
    paths: Iterable[Path], *, replace: Replace = "own", inputs: Iterable[Path] = ()
) -> None:
    """Check that files can be written without replacing files that must be kept.

    Commands call this for all their output files before long work starts.

    Parameters
    ----------
    paths : iterable of Path
        Files, or folders that are one image.
    replace, inputs
        As in `whole_files`.

    Raises
    ------
    FileError
        Listing the files that may not be replaced.
    """
    own = OwnFiles()
    ids = {found for found in map(_identity, inputs) if found}
    problems: list[str] = []
    for path in paths:
        if not os.path.lexists(path):
            continue
        if ids and _identity(path) in ids:
            problems.append(
                f"{path} is one of the inputs and is never replaced. Choose another folder."
            )
        elif not own.wrote(path):
            problems.append(
                f"{path} already exists and is never replaced: napari-cliper did not write it, or "
                "it was changed since. Choose another folder or name, or move the file."
            )
        elif replace == "nothing":
            problems.append(
                f'{path} already exists. Add --overwrite (in the window: tick "Replace existing '
                'files"), or choose another folder.'
            )
    if problems:
        raise FileError(listed(problems, "files"))


def listed(problems: Sequence[str], what: str) -> str:
    """Return problems as lines of an error; beyond `_SHOWN`, only the number of further ones."""
    more = [f"... and {len(problems) - _SHOWN} more {what}."] if len(problems) > _SHOWN else []
    return "\n".join([*problems[:_SHOWN], *more])


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, which identify it under any name; None if missing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def moves_of(staging: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each new file or folder and its destination."""
    for path in sorted(staging.iterdir()):
        target = folder / path.name
        if path.is_dir() and target.is_dir() and path.suffix != ".zarr":
            yield from moves_of(path, target)
        else:
            yield path, target


@contextmanager
def _recorded(folder: Path, moves: Mapping[Path, Path]) -> Iterator[None]:
    """Record the files as written by us; if the block fails, remove the record if it is new."""
    files = {
        (target / one.relative_to(path)).relative_to(folder).as_posix(): one
        for path, target in moves.items()
        for one in ([path] if path.is_file() else sorted(path.rglob("*")))
        if one.is_file()
    }
    is_new = not (folder / RECORD).exists()
    if files:
        add_to_record(folder, files)
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):
                (folder / RECORD).unlink(missing_ok=True)
        raise
