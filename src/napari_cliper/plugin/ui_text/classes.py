"""Texts of the classes panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from .common import count

CLASSES_NAME = "Classes"
WORDS_NAME = "Words"
WORDS_PLACEHOLDER = "Words, e.g. nucleus, fibre"
WORDS_TIP = (
    "Words to look for, separated by commas. Write synonyms as cup=mug|beaker. You can paste "
    "several lines. Press Enter to add them."
)
NO_WORDS = "There are no words to look for. Add at least one, such as 'nucleus'."
ALL_BACKGROUND = (
    "Every class is background, so there is nothing to label. Add a class, or untick Background "
    "for one in the menu '...'."
)
CLASS_FILES = "Class lists (*.yaml *.yml *.json *.txt)"
CLASS_FILE_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "YAML (*.yaml *.yml)": "yaml",
        "JSON (*.json)": "json",
        "One class per line (*.txt)": "txt",
    }
)
"""The file suffix by the filter of the file dialog."""
LOAD_CLASSES_TITLE = "Load classes"
SAVE_CLASSES_TITLE = "Save classes"
ADD = "Add"
ADD_TIP = "Add the words on the left (Enter)."
CLASSES_MENU_NAME = "More for classes"
CLASSES_MENU_TIP = "Remove, move, background words, rename, merge, delete, undo, load and save."
NO_NAME_TYPED = "A class needs a name. To remove the class, press Delete."
ADD_WHY_NOT = "Type words into the field first."
REMOVE = "&Remove"
REMOVE_CLASSES_TIP = (
    "Remove the selected classes from this table (Delete). What is painted or clicked stays."
)
RENAME_CLASS = "Re&name"
RENAME_CLASS_TIP = (
    "Rename the class in all images of the project, with its labels, clicks and prototypes (F2, or "
    "double-click the name)."
)
MERGE_CLASS = "Mer&ge into"
MERGE_CLASS_TIP = (
    "Give the labels, clicks and prototypes of the class to another class, in all images of the "
    "project."
)
DELETE_CLASS = "Delete &class ..."
DELETE_CLASS_TIP = (
    "Delete the class with its labels, clicks and prototypes in all images of the project."
)
SELECT_ONE_CLASS = "Select a single class."
NO_LABEL = "This is a background word, which has no labels. Use Remove."
NO_OTHER_CLASS = "There is no other class."
CHANGE_CLASS_TITLE = "Change a class"
CLASS_IS_CHANGED = (
    "A class is being changed in all images. Wait for it to end, or cancel it, and try again."
)
COMPLETED_CHANGE = (
    "The program was closed while a class was being changed in all images. The change is now "
    "complete."
)
MOVE_UP = "Move &up"
MOVE_UP_TIP = "Move the selected classes up (Alt+Up)."
MOVE_UP_WHY_NOT = "The selected classes are at the top."
MOVE_DOWN = "Move &down"
MOVE_DOWN_TIP = "Move the selected classes down (Alt+Down)."
MOVE_DOWN_WHY_NOT = "The selected classes are at the bottom."
AS_BACKGROUND = "&Background"
AS_BACKGROUND_TIP = (
    "The selected words are background: they compete with the classes for pixels, but get no label."
)
NO_ROW_SELECTED = "Select a row first."
UNDO_CLASSES_TIP = "Undo the last change to the classes (Ctrl+Z)."
REDO = "Redo"
REDO_CLASSES_TIP = "Redo the last change that was undone (Ctrl+Shift+Z)."
NOTHING_TO_REDO = "There is nothing to redo."
LOAD_CLASSES = "&Load ..."
LOAD_CLASSES_TIP = "Read classes from a file: YAML, JSON, or text with one class per line."
SAVE_CLASSES = "&Save ..."
SAVE_CLASSES_TIP = "Write the classes to a file: YAML, JSON, or text with one class per line."
SAVE_CLASSES_WHY_NOT = "There are no classes to save."
COLOUR_HEADER = "Colour"
COLOUR_HEADER_TIP = "The colour of the label. Double-click or press Enter to change it."
NAME_HEADER = "Class"
NAME_HEADER_TIP = (
    "What to look for, in plain words. Double-click to rename it; write synonyms as cup=mug|beaker."
)
SCORE_HEADER = "Score"
SCORE_HEADER_TIP = (
    "How well the class matched the image in the last run. The line is the class threshold: only "
    "classes above it are labelled."
)
SHOW_HEADER = "Show"
SHOW_HEADER_TIP = "Show or hide the label of this class."
BACKGROUND_CELL_TIP = "A background class has no label, so it has no colour and cannot be shown."


def colour_title(name: str) -> str:
    """The title of the dialog for a colour."""
    return f"Colour of {name}"


def label_tip(label: int) -> str:
    """The tooltip of a colour."""
    return f"Label {label}. Double-click or press Enter to choose a colour."


def with_prompt(*, name: str, prompt: str) -> str:
    """A class with the sentence that CLIP reads for it."""
    return f"{name} (prompt: {prompt})"


def background_row(name: str) -> str:
    """The name of a class that is background."""
    return f"background: {name}"


def synonyms_of(synonyms: Sequence[str]) -> str:
    """The synonyms behind the name of a class."""
    return f"= {', '.join(synonyms)}" if synonyms else ""


def score_tip(value: float, threshold: float, *, present: bool) -> str:
    """A class score compared with the class threshold."""
    if present:
        return f"Score {value:.2f}: above the class threshold of {threshold:.2f}."
    return (
        f"Score {value:.2f}: not above the class threshold of {threshold:.2f}, so this class is "
        "not labelled."
    )


def name_with_comma(text: str) -> str:
    """A comma was typed into the name of a class."""
    return (
        f"{text!r} contains a comma. Type several classes into the field above the table, and "
        "synonyms as cup=mug|beaker."
    )


CANNOT_BE_UNDONE = "Undo cannot go back before this change."


def class_change_question(
    *, old: str, new: str | None, pixels: int, clicks: int, images: int, backed_up: bool
) -> str:
    """Whether to merge or delete a class, what that changes, and that undo ends there."""
    what = f"Delete the class {old}?" if new is None else f"Merge {old} into {new}?"
    if not pixels and not clicks:
        return f"{what} Nothing is labelled as {old}. {CANNOT_BE_UNDONE}"
    amount = count(pixels, "pixel")
    if clicks:
        amount += f" and {count(clicks, 'click')}"
    becomes = "become unlabelled" if new is None else f"become {new}"
    backup = " Copies of the files are kept." if backed_up else ""
    return f"{what} {amount} in {count(images, 'image')} {becomes}. {CANNOT_BE_UNDONE}{backup}"


def class_changed(*, old: str, new: str | None, merged: bool, images: int, backup: object) -> str:
    """A class was renamed, merged or deleted in a project."""
    if new is None:
        what = f"Deleted {old}"
    else:
        what = f"Merged {old} into {new}" if merged else f"Renamed {old} to {new}"
    where = f" in {count(images, 'image')}" if images else ""
    copies = "" if backup is None else f" Backup: {backup}."
    return f"{what}{where}.{copies}"


def cannot_read(*, path: object, error: object) -> str:
    """A list of classes cannot be used."""
    return f"Cannot read {path}: {error}"


def no_classes_in(path: object) -> str:
    """A list of classes is empty."""
    return f"There are no classes in {path}."
