"""Texts of export and import."""

from __future__ import annotations

from collections.abc import Sequence

from .common import count

EXPORT_TITLE = "Export annotations"
EXPORT_FOLDER_TITLE = "Export to folder"
FOLDER_LABEL = "Folder"
OVERWRITE = "Replace existing files"
EXPORT_WHY_NOT = "Tick a format and choose a folder."
NOTHING_TO_EXPORT = "There is no annotation to export. Accept a prediction or paint first."
EXCHANGE_RUNS = "An export or import is running. Wait for it to end."
IMPORT_TITLE = "Import labels"
CHOOSE_IMAGE_TO_IMPORT = "Choose an image first. Labels are imported onto an image."
NOTHING_IMPORTED = "Cancelled. Nothing was imported."
MATCH_TITLE = "Match classes"
MATCH_TEXT = "Choose the class of each label in the file:"
MATCH_PLACEHOLDER = "choose"
MATCH_WHY_NOT = "Choose a class for every label."
NEW_CLASS, LEAVE_OUT = "a new class", "do not import"


def every_image(images: int) -> str:
    """A box to export more than the image in the window."""
    return f"All {images} annotated images of the project"


def exported(*, folder: str, files: Sequence[str], notes: Sequence[str], most: int) -> str:
    """Files were written."""
    shown = ", ".join(files[:most]) + (" ..." if len(files) > most else "")
    return " ".join([f"Exported to {folder}: {shown}.", *notes])


def label_files(patterns: str) -> str:
    """The filter of the file dialog."""
    return f"Labels ({patterns})"


def removed_while_importing(layer: str) -> str:
    """The annotation layer has gone."""
    return f"{layer} was removed meanwhile, so nothing was imported."


def imported(*, source: str, changed: int) -> str:
    """Labels were imported."""
    return f"Imported {source}: {count(changed, 'pixel')} changed."


def label_name(label: int) -> str:
    """A label without a class name."""
    return f"label {label}"


def label_to_match(*, label: int, name: str, why: str) -> str:
    """A label of the file, and why its class is not clear."""
    return f"{label}: {name}" + (f"\n({why})" if why else "")


def name_taken(path: object) -> str:
    """A file exists whose name differs from the typed one."""
    return f"{path} exists already. Choose another name, or type this one."
