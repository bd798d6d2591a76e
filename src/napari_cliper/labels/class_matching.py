"""Which class here each label of a file is: by name, or by what a person says. Never by number.

A label 3 of a file is often another class than the label 3 here. So numbers count for nothing:
what the names do not settle is left open until each of them has been given a class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ..segmentation import InvalidInputError
from .imported_labels import HIGHEST, Imported
from .label_class import ClassRow
from .labelled_image import LabelArray


@dataclass(frozen=True)
class Matching:
    """What the names settle and what they do not, of the labels that occur in a file.

    Parameters
    ----------
    certain : mapping of int to int
        The label here of each label of the file whose class is here by name.
    unknown : tuple of int
        Labels without a name in the file, or with one that no class here has.
    clashing : mapping of int to str
        Labels that would be mixed up, and why: the file has another class under a number that is
        in use here, or two classes of the file go by the words of one here, or one by the
        words of two.
    """

    certain: Mapping[int, int]
    unknown: tuple[int, ...]
    clashing: Mapping[int, str]

    @property
    def open(self) -> tuple[int, ...]:
        """The labels that need an assignment."""
        return tuple(sorted((*self.unknown, *self.clashing)))


def match_classes(imported: Imported, existing: Mapping[int, ClassRow]) -> Matching:
    """Find the classes of a file among those here, by name and synonym in any case.

    A name goes before synonyms: the file's name is looked for among the names here, then among
    the synonyms here; then the file's synonyms are, among both.

    Parameters
    ----------
    imported : Imported
    existing : mapping of int to ClassRow
        The classes here, by label.

    Returns
    -------
    Matching
        Of the labels that occur; a class of the file that has no pixel needs no decision.
    """
    names: dict[str, int] = {}
    words: dict[str, int] = {}
    for label, row in existing.items():
        names.setdefault(row.name.casefold(), label)
        for word in (row.name, *row.synonyms):
            words.setdefault(word.casefold(), label)

    found: dict[int, int] = {}
    unknown: list[int] = []
    clashing: dict[int, str] = {}
    for label in imported.present():
        if label not in imported.classes:
            unknown.append(label)
            continue
        row = imported.classes[label]
        here = _labels_here(row, names, words)
        if len(here) == 1:
            found[label] = here[0]
        elif here:
            both = " and ".join(repr(existing[one].name) for one in here)
            clashing[label] = f"{row.name!r} shares words with {both}"
        elif label in existing:
            clashing[label] = f"{label} is {row.name!r} there and {existing[label].name!r} here"
        else:
            unknown.append(label)
    certain = {}
    for label, here_label in found.items():
        rivals = [one for one, other in found.items() if other == here_label]
        if len(rivals) > 1:
            several = " and ".join(repr(imported.classes[one].name) for one in rivals)
            clashing[label] = f"{several} would both be {existing[here_label].name!r}"
        else:
            certain[label] = here_label
    return Matching(
        MappingProxyType(certain),
        tuple(unknown),
        MappingProxyType(dict(sorted(clashing.items()))),
    )


def _labels_here(
    row: ClassRow, names: Mapping[str, int], words: Mapping[str, int]
) -> tuple[int, ...]:
    """The classes here that a class of the file may be."""
    name = row.name.casefold()
    for known in (names, words):
        if name in known:
            return (known[name],)
    return tuple(dict.fromkeys(
        words[word.casefold()] for word in row.synonyms if word.casefold() in words
    ))  # fmt: skip


def apply(
    imported: Imported, matching: Matching, assignments: Mapping[int, int | None] | None = None
) -> LabelArray:
    """The labels of a file in the numbers used here.

    Parameters
    ----------
    imported : Imported
    matching : Matching
        Of these labels; see `match_classes`.
    assignments : mapping of int to int or None
        The label here of each label of `Matching.open`, None or 0 for background. Assignments of
        other labels go before their names. Two labels may become one.

    Returns
    -------
    (..., Y, X) uint8 or uint16 array
        A new array; uint8 where the file's labels are and all new ones fit. `Imported.ignored`
        pixels are 0.

    Raises
    ------
    InvalidInputError
        Naming the labels that have no assignment yet, assignments of labels that do not occur,
        and numbers that are no label.
    """
    given = dict(assignments or {})
    present = imported.present()
    missing = [_called(imported, label, matching) for label in matching.open if label not in given]
    if missing:
        raise InvalidInputError(
            f"Not all labels of {imported.source} have a class here: {'; '.join(missing)}. Choose "
            "a class for each, or leave it out."
        )
    strange = sorted(set(given) - set(present) - set(imported.classes))
    if strange:
        raise InvalidInputError(
            f"{imported.source} has no label {', '.join(map(str, strange))}. Its labels are: "
            f"{', '.join(map(str, present)) or 'none'}."
        )
    for label, new in given.items():
        if new is not None and not 0 <= new <= HIGHEST:
            raise InvalidInputError(
                f"Label {label} cannot become {new}. Choose a label from 1 to {HIGHEST}."
            )
    table = np.zeros(max(present, default=0) + 1, dtype=np.uint16)
    for label in present:
        table[label] = given[label] or 0 if label in given else matching.certain[label]
    fits = imported.labels.dtype == np.uint8 and table.max() <= 255
    return table[imported.labels].astype(np.uint8 if fits else np.uint16)


def _called(imported: Imported, label: int, matching: Matching) -> str:
    row = imported.classes.get(label)
    name = f"label {label}" if row is None else f"label {label} ({row.name!r})"
    return f"{name}: {matching.clashing[label]}" if label in matching.clashing else name
