"""Types of values that users give, in Python and in files that they may edit.

Types come from the annotations and are checked by pydantic. The error messages are our own: they
say what is wrong and what to give instead.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from .errors import InvalidInputError, single_string

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

T = TypeVar("T")


def check_fields(one: Any) -> None:
    """Check the types of all fields of a frozen dataclass; called in its `__post_init__`.

    Numbers of NumPy become those of Python, paths become text, and lists and other iterables become
    tuples, where the field has that type. Ranges and names are not checked, nor whether numbers
    are finite.

    Raises
    ------
    InvalidInputError
        Names the field, and what to give instead.
    """
    hints = field_types(cast("Any", type(one)))
    for field in fields(one):
        hint, given = hints[field.name], getattr(one, field.name)
        kinds = {get_origin(kind) or kind for kind in (hint, *get_args(hint))}
        if Literal in kinds:  # names are checked by what knows them
            hint = str
        value = _plain(given)
        if isinstance(given, os.PathLike) and str in kinds:
            value = os.fspath(given)
        if tuple in kinds and isinstance(given, Iterable):
            if isinstance(given, str) and str not in kinds:
                raise single_string(field.name, given)
            if not isinstance(given, str | bytes | Mapping):
                value = tuple(map(_plain, given))
        elif isinstance(given, Mapping):
            value = {key: _plain(entry) for key, entry in given.items()}
        checked(hint, value, field.name, finite=False)
        if value is not given:
            object.__setattr__(one, field.name, value)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def checked(kind: type[T], value: Any, what: str, *, finite: bool = True) -> T:
    """Check that a value has a type, such as ``tuple[str, ...]``, and return it.

    Lists become tuples if the type is a tuple. Nothing else is converted: 1 is not True, and "1"
    is not a number.

    Parameters
    ----------
    kind : type
    value : object
    what : str
        Name of the value, for error messages.
    finite : bool
        Whether numbers must be finite.

    Raises
    ------
    InvalidInputError
        Names the entry that is wrong, and what to give instead.
    """
    try:
        return cast("T", _adapter(cast("Any", kind), finite=finite).validate_python(
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


def shown(value: Any) -> str:
    """A short text for a value of any size or depth."""
    return _SHORT.repr(value)


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
    "dataclass_exact_type": "an object of the class {class_name}",
    "dataclass_type": "an object of the class {class_name}",
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
        inside = key in value if isinstance(value, dict) else isinstance(value, list | tuple)
        if inside and isinstance(key, str) == isinstance(value, dict):
            path, value = (*path, key), value[key]
    return path if value is problem["input"] else ()


@cache
def _adapter(kind: Any, *, finite: bool) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=not finite))


@cache
def field_types(kind: type) -> dict[str, Any]:
    """The type of each field of a dataclass, with its annotations."""
    return get_type_hints(kind, include_extras=True)
