"""Text prompts from class names, synonyms, templates and background words.

Pure functions. Sources of the lists: the background words for photos are CLIPer's (arXiv
2411.13836) and its 15 templates those of CLIP as RNN (2312.07661); OpenAI's sets of 80 and of 7
templates come with open_clip. The microscopy list is our own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import TypeVar

from .errors import InvalidInputError, single_string

T = TypeVar("T")

MAX_CLASSES = 65534

BACKGROUND_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "photo": (
            "ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river",
            "sea", "railway", "railroad", "keyboard", "helmet", "cloud", "house", "mountain",
            "ocean", "road", "rock", "street", "valley", "bridge", "sign",
        ),
        "microscopy": (
            "background", "empty slide", "dark field", "bright field", "culture medium",
            "extracellular matrix", "tissue", "agar", "out of focus blur", "noise", "dust",
        ),
        "demo": (
            "dark fluorescence field", "bright field", "stained tissue", "agar",
            "phase contrast field",
        ),
        "none": (),
    }
)  # fmt: skip
"""Lists of background words by type of image."""

_LEAST_LETTERS = 5
"""Of the name of a list, so that a word like it is a misspelling: "bone" is not "none"."""

TEMPLATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cliper-15": (
            "a clean origami {}.",
            "a photo of a {}.",
            "This is a photo of a {}",
            "There is a {} in the scene",
            "There is the {} in the scene",
            "a photo of a {} in the scene",
            "a photo of a small {}.",
            "a photo of a medium {}.",
            "a photo of a large {}.",
            "This is a photo of a small {}.",
            "This is a photo of a medium {}.",
            "This is a photo of a large {}.",
            "There is a small {} in the scene.",
            "There is a medium {} in the scene.",
            "There is a large {} in the scene.",
        ),
        "word": ("{}",),
    }
)
"""Template sets defined here; `TEMPLATE_SETS` also names those of open_clip."""

TEMPLATE_SETS = ("cliper-15", "openai-80", "openai-7", "word")


@dataclass(frozen=True)
class ClassPrompt:
    """One class: its name, synonyms and prompt.

    Parameters
    ----------
    name : str
        In any script. It is put in Unicode's composed form with single spaces.
    synonyms : tuple of str
        Other words for the same class. The class scores as high as its best word.
    prompt : str, optional
        Replaces the templates for this class: a whole prompt, or a template in which ``{}`` stands
        for the name and each synonym in turn.

    Raises
    ------
    InvalidInputError
        For what is no text, an empty name, synonym or prompt, and synonyms that are a single
        string.

    Examples
    --------
    >>> ClassPrompt("nucleus", synonyms=("cell nucleus", "nuclei")).words
    ('nucleus', 'cell nucleus', 'nuclei')
    """

    name: str
    synonyms: tuple[str, ...] = ()
    prompt: str | None = None

    def __post_init__(self) -> None:
        """Normalise the words and refuse empty ones."""
        from .type_checks import check_fields  # noqa: PLC0415 - pydantic, not for --help

        check_fields(self)
        object.__setattr__(self, "name", tidy(self.name, "A class has no name"))
        words = (
            tidy(word, f"The class {self.name!r} has an empty synonym")
            for word in several("synonyms", self.synonyms)
        )
        synonyms = tuple(dict.fromkeys(word for word in words if key(word) != key(self.name)))
        object.__setattr__(self, "synonyms", synonyms)
        if self.prompt is not None:
            prompt = tidy(self.prompt, f"The class {self.name!r} has an empty prompt")
            object.__setattr__(self, "prompt", prompt)

    @property
    def words(self) -> tuple[str, ...]:
        """The name and the synonyms."""
        return (self.name, *self.synonyms)


def tidy(word: str, complaint: str) -> str:
    """A word in Unicode's composed form with single spaces.

    Raises
    ------
    InvalidInputError
        For an empty word. The message starts with `complaint`.
    """
    tidied = " ".join(unicodedata.normalize("NFC", word).split())
    if not any(char.isprintable() and not char.isspace() for char in tidied):
        raise InvalidInputError(f"{complaint}: {word!r}. Type at least one letter, or remove it.")
    return tidied


def key(word: str) -> str:
    """The form in which words are compared: without case."""
    return word.casefold()


def parse_classes(text: str) -> tuple[ClassPrompt, ...]:
    """Classes from text.

    Parameters
    ----------
    text : str
        Classes separated by commas, semicolons or line breaks; synonyms follow ``=``, separated by
        ``|``: ``"nucleus=cell nucleus|nuclei, bacteria"``.

    Raises
    ------
    InvalidInputError
        As `check_classes`, and for nothing between two commas.
    """
    entries = [entry for line in text.splitlines() for entry in line.replace(";", ",").split(",")]
    if not any(entry.strip() for entry in entries):
        raise InvalidInputError(
            "There is no word to look for. Type at least one, such as 'nucleus'."
        )
    classes = []
    for entry in entries:
        name, equals, synonyms = entry.partition("=")
        if equals and not name.strip():
            raise InvalidInputError(
                f"{entry.strip()!r} has synonyms but no name. Write name=synonym."
            )
        classes.append(ClassPrompt(name, tuple(synonyms.split("|")) if equals else ()))
    check_classes(classes)
    return tuple(classes)


def parse_words(text: str) -> tuple[str, ...]:
    """Background words from text.

    Parameters
    ----------
    text : str
        Words separated by commas. The name of a list of `BACKGROUND_WORDS`, in any case, stands for
        the words of the list.

    Raises
    ------
    InvalidInputError
        For nothing between two commas, and for a single word that is nearly the name of a list.
    """
    if not text.strip():
        return ()
    entries = [tidy(word, "There is an empty background word") for word in text.split(",")]
    words = [word for one in entries for word in BACKGROUND_WORDS.get(key(one), (one,))]
    if len(entries) == 1 and key(entries[0]) not in BACKGROUND_WORDS:
        long = [name for name in BACKGROUND_WORDS if len(name) >= _LEAST_LETTERS]
        near = get_close_matches(key(entries[0]), long, n=1, cutoff=0.8)
        if near:
            raise InvalidInputError(
                f"{entries[0]!r} is not a list of background words. Write {near[0]!r} for the "
                f"list. If it is a word, add another: '{entries[0]}, background'."
            )
    return tuple(dict.fromkeys(words))


def check_classes(classes: Sequence[ClassPrompt]) -> None:
    """Check that there is at least one class, and that the classes fit into labels.

    Raises
    ------
    InvalidInputError
        For no class, more than `MAX_CLASSES`, a class called "background" and a repeated word.
    """
    if not classes:
        raise InvalidInputError(
            "There is no word to look for. Give at least one, such as 'nucleus'."
        )
    if len(classes) > MAX_CLASSES:
        raise InvalidInputError(
            f"{len(classes)} classes are more than labels can hold. Give at most {MAX_CLASSES}."
        )
    if any(key(one.name) == "background" for one in classes):
        raise InvalidInputError(
            "'background' cannot be a class, because it is always label 0. Remove the word, and "
            "describe the background with background words."
        )
    check_repeated(classes)


def check_repeated(classes: Sequence[ClassPrompt]) -> None:
    """Refuse a word that is in two classes, or twice in one.

    Raises
    ------
    InvalidInputError
    """
    owners: dict[str, int] = {}
    for index, one in enumerate(classes):
        for word in one.words:
            if key(word) in owners:
                other = classes[owners[key(word)]]
                where = (
                    f"is repeated in the class {one.name!r}"
                    if owners[key(word)] == index
                    else "is the name of two classes"
                    if key(other.name) == key(one.name)
                    else f"is in two classes, {other.name!r} and {one.name!r}"
                )
                raise InvalidInputError(f"The word {word!r} {where}. Keep it once.")
            owners[key(word)] = index


def usable_background(
    classes: Sequence[ClassPrompt], background: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Separate the background words that can be used from those that are also a class.

    A background word that is also a class would take about half of the pixels of that class.

    Returns
    -------
    used, dropped : tuple of str

    Raises
    ------
    InvalidInputError
        As `check_classes`, and for a single class without background words, which would have
        nothing to be compared with.
    """
    check_classes(classes)
    background = several("background", background)
    words = {key(word) for one in classes for word in one.words}
    tidied = tuple(dict.fromkeys(tidy(w, "There is an empty background word") for w in background))
    kept = tuple(word for word in tidied if key(word) not in words)
    if len(classes) == 1 and not kept:
        raise InvalidInputError(
            f"{classes[0].name!r} is the only class and there is no background word. Each pixel "
            "gets the word that fits it best, so a single word would cover everything. Add a "
            "class, or a background word for what else is in the image."
        )
    return kept, tuple(word for word in tidied if word not in kept)


def several(what: str, words: Iterable[T]) -> tuple[T, ...]:
    """Words as a tuple; refuse a single string, whose letters would become words."""
    if isinstance(words, str):
        raise single_string(what, words)
    return tuple(words)


def fill(word: str, templates: Sequence[str]) -> tuple[str, ...]:
    """The prompts that every template makes of a word."""
    return tuple(template.replace("{}", word) for template in templates)


def class_prompts(one: ClassPrompt, templates: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The prompts of a class: one group per word, each of which becomes one vector."""
    if one.prompt is None:
        return tuple(fill(word, templates) for word in one.words)
    if "{}" in one.prompt:
        return tuple(fill(word, (one.prompt,)) for word in one.words)
    return ((one.prompt,), *(fill(word, templates) for word in one.synonyms))


def check_templates(templates: Sequence[str]) -> None:
    """Refuse an empty template set, and a template without ``{}``.

    Raises
    ------
    InvalidInputError
    """
    if not templates:
        raise InvalidInputError(
            "The template set is empty. Give at least one template; '{}' alone is the bare word."
        )
    for template in templates:
        if "{}" not in template:
            raise InvalidInputError(
                f"The prompt template {template!r} has no place for the word. Put {{}} there."
            )
