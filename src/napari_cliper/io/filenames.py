"""Names of files that every system takes, and that no disk takes for one another."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, count

from pathvalidate import is_valid_filename, sanitize_filename
from pathvalidate.handler import ReservedNameHandler

LONGEST_NAME = 180
"""Bytes of a name; suffixes and the indices of planes are added."""

_NO_CHARACTERS = re.compile("[\x7f\ufffe\uffff]")  # disks take them, XML in TIFFs does not


def file_name(name: str, longest: int = LONGEST_NAME) -> str:
    """What a file for something of any name can be called on every system.

    What cannot stand in a file's name becomes ``_``, and names that Windows keeps for devices
    begin with ``_``. Equal names stay equal, and a result is its own file name.

    Parameters
    ----------
    name : str
    longest : int
        Bytes in UTF-8 that the result has at most.
    """
    whole = name.encode("utf-8", errors="replace").decode()  # halves of a surrogate pair
    plain = sanitize_filename(
        _NO_CHARACTERS.sub("_", whole),
        "_",
        reserved_name_handler=ReservedNameHandler.add_leading_underscore,
    )
    plain = plain.strip().rstrip(". ") or "image"
    # Windows ignores spaces before the first dot: "con .txt" is the console.
    if plain.startswith(".") or not is_valid_filename(plain.partition(".")[0].rstrip()):
        plain = f"_{plain}"
    return plain.encode("utf-8")[:longest].decode("utf-8", errors="ignore").rstrip(". ")


def folded(name: str) -> str:
    """What two names have in common that some disk takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


class Names:
    """Names that are given once; two that some disk takes for one count as one.

    Parameters
    ----------
    taken : iterable of str
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {folded(name) for name in taken}

    def first_free(self, *wanted: str) -> str:
        """Take the first of some names that is free; after them the last one with a number."""
        numbered = (f"{wanted[-1]} {number}" for number in count(2))
        name = next(name for name in chain(wanted, numbered) if folded(name) not in self._taken)
        self._taken.add(folded(name))
        return name


def unique_names(names: Sequence[Sequence[str]]) -> list[str]:
    """A name for each file, such that no disk takes two of them for one.

    Parameters
    ----------
    names : sequence of sequence of str
        For each file what it may be called, the best first. Where files share one they take
        the next; where that is the last it gets a number.

    Returns
    -------
    list of str
    """
    level = [0] * len(names)
    while True:
        chosen = [folded(given[at]) for given, at in zip(names, level, strict=True)]
        shared = Counter(chosen)
        again = [
            index
            for index, one in enumerate(chosen)
            if shared[one] > 1 and level[index] + 1 < len(names[index])
        ]
        if not again:
            break
        for index in again:
            level[index] += 1
    taken = Names()
    return [taken.first_free(given[at]) for given, at in zip(names, level, strict=True)]
