"""Files that appear whole or not at all, and errors that say what to do."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from ..segmentation import atomic
from .own_files import RECORD, OwnFiles, add_to_record

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


Replace = Literal["nothing", "own", "any"]
"""Which files of the same name a command replaces; see `whole_files`."""

_SHOWN = 10  # files that an error names


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


@contextmanager
def whole_files(
    folder: Path, *, replace: Replace = "own", inputs: Iterable[Path] = ()
) -> Iterator[Path]:
    """A place to write files that then appear together in `folder`.

    Until the block ends nothing is seen; when it fails or is interrupted, nothing is left.
    A folder that is there already is added to, file by file, and other files in it stay. A folder
    that is one image, whose name ends in ``.zarr``, is replaced as a whole.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    replace : 'nothing', 'own' or 'any'
        Which files of the same name are replaced; `own_files` knows which are our own. ``'any'``
        is for the callers who have settled it: a project, which checks its own files, and a file
        that a person has just chosen to replace.
    inputs : iterable of Path
        Files that the results are made from. They are never replaced.

    Yields
    ------
    Path
        A folder on the same disk; write there, under the final names.

    Raises
    ------
    FileError
        For files that may not be replaced, a full disk, a missing permission and the like.
    """
    staging: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".napari-cliper-", dir=folder))
        yield staging
        moves = dict(_moves(staging, folder))
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


def check_places(
    paths: Iterable[Path], *, replace: Replace = "own", inputs: Iterable[Path] = ()
) -> None:
    """Refuse to write where something is that may not be replaced.

    Commands call this with all that they will write before long work starts.

    Parameters
    ----------
    paths : iterable of Path
        Files, or folders that are one image.
    replace, inputs
        As in `whole_files`.

    Raises
    ------
    FileError
        Naming every file in the way.
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
                f"{path} is there already and is never replaced: napari-cliper did not write it, "
                "or it was changed since. Choose another folder or name, or move it away."
            )
        elif replace == "nothing":
            problems.append(
                f'{path} is there already. Add --overwrite (in the window: tick "Replace files '
                'that are there"), or choose another folder.'
            )
    if len(problems) > _SHOWN:
        problems[_SHOWN:] = [f"... and {len(problems) - _SHOWN} more files."]
    if problems:
        raise FileError("\n".join(problems))


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from all others, whatever it is called; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _moves(staging: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Each new file or folder, and its place."""
    for path in sorted(staging.iterdir()):
        target = folder / path.name
        if path.is_dir() and target.is_dir() and path.suffix != ".zarr":
            yield from _moves(path, target)
        else:
            yield path, target


@contextmanager
def _recorded(folder: Path, moves: Mapping[Path, Path]) -> Iterator[None]:
    """Note the files as our own; where the block fails, a record that is new is removed again."""
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
