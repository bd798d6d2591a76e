"""Validation of records: the keys and values of JSON and YAML files that people may edit.

Types come from the dataclasses and are checked by pydantic. The error messages are our own: they
say which entry is wrong and what to give instead.
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


def why_not(error: Exception) -> str:
    """What is wrong with a file according to an error, without the names of exceptions."""
    if isinstance(error, KeyError):
        return f"it has no {error}"
    if isinstance(error, ValueError):
        return str(error)
    if isinstance(error, IndexError):
        return "one of its lists is too short"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "one of its entries has the wrong type"


def current_keys(record: Any, names: Mapping[str, str]) -> Any:
    """A mapping with the keys of an older version replaced by the current ones.

    Parameters
    ----------
    record : object
        As read from a file; returned unchanged if it is not a mapping.
    names : mapping of str to str
        Current key by old key.
    """
    if not isinstance(record, dict):
        return record
    return {names.get(key, key): value for key, value in record.items()}


def check_keys(
    record: Any, known: Collection[str], what: str, needed: Collection[str] = ()
) -> dict[str, Any]:
    """Check that a record is a mapping with only known keys and all required ones.

    Raises
    ------
    InvalidInputError
        Names the unknown or missing keys.
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
    """Make a dataclass from a mapping of its fields.

    Parameters
    ----------
    kind : type
        The dataclass. Fields without a default are required.
    record : object
        As read from a file.
    what : str
        Name of the mapping, for error messages.
    readers : mapping of str to callable
        By field, a function that converts the value, for fields stored in another form.

    Raises
    ------
    InvalidInputError
        For unknown and missing keys, values of the wrong type, and values that the dataclass
        refuses.
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
    """Check that a value of a JSON file has a type, such as ``tuple[str, ...]``, and return it.

    Lists become tuples if the type is a tuple. Nothing else is converted: 1 is not True, and "1"
    is not a number. Numbers must be finite.

    Raises
    ------
    InvalidInputError
        Names the entry that is wrong, and what to give instead.
    """
    try:
        return cast("T", _adapter(cast("Any", kind)).validate_python(
            tuple(value) if isinstance(value, list) else value))  # fmt: skip
    except ValidationError as error:
        problems = error.errors(include_url=False)
    paths = [_path(value, problem) for problem in problems]
    deepest = max(paths, key=len)  # of the types in a union, the one that fits best
    cures = dict.fromkeys(
        _cure(problem) for problem, path in zip(problems, paths, strict=True) if path == deepest
    )
    for key in deepest:
        what = f"entry {key + 1} of {what}" if isinstance(key, int) else f"{key!r} of {what}"
        value = value[key]
    raise InvalidInputError(f"{what} is {shown(value)}. Give {' or '.join(cures)}.")


def mapping(value: Any, what: str) -> dict[str, Any]:
    """Check that a value is a mapping, and return it.

    Raises
    ------
    InvalidInputError
    """
    return checked(dict[Any, Any], value, what)


def shown(value: Any) -> str:
    """A short text for a value of any size or depth."""
    return _SHORT.repr(value)


Sides = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=2)]
"""The shape of an array with at least two axes, all longer than 0."""

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
    """The keys that lead to a wrong value, without the type names that pydantic adds."""
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
