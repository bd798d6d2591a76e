"""Texts of the prototypes panel."""

from __future__ import annotations

from collections.abc import Sequence

from .common import BACKGROUND_NAME, count, count_classes, listed

PROTOTYPES = "Visual prototypes"
PROTOTYPES_TIP = "Example patches of each class. They help where words fail."
LEARN = "Learn from th&is image"
LEARN_TIP = "Use what is accepted or painted in the chosen plane as examples of the classes."
LEARN_DONE = "Learn from each finished image"
LEARN_DONE_TIP = (
    "Learn when you mark an image of the project as done, and when you accept a whole image."
)
NOTHING_LEARNED = "No visual prototypes have been learned yet."
SELECT_PROTOTYPE_FIRST = "Select a prototype first."
REMOVE_PROTOTYPES = "Re&move"
REMOVE_PROTOTYPES_TIP = "Remove the selected prototypes (Delete)."
UNDO_PROTOTYPES_TIP = "Undo the last change to the prototypes."
WORDS_END = "words"
PROTOTYPES_END = "prototypes"
WEIGHT_NAME = "Weight of the prototypes"
WEIGHT_TIP = "The weight of the prototypes relative to the words."
AUTOMATIC = "automatic"
AUTOMATIC_TIP = (
    "Words count most at first. The more images a class was learned from, the more its prototypes "
    "count."
)


def prototypes_title(*, number: int, classes: int) -> str:
    """The header of the prototypes panel."""
    return f"{PROTOTYPES}: {number} for {count_classes(classes)}" if number else PROTOTYPES


def prototype_entry(*, name: str, sources: Sequence[str]) -> str:
    """A prototype in the list: its class and where it comes from."""
    return f"{name or BACKGROUND_NAME}\n{listed(sources, 1)}"


def prototype_tip(*, name: str, patches: int, sources: Sequence[str]) -> str:
    """What a prototype was made from."""
    several = count(patches, "patch", "patches")
    return f"{name or BACKGROUND_NAME}: the mean of {several} of {', '.join(sources)}"


def nothing_annotated(image: str) -> str:
    """There is no annotation to learn from."""
    return f"{image} has no annotation yet. Accept or paint something first."


MODEL_MISSING = "The model is not on this machine yet. Press Download in the settings first."
NOTHING_CONFIRMED = "Nothing is accepted or painted here yet."
ONLY_BACKGROUND = "Only background is accepted or painted here, so there is no class to learn."


def other_model(*, learned: str, chosen: str) -> str:
    """Prototypes of another model than the chosen one are not used."""
    return (
        f"These prototypes belong to the model {learned} and are not used with {chosen}. To use "
        f"them, choose {learned}; to learn new ones, remove them."
    )


def not_learned(*, image: str, why: str) -> str:
    """Nothing was learned from a finished image."""
    return f"Nothing was learned from {image}. {why}"


def source_name(*, image: str, plane: Sequence[int]) -> str:
    """Where prototypes come from: an image, with the indices of its plane."""
    return f"{image} [{', '.join(map(str, plane))}]" if plane else image


def dropped_for_classes(source: str) -> str:
    """The classes were replaced while prototypes were learned."""
    return f"The classes were replaced meanwhile, so what was learned from {source} was discarded."


def no_class_to_learn(source: str) -> str:
    """An annotation has no class of the table."""
    return f"Nothing was learned from {source}: its annotation has no class in the table."


def learned_from(*, source: str, classes: int) -> str:
    """Prototypes were learned."""
    return f"Learned {count_classes(classes)} from {source}."


def put_aside(name: str) -> str:
    """An older file of prototypes was renamed."""
    return f"The older prototype file was renamed to {name}."


def prototypes_not_saved(error: object) -> str:
    """Classes were saved, but not their prototypes."""
    return f"The classes were saved, but not their prototypes. {error}"


NO_PROTOTYPES_BESIDE = (
    "There is no prototype file beside these classes, so no prototypes are used now. Press Undo "
    "in Visual prototypes to bring back the previous ones."
)


def other_classes_loaded(name: str) -> str:
    """Classes were loaded while a prototype file was read."""
    return f"Other classes were loaded meanwhile, so {name} was discarded."


def prototypes_not_loaded(error: str) -> str:
    """Classes were loaded, but not their prototypes."""
    return f"The classes were loaded, but not their prototypes. {error}"


def prototypes_loaded(number: int) -> str:
    """Prototypes were read with their classes."""
    return f"Loaded {count(number, 'visual prototype')}."


def prototypes_left_out(error: object) -> str:
    """A run could not use the prototypes."""
    return f"The prototypes were not used. {error}"
