"""Replace several files together, even if the program is killed in between.

The new files are written to a temporary folder first, then a list of the moves. From then on, what
a killed program has left undone can be finished: `finish_moves` reads the list and goes on.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..segmentation import InvalidInputError, atomic
from .files import cannot, is_abandoned, moves_of, owned_name
from .json_records import content_of, encoded, understood
from .record_checks import checked

_STAGING = ".cliper-change-"  # begins the names of temporary folders
_LIST = ".moves.json"


@contextmanager
def resumed_files(folder: Path) -> Iterator[Path]:
    """Context manager to replace several files of `folder`, either all of them or none.

    As `whole_files` with ``replace="any"``. In addition, if the program is killed while the files
    are being replaced, `finish_moves` replaces the others.

    Parameters
    ----------
    folder : Path

    Yields
    ------
    Path
        A temporary folder on the same disk; write there, under the final names.

    Raises
    ------
    FileError
        If files cannot be written; the old ones are then as they were.
    """
    staging: Path | None = None
    try:
        staging = Path(tempfile.mkdtemp(prefix=owned_name(_STAGING), dir=folder))
        yield staging
        moves = dict(moves_of(staging, folder))
        names = [[_name(path, staging), _name(target, folder)] for path, target in moves.items()]
        atomic.write(staging / _LIST, encoded({"moves": names}, _LIST))
        try:
            atomic.move_all(moves)
        finally:
            (staging / _LIST).unlink()  # all is done, or all is as it was
    except OSError as error:
        raise cannot("write", folder, error) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def finish_moves(folder: Path) -> bool:
    """Replace the files that a killed program had left to replace; see `resumed_files`.

    Its temporary folders are deleted. Those of running programs stay.

    Returns
    -------
    bool
        Whether there was anything to finish.

    Raises
    ------
    FileError
        If a file cannot be replaced. Call this again then.
    """
    finished = False
    try:
        left = [path for path in folder.iterdir() if path.name.startswith(_STAGING)]
        for staging in left:
            if not is_abandoned(staging, _STAGING):
                continue
            content = content_of(staging / _LIST)
            if content is not None:
                for path, target in understood(staging / _LIST, content, _moves_in):
                    _finish(staging / path, folder / target)
                finished = True
                (staging / _LIST).unlink()
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise cannot("write", folder, error) from error
    return finished


def _finish(path: Path, target: Path) -> None:
    if not os.path.lexists(path):
        return  # it was moved
    if target.is_dir():
        aside = path.with_name(f"{path.name}.before")
        with suppress(FileNotFoundError):
            shutil.rmtree(aside)
        target.replace(aside)
    path.replace(target)
    atomic.sync_folder(target.parent)


def _moves_in(record: dict[str, Any]) -> list[tuple[str, str]]:
    moves = checked(tuple[list[str], ...], record.get("moves"), "moves")
    if any(len(pair) != 2 or any(_leaves(Path(name)) for name in pair) for pair in moves):
        raise InvalidInputError("it names files outside of its folder.")
    return [(path, target) for path, target in moves]


def _leaves(path: Path) -> bool:
    return path.is_absolute() or ".." in path.parts


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
