"""A class as the user defines it: its words, whether it is background, colour and visibility."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..segmentation import MAX_CLASSES, ClassPrompt, InvalidInputError, check_repeated
from .palette import class_colours

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class ClassRow:
    """A class as the user defines it.

    Parameters
    ----------
    name : str
    synonyms : tuple of str
    background : bool
        Whether its pixels are background: the class competes for pixels but has no label.
    colour : (int, int, int), optional
        Red, green and blue, 0 to 255. None stands for the default; see `with_colours`.
    visible : bool
        Whether its label is shown.
    prompt : str, optional
        As in `ClassPrompt`.

    Raises
    ------
    InvalidInputError
        For an empty word, or an invalid colour.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    background: bool = False
    colour: Colour | None = None
    visible: bool = True
    prompt: str | None = None

    def __post_init__(self) -> None:
        """Normalise the words as the engine does, and check words and colour."""
        tidied = ClassPrompt(self.name, tuple(self.synonyms), self.prompt)
        object.__setattr__(self, "name", tidied.name)
        object.__setattr__(self, "synonyms", tidied.synonyms)
        object.__setattr__(self, "prompt", tidied.prompt)
        if self.colour is not None:
            colour = tuple(int(value) for value in self.colour)
            if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
                raise InvalidInputError(
                    f"The colour of {self.name!r} is {colour}. "
                    "Give red, green and blue from 0 to 255."
                )
            object.__setattr__(self, "colour", colour)

    def as_prompt(self) -> ClassPrompt:
        """Return the class as the engine's prompt."""
        return ClassPrompt(self.name, self.synonyms, self.prompt)


def rows_of(classes: Iterable[ClassPrompt]) -> tuple[ClassRow, ...]:
    """Create rows with default colours from prompts."""
    return tuple(ClassRow(one.name, one.synonyms, prompt=one.prompt) for one in classes)


def check_rows(rows: Sequence[ClassRow]) -> None:
    """Check for repeated words and for more classes than labels.

    Words of background classes must be unique too, because a word must not compete with itself.

    Raises
    ------
    InvalidInputError
        Naming the repeated word and its classes.
    """
    labels = sum(not row.background for row in rows)
    if labels > MAX_CLASSES:
        raise InvalidInputError(
            f"A label layer holds at most {MAX_CLASSES} classes, but there are {labels}. Remove "
            "some."
        )
    check_repeated([row.as_prompt() for row in rows])


def colours_of(classes: Mapping[int, ClassRow]) -> dict[int, Colour]:
    """Return the colour of each class by label: its own, or the default of its label.

    Parameters
    ----------
    classes : mapping of int to ClassRow
        By label, 1 or more.
    """
    bare = [label for label, row in classes.items() if row.colour is None]
    defaults = _defaults(max(bare, default=0))
    return {label: row.colour or defaults[label - 1] for label, row in classes.items()}


def _defaults(count: int) -> list[Colour]:
    return [(int(red), int(green), int(blue)) for red, green, blue in class_colours(count)]


def with_colours(rows: Sequence[ClassRow]) -> tuple[ClassRow, ...]:
    """The rows, those that have a label and no colour given one.

    Each gets the default of its label, or the first default that no row has.
    """
    if all(row.colour is not None or row.background for row in rows):
        return tuple(rows)
    palette = _defaults(len(rows))
    used = {row.colour for row in rows}
    free = (colour for colour in palette if colour not in used)
    coloured, label = [], 0
    for row in rows:
        label += not row.background
        if row.colour is None and not row.background:
            own = palette[label - 1]
            colour = own if own not in used else next(free, own)
            used.add(colour)
            row = replace(row, colour=colour)  # noqa: PLW2901 - the same row, completed
        coloured.append(row)
    return tuple(coloured)
