"""Match the labels of a file to existing classes, by name or by the user's choice.

Label 3 of a file is often another class than the existing label 3, so label numbers are never
used. Labels that cannot be matched by name are left open until the user assigns a class.
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
    """Result of matching the labels of a file to existing classes by name.

    Parameters
    ----------
    certain : mapping of int to int
        Existing label, by label of the file, for labels that were matched.
    unknown : tuple of int
        Labels without a name in the file, or with a name that no existing class has.
    clashing : mapping of int to str
        Ambiguous labels, and why: the label belongs to another existing class, or two classes
        of the file match one existing class, or one matches two.
    """

    certain: Mapping[int, int]
    unknown: tuple[int, ...]
    clashing: Mapping[int, str]

    @property
    def open(self) -> tuple[int, ...]:
        """The labels to which the user must assign a class."""
        return tuple(sorted((*self.unknown, *self.clashing)))


def match_classes(imported: Imported, existing: Mapping[int, ClassRow]) -> Matching:
    """Match the classes of a file to existing classes by name or synonym, ignoring case.

    Names take precedence: the file's name is compared with the existing names, then with the
    existing synonyms, and last the file's synonyms with both.

    Parameters
    ----------
    imported : Imported
    existing : mapping of int to ClassRow
        The existing classes, by label.

    Returns
    -------
    Matching
        For the labels that occur in the file; classes without pixels are left out.
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
            clashing[label] = (
                f"label {label} is {row.name!r} in the file and {existing[label].name!r} here"
            )
        else:
            unknown.append(label)
    certain = {}
    for label, here_label in found.items():
        rivals = [one for one, other in found.items() if other == here_label]
        if len(rivals) > 1:
            several = " and ".join(repr(imported.classes[one].name) for one in rivals)
            clashing[label] = f"{several} both match {existing[here_label].name!r}"
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
    """Return the existing labels that a class of the file matches."""
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
    """Convert the labels of a file to existing labels.

    Parameters
    ----------
    imported : Imported
    matching : Matching
        Result of `match_classes` for these labels.
    assignments : mapping of int to int or None
        Existing label of each label in `Matching.open`; None or 0 stands for background.
        Assignments of other labels override the match by name. Several labels may be assigned
        to the same class.

    Returns
    -------
    (..., Y, X) uint8 or uint16 array
        A new array; uint8 if the file's labels are uint8 and all new labels fit.
        `Imported.ignored` pixels are 0.

    Raises
    ------
    InvalidInputError
        For labels without an assignment, assignments of labels that do not occur, and assigned
        labels out of range.
    """
    given = dict(assignments or {})
    present = imported.present()
    missing = [_called(imported, label, matching) for label in matching.open if label not in given]
    if missing:
        raise InvalidInputError(
            f"Some labels of {imported.source} match no class: {'; '.join(missing)}. Choose a "
            "class for each, or skip it."
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
