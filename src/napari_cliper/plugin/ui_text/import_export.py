"""Texts of export and import."""

from __future__ import annotations

from collections.abc import Sequence

from .common import count, listed

EXPORT_FOLD = "Export and import"
EXCHANGE_JOB = "Exporting or importing labels"
EXPORT_FOLDER_TITLE = "Export to folder"
FOLDER_LABEL = "Folder"
OVERWRITE = "Replace existing files"
OVERWRITE_TIP = "Files of the same name that this program wrote are replaced; others never are."
EXPORT_OPTIONS = "..."
EXPORT_OPTIONS_TIP = "Planes of stacks, and images for validation"
EVERY_PLANE = "Untouched planes of stacks too"
EVERY_PLANE_TIP = (
    "Formats that are written plane by plane leave out planes without an accepted or painted pixel."
)
VALIDATION = "Images for validation"
VALIDATION_NONE = "none"
VALIDATION_TIP = (
    "COCO and YOLO: this share of the images is for validation, the others for training. Images "
    "are chosen by their names, so the same images always give the same choice. Planes of a stack "
    "stay together."
)
VALIDATION_WHY_NOT = "Only COCO and YOLO divide images into training and validation."
FORMATS_TIP = "Choose the formats."
EVERY_IMAGE_TIP = "All annotated images of the project, or only the image in the window."
OPEN_EXPORT_FOLDER = "Open folder"
EXPORT_WHY_NOT = "Tick a purpose and choose a folder."
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
    return f"All {count(images, 'image')}"


def export_images(images: int) -> str:
    """The button that exports."""
    return f"Export {count(images, 'image')}"


def export_tip(formats: Sequence[str]) -> str:
    """The tooltip of the button that exports."""
    return f"Write {', '.join(formats)}."


def purpose_tip(formats: Sequence[tuple[str, str]]) -> str:
    """The tooltip of a purpose: each format with the programs that open it."""
    return "\n".join(f"{title}: {programs}" for title, programs in formats)


def formats_chosen(chosen: int, of: int) -> str:
    """How many formats of a purpose are written."""
    number = count(of, "format") if chosen == of else f"{chosen} of {count(of, 'format')}"
    return f"{number} \N{BLACK DOWN-POINTING SMALL TRIANGLE}"


def open_folder_tip(folder: str) -> str:
    """The tooltip of the button that opens the folder of an export."""
    return f"Open {folder}." if folder else "Export first."


def cannot_open_folder(folder: str) -> str:
    """The system shows no folders."""
    return f"Cannot open {folder} from here. Open it in a file manager."


def exported(
    *, folder: str, files: Sequence[str], notes: Sequence[str], most: int, images: int, of: int
) -> str:
    """Files were written; `of` is the number of images of the project, 0 if only one was chosen."""
    left = of - images
    if not of:
        what = ""
    elif left > 0:
        what = f" {images:,} of {count(of, 'image')}"
        have = "image has" if left == 1 else "images have"
        notes = (f"{left:,} {have} no annotation.", *notes)
    else:
        what = f" {count(images, 'image')}"
    return " ".join([f"Exported{what} to {folder}: {listed(files, most)}.", *notes])


def only_a_part(layer: str) -> str:
    """The layer of a large annotation shows a part of it."""
    return (
        f"{layer} shows only a part of the labels, which are too large for one layer. Export them "
        "on the page Export of CLIPer segmentation."
    )


def too_large_to_save(layer: str) -> str:
    """The layer shows a prediction whose labels are computed where they are seen."""
    return (
        f"{layer} is too large to be saved as a layer. Accept it, and export the annotation on the "
        "page Export of CLIPer segmentation."
    )


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
    """The typed name, completed with the file ending, is the name of an existing file."""
    return f"{path} exists already. To replace it, type this full name; or choose another name."
