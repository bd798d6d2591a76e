"""Words become prompts: classes, synonyms, templates, background words.

Pure functions. Sources of the lists: CLIPer's background words for photos
(arXiv 2411.13836); its 15 templates are those of CLIP as RNN (2312.07661); the 80
and the 7 of OpenAI come with open_clip. The microscopy list is ours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from .errors import InvalidInputError

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
"""Background word lists by what the image is of."""

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
"""Template sets kept here; `TEMPLATE_SETS` names those of open_clip too."""

TEMPLATE_SETS = ("cliper-15", "openai-80", "openai-7", "word")


@dataclass(frozen=True)
class ClassPrompt:
    """One class: what it is called, and how it is put to the text encoder.

    Parameters
    ----------
    name : str
        Its name, in any script; white space around and within is tidied up.
    synonyms : tuple of str
        Other words for the same class. A pixel counts as the class when it looks
        like any of them.
    prompt : str, optional
        Takes the place of the templates for this class: a whole prompt, or a template in
        which ``{}`` stands for the name and then each synonym.

    Raises
    ------
    InvalidInputError
        For a name or a synonym without a character.

    Examples
    --------
    >>> ClassPrompt("nucleus", synonyms=("cell nucleus", "nuclei")).words
    ('nucleus', 'cell nucleus', 'nuclei')
    """

    name: str
    synonyms: tuple[str, ...] = ()
    prompt: str | None = None

    def __post_init__(self) -> None:
        """Tidy the words up, and refuse empty ones."""
        object.__setattr__(self, "name", tidy(self.name, "A class has no name"))
        words = (
            tidy(word, f"The class {self.name!r} has an empty synonym") for word in self.synonyms
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
    """A word in Unicode's composed form with single spaces; refuse one that is empty."""
    tidied = " ".join(unicodedata.normalize("NFC", word).split())
    if not any(char.isprintable() and not char.isspace() for char in tidied):
        raise InvalidInputError(f"{complaint}: {word!r}. Type at least one letter, or remove it.")
    return tidied


def key(word: str) -> str:
    """What two spellings of the same word share."""
    return word.casefold()


def parse_classes(text: str) -> tuple[ClassPrompt, ...]:
    """Classes from one line of text.

    Parameters
    ----------
    text : str
        Classes separated by commas, semicolons or line ends; synonyms behind ``=``, separated by
        ``|``: ``"nucleus=cell nucleus|nuclei, bacteria"``.

    Raises
    ------
    InvalidInputError
        As `check_classes`, and for an empty place between two commas.
    """
    parts = [part for line in text.splitlines() for part in line.replace(";", ",").split(",")]
    if not any(part.strip() for part in parts):
        raise InvalidInputError(
            "There is no word to look for. Type at least one, such as 'nucleus'."
        )
    classes = []
    for part in parts:
        name, equals, synonyms = part.partition("=")
        if equals and not name.strip():
            raise InvalidInputError(
                f"{part.strip()!r} has synonyms but no name. Write name=synonym."
            )
        classes.append(ClassPrompt(name, tuple(synonyms.split("|")) if equals else ()))
    check_classes(classes)
    return tuple(classes)


def parse_words(text: str) -> tuple[str, ...]:
    """Background words from one line of text: the name of a list, or words and commas."""
    if text.strip() in BACKGROUND_WORDS:
        return BACKGROUND_WORDS[text.strip()]
    words = (tidy(word, "There is an empty background word") for word in text.split(","))
    return tuple(dict.fromkeys(words)) if text.strip() else ()


def check_classes(classes: Sequence[ClassPrompt]) -> None:
    """Refuse no class, one called background, a word twice, and more than a label can number."""
    if not classes:
        raise InvalidInputError(
            "There is no word to look for. Give at least one, such as 'nucleus'."
        )
    if len(classes) > MAX_CLASSES:
        raise InvalidInputError(
            f"{len(classes)} classes are more than a label layer can hold ({MAX_CLASSES})."
        )
    if any(key(one.name) == "background" for one in classes):
        raise InvalidInputError(
            "'background' is always there, as label 0, and cannot be a class too. Remove the word; "
            "give words for what the background shows as background words."
        )
    check_repeated(classes)


def check_repeated(classes: Sequence[ClassPrompt]) -> None:
    """Refuse a word that stands in two classes, or twice in one."""
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
                    else f"stands in two classes, {other.name!r} and {one.name!r}"
                )
                raise InvalidInputError(f"The word {word!r} {where}. Keep it once.")
            owners[key(word)] = index


def usable_background(
    classes: Sequence[ClassPrompt], background: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part background words into those that can serve and those that name a class.

    A background word that is also a class would take half of its pixels.

    Raises
    ------
    InvalidInputError
        For one class and no background: there is nothing to compare it with.
    """
    check_classes(classes)
    background = several("background", background)
    words = {key(word) for one in classes for word in one.words}
    tidied = tuple(dict.fromkeys(tidy(w, "There is an empty background word") for w in background))
    kept = tuple(word for word in tidied if key(word) not in words)
    if len(classes) == 1 and not kept:
        raise InvalidInputError(
            f"{classes[0].name!r} is the only class and there is no background word. Every pixel "
            "is compared with all words, so a single word would cover everything, whatever it is. "
            "Add a class, or a background word for what else is in the image."
        )
    return kept, tuple(word for word in tidied if word not in kept)


def several(what: str, words: Iterable[str]) -> tuple[str, ...]:
    """Words as a tuple; refuse a single string, whose letters would be taken for words."""
    if isinstance(words, str):
        raise InvalidInputError(
            f"{what} is the one string {words!r} where several are expected. Write ({words!r},)."
        )
    return tuple(words)


def fill(word: str, templates: Sequence[str]) -> tuple[str, ...]:
    """A word in every template."""
    return tuple(template.replace("{}", word) for template in templates)


def class_prompts(one: ClassPrompt, templates: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The prompts of each of a class's vectors: one group for each of its words."""
    if one.prompt is None:
        return tuple(fill(word, templates) for word in one.words)
    if "{}" in one.prompt:
        return tuple(fill(word, (one.prompt,)) for word in one.words)
    return ((one.prompt,), *(fill(word, templates) for word in one.synonyms))


def check_templates(templates: Sequence[str]) -> None:
    """Refuse a template set without a template, or a template without a place for the word."""
    if not templates:
        raise InvalidInputError("The template set is empty. '{}' alone stands for the bare word.")
    for template in templates:
        if "{}" not in template:
            raise InvalidInputError(
                f"The prompt template {template!r} has no place for the word. Put {{}} there."
            )
