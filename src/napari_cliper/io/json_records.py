"""JSON files: written and read with suspicion."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from ..segmentation import InvalidInputError
from .files import FileError, cannot

T = TypeVar("T")

# ---------------------------------------------------------------------- JSON


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


# ---------------------------------------------------------------------- what is in them


def current_keys(record: Any, names: Mapping[str, str]) -> Any:
    """A mapping with the keys of an older version replaced by those of today.

    Parameters
    ----------
    record : object
        As it was read; returned unchanged where it is no mapping.
    names : mapping of str to str
        New key by old key.
    """
    if not isinstance(record, dict):
        return record
    return {names.get(key, key): value for key, value in record.items()}


def check_keys(
    record: Any, known: Collection[str], what: str, needed: Collection[str] = ()
) -> dict[str, Any]:
    """A mapping with none but known keys, and all that are needed.

    Raises
    ------
    InvalidInputError
        Naming the keys.
    """
    unknown = [str(key) for key in mapping(record, what) if key not in known]
    if unknown:
        near = get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InvalidInputError(
            f"{what} has unknown keys: {', '.join(map(repr, unknown))}.{hint} Known: "
            f"{', '.join(known)}."
        )
    missing = [key for key in needed if key not in record]
    if missing:
        raise InvalidInputError(f"{what} has no {', '.join(map(repr, missing))}.")
    return mapping(record, what)


def mapping(value: Any, what: str) -> dict[str, Any]:
    """A mapping, or an `InvalidInputError`."""
    if not isinstance(value, dict):
        raise InvalidInputError(f"{what} is {value!r:.60} instead of a mapping.")
    return value


def text(value: Any, what: str) -> str:
    """A text, or an `InvalidInputError`."""
    if not isinstance(value, str):
        raise InvalidInputError(f"{what} is {value!r:.60}. Give a text in quotes.")
    return value


def flag(value: Any, what: str) -> bool:
    """True or false, or an `InvalidInputError`."""
    if not isinstance(value, bool):
        raise InvalidInputError(f"{what} is {value!r:.60}. Give true or false.")
    return value


def whole(value: Any, what: str) -> int:
    """A whole number, or an `InvalidInputError`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInputError(f"{what} is {value!r:.60}. Give a whole number.")
    return value


def number(value: Any, what: str) -> float:
    """A finite number, or an `InvalidInputError`."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e300:
        raise InvalidInputError(f"{what} is {value!r:.60}. Give a number.")
    return value


def words(value: Any, what: str) -> tuple[str, ...]:
    """Texts, or an `InvalidInputError`."""
    if not isinstance(value, list):
        raise InvalidInputError(f"{what} is {value!r:.60}. Give a list of texts.")
    return tuple(text(one, f"an entry of {what}") for one in value)


def sides(value: Any, what: str) -> tuple[int, ...]:
    """The shape of an array of at least a row and a column, or an `InvalidInputError`."""
    found = tuple(whole(one, what) for one in value) if isinstance(value, list) else ()
    if len(found) < 2 or min(found) < 1:
        raise InvalidInputError(f"{what} is {value!r:.60}. Give two lengths or more.")
    return found
