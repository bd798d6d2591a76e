"""What the tables of methods, refiners and weights have in common. Loads no library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Literal, TypeVar

from .errors import unknown_choice

R = TypeVar("R")

Rule = Literal["cliper", "probability"]
"""How score maps become labels; see `labelling.label_rule`."""


def lazily(module: str, name: str, *arguments: Any) -> Callable[..., Any]:
    """Return a function that imports a class or function of the engine and calls it.

    Rows refer to classes in this way, so that importing a table loads neither torch nor the library
    of a network.

    Parameters
    ----------
    module : str
        Inside the engine: ``"refiners.pamr"``.
    name : str
        The class or function.
    *arguments
        Given to it before those of the call.
    """

    def make(*others: Any) -> Any:
        return getattr(import_module(f".{module}", __package__), name)(*arguments, *others)

    return make


def choose(what: str, name: str, table: Mapping[str, R]) -> R:
    """Return the row with a name.

    Raises
    ------
    InvalidInputError
        For a name that is not there: it lists those that are, and suggests the nearest.
    """
    if name not in table:
        raise unknown_choice(what, name, table)
    return table[name]
