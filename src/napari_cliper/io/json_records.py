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

    Halves of surrogate pairs, as names of files that are no UTF-8 have them, become escapes,
    which reading turns back.

    Raises
    ------
    InvalidInputError
        For values that JSON has no word for.
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
    """Write a record as `encoded` gives it."""
    path.write_bytes(encoded(record, path.name))


def content_of(path: Path) -> bytes | None:
    """The bytes of a file; None where there is none.

    Raises
    ------
    FileError
        For one that cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot("read", path, error) from error


def understood(path: Path, content: bytes, read: Callable[[dict[str, Any]], T]) -> T:
    """What a function makes of the JSON object in a file.

    Parameters
    ----------
    path : Path
        Whose name an error says.
    content : bytes
    read : callable
        Takes the object; may raise `InvalidInputError`.

    Raises
    ------
    FileError
        For content that is no JSON object, or not one that the function takes.
    """
    try:
        return read(mapping(json.loads(content.decode("utf-8-sig")), "it"))
    except InvalidInputError as error:
        raise FileError(f"Cannot read {path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise FileError(
            f"Cannot read {path}: it is not JSON ({error}). Mend it, or take it from a backup."
        ) from error
