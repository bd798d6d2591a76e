"""JSON files: encode, read and parse, with errors that name the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..segmentation import InvalidInputError
from .files import FileError, cannot
from .record_checks import mapping

T = TypeVar("T")


def encoded(record: Mapping[str, Any], what: str) -> bytes:
    """A record as indented UTF-8 JSON.

    Lone surrogates, which Python uses in file names that are not UTF-8, become escapes; reading
    restores them.

    Raises
    ------
    InvalidInputError
        For values that JSON cannot represent.
    """
    try:
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"{what} cannot be written as JSON: {error}. Keep text, finite numbers, lists and "
            "mappings."
        ) from error
    return (text + "\n").encode("utf-8", "backslashreplace")


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON; errors as in `encoded`."""
    path.write_bytes(encoded(record, path.name))


def content_of(path: Path) -> bytes | None:
    """The bytes of a file; None if it does not exist.

    Raises
    ------
    FileError
        If it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot("read", path, error) from error


def understood(path: Path, content: bytes, read: Callable[[dict[str, Any]], T]) -> T:
    """Parse JSON and pass the object to a function; return what the function returns.

    Parameters
    ----------
    path : Path
        Name of the file, for error messages.
    content : bytes
        Content of the file.
    read : callable
        Takes the object; may raise `InvalidInputError`.

    Raises
    ------
    FileError
        For content that is not a JSON object, or that `read` refuses.
    """
    try:
        return read(mapping(json.loads(content.decode("utf-8-sig")), "it"))
    except InvalidInputError as error:
        raise FileError(f"Cannot read {path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise FileError(
            f"Cannot read {path}: it is not JSON ({error}). Correct it, or restore a backup."
        ) from error
