"""Validation of records: the keys and values of JSON and YAML files that people may edit.

Types come from the dataclasses; see `segmentation.type_checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, cast

from pydantic import Field

from ..segmentation import InvalidInputError, type_checks

T = TypeVar("T")

checked, shown = type_checks.checked, type_checks.shown


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
            f"{', '.join(known)}. If a newer napari-cliper wrote the file, update this one."
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
    hints = type_checks.field_types(cast("Any", kind))
    needed = [one.name for one in fields(cast("Any", kind))
              if one.default is MISSING and one.default_factory is MISSING]  # fmt: skip
    found = check_keys(record, hints, what, needed)
    return kind(**{
        name: readers[name](value) if name in readers else checked(hints[name], value, name)
        for name, value in found.items()
    })  # fmt: skip


def mapping(value: Any, what: str) -> dict[str, Any]:
    """Check that a value is a mapping, and return it.

    Raises
    ------
    InvalidInputError
    """
    return checked(dict[Any, Any], value, what)


Sides = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=2)]
"""The shape of an array with at least two axes, all longer than 0."""
