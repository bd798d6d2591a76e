"""Check what is in a record: the keys and values of a JSON or YAML file that people may edit.

Types are those of the dataclasses, checked by pydantic. The errors are our own: they say which
entry is wrong and what to give instead.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from ..segmentation import InvalidInputError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

T = TypeVar("T")


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


def from_record(
    kind: type[T],
    record: Any,
    what: str,
    readers: Mapping[str, Callable[[Any], Any]] = MappingProxyType({}),
) -> T:
    """A dataclass from a mapping with its fields.

    Parameters
    ----------
    kind : type
        The dataclass. Fields without a default must be in the mapping.
    record : object
        As it was read.
    what : str
        Name of the mapping, for the message.
    readers : mapping of str to callable
        By field, what reads a value that is kept in another way than the dataclass has it.

    Raises
    ------
    InvalidInputError
        For unknown and missing keys, values of another type, and what the dataclass refuses.
    """
    hints = _hints(cast("Any", kind))
    needed = [one.name for one in fields(cast("Any", kind))
              if one.default is MISSING and one.default_factory is MISSING]  # fmt: skip
    found = check_keys(record, hints, what, needed)
    return kind(**{
        name: readers[name](value) if name in readers else checked(hints[name], value, name)
        for name, value in found.items()
    })  # fmt: skip


def checked(kind: type[T], value: Any, what: str) -> T:
    """A value of a JSON file as a type that type checkers know, such as ``tuple[str, ...]``.

    A list becomes a tuple where the type is one. Nothing else is converted: 1 is not true, and
    "1" is no number. Numbers must be finite.

    Raises
    ------
    InvalidInputError
        Naming the entry that is wrong, and what to give instead.
    """
    try:
        return cast("T", _adapter(cast("Any", kind)).validate_python(
            tuple(value) if isinstance(value, list) else value))  # fmt: skip
    except ValidationError as error:
        problems = error.errors(include_url=False)
    paths = [_path(value, problem) for problem in problems]
    deepest = max(paths, key=len)  # of several types that may be meant, the nearest
    cures = dict.fromkeys(
        _cure(problem) for problem, path in zip(problems, paths, strict=True) if path == deepest
    )
    for key in deepest:
        what = f"entry {key + 1} of {what}" if isinstance(key, int) else f"{key!r} of {what}"
        value = value[key]
    raise InvalidInputError(f"{what} is {shown(value)}. Give {' or '.join(cures)}.")


def mapping(value: Any, what: str) -> dict[str, Any]:
    """A mapping, or an `InvalidInputError`."""
    return checked(dict[Any, Any], value, what)


def shown(value: Any) -> str:
    """A value in a few characters, however large or nested it is."""
    return _SHORT.repr(value)


Sides = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=2)]
"""The shape of an array of at least a row and a column."""

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 60, 60

_CURES = {
    "string_type": "a text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "mapping_type": "a mapping of keys to values",
    "literal_error": "{expected}",
    "greater_than_equal": "{ge} or more",
    "too_short": "{min_length} entries or more",
}
"""What to give instead, by the type of pydantic's errors."""


def _cure(problem: ErrorDetails) -> str:
    return _CURES.get(problem["type"], "another value").format(**problem.get("ctx", {}))


def _path(value: Any, problem: ErrorDetails) -> tuple[Any, ...]:
    """The keys that lead to a wrong value; pydantic names types among them."""
    path: tuple[Any, ...] = ()
    key: Any
    for key in problem["loc"]:
        inside = key in value if isinstance(value, dict) else isinstance(value, list)
        if inside and isinstance(key, str) == isinstance(value, dict):
            path, value = (*path, key), value[key]
    return path if value is problem["input"] else ()


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)
