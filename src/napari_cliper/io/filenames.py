"""File names that are valid on every system and unique on every file system."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, count

from pathvalidate import is_valid_filename, sanitize_filename
from pathvalidate.handler import ReservedNameHandler

LONGEST_NAME = 180
"""Most UTF-8 bytes of a name, before suffixes and plane indices are added."""

LABEL_ENDINGS = (".ome", "_labels", "_refined", "_coarse")
"""Endings added to the image's name in the name of its label file, by OME-TIFF and our results."""

_NO_CHARACTERS = re.compile("[\x7f\ufffe\uffff]")  # valid in file names, but not in a TIFF's XML


def file_name(name: str, longest: int = LONGEST_NAME) -> str:
    """Convert any name to a file name that is valid on every system.

    Invalid characters become ``_``, and names that Windows reserves for devices get a leading
    ``_``. The function is idempotent.

    Parameters
    ----------
    name : str
    longest : int
        Most UTF-8 bytes of the result.
    """
    whole = name.encode("utf-8", errors="replace").decode()  # unpaired surrogates
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
    """Return a key that is equal for names which some file system treats as the same."""
    return unicodedata.normalize("NFC", name).casefold()


class Names:
    """Generate unique names; names with the same `folded` key count as equal.

    Parameters
    ----------
    taken : iterable of str
        Names that are already in use.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {folded(name) for name in taken}

    def first_free(self, *wanted: str) -> str:
        """Return and reserve the first free name; if all are taken, the last with a number."""
        numbered = (f"{wanted[-1]} {number}" for number in count(2))
        name = next(name for name in chain(wanted, numbered) if folded(name) not in self._taken)
        self._taken.add(folded(name))
        return name


def unique_names(names: Sequence[Sequence[str]]) -> list[str]:
    """Choose a unique name for each file.

    Parameters
    ----------
    names : sequence of sequence of str
        Candidate names of each file, best first. Files with the same candidate move on to their
        next one; if there is none left, a number is added.

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
