"""Path arguments, checked before a command starts."""

from __future__ import annotations

from pathlib import Path

import typer

from ..io.files import FileError, check_kind


def given_path(text: str | Path) -> Path:
    """Return the path of an argument or option; the `parser` of all of them.

    Raises
    ------
    typer.BadParameter
        For an empty path, such as that of an unset shell variable, which would be the current
        folder; and for a pipe, a device or a socket.
    """
    if not str(text):
        raise typer.BadParameter('the path is empty. The current folder is ".".')
    try:
        check_kind(Path(text))
    except FileError as error:
        raise typer.BadParameter(str(error)) from error
    return Path(text)
