"""Texts of projects and of annotations from earlier sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from .common import count

if TYPE_CHECKING:
    from ...annotation.project.annotation_record import Status


# ---------------------------------------------------------------------- project panel

STATUS_NAMES: Mapping[Status, str] = MappingProxyType(
    {"open": "not started", "started": "in progress", "done": "done"}
)
NO_PROJECT = "No project. Saved automatically."
NO_PROJECT_TIP = (
    "Annotations are saved automatically and offered the next time this panel opens. Press Save "
    "as ... to save them in a folder of your choice."
)
PROJECT_TIP = "Changes are saved automatically."
NEW_PROJECT = "Folder of ima&ges ..."
NEW_PROJECT_TIP = "Annotate the images of a folder."
OPEN_PROJECT = "&Open ..."
OPEN_PROJECT_TIP = "Open a project folder."
SAVE_PROJECT = "Sav&e as ..."
COPYING_THE_IMAGE = "Copying the image"
SAVE_PROJECT_TIP = "Save the annotation of this image in a new project."
PROJECT_IMAGES = "Images of the project"
FILTER = "Filter: name, class, done, >20% ..."
FILTER_TIP = (
    "Show only the images with all of these words in their name, status or classes: done, in "
    "progress, not started. >20% shows the images that are more uncertain than 20 %, <20% those "
    "that are less."
)
FILTER_NAME = "Filter of the images"
PREVIOUS_TIP = "Go to the previous image."
NEXT_TIP = "Go to the next image."
DONE = "&Done"
DONE_TIP = "Mark the image as done and go to the next. Press again to mark it as not done."
ORDER = "Most uncertain first"
ORDER_TIP = (
    "Run on all images that are not done, and sort these images by the uncertainty of the pixels "
    "that are not accepted or painted."
)
IMAGES_TITLE = "Folder of images"
NEW_PROJECT_TITLE = "New project folder"
OPENING_PROJECT = "Opening a project"
SAVING_JOB = "Saving annotations"
OPEN_PROJECT_TITLE = "Open a project"
CHANGED_ON_DISK_TITLE = "Changed by another program"
NO_ANNOTATION_TO_SAVE = "There is no annotation yet. Accept, paint or import something first."


def project_state(*, folder: str, done: int, images: int) -> str:
    """The line above the list of images."""
    if not folder:
        return NO_PROJECT
    return f"{Path(folder).name}: {done} of {images} done."


def project_images(images: int) -> str:
    """The title of the list of images."""
    return f"{PROJECT_IMAGES} ({images})" if images else PROJECT_IMAGES


def project_line(*, name: str, at: int, images: int) -> str:
    """The image in the window, in the foot of the dock."""
    return f"{name} \N{MIDDLE DOT} {at} of {images}" if name else f"{images} images"


def project_image(*, name: str, status: Status, uncertainty: float | None) -> str:
    """An image in the list."""
    text = f"{name}: {STATUS_NAMES[status]}"
    return text if uncertainty is None else f"{text}, {uncertainty:.0%} uncertain"


def project_image_tip(*, path: Path, classes: Sequence[str], uncertainty: float | None) -> str:
    """The tooltip of an image in the list."""
    lines = [str(path)]
    if classes:
        lines.append(f"Labelled: {', '.join(classes)}")
    if uncertainty is not None:
        lines.append(f"Uncertainty when the images were sorted: {uncertainty:.1%}")
    return "\n".join(lines)


def no_image_in(folder: object) -> str:
    """A folder holds no image file."""
    return f"There is no image in {folder}. Choose another folder."


def annotations_folder(name: str) -> str:
    """The proposed name of a project folder."""
    return f"{name} annotations"


def overwrite_question(error: object) -> str:
    """Whether to replace what another program has saved."""
    return f"{error} Replace it with the annotation in this window?"


DROPPED_ORDER = "Another project was opened meanwhile, so the images were not sorted."
DROPPED_RUN = (
    "Another project was opened during the run. The predictions are saved in the previous project."
)


def images_run(*, run: int, kept: int, problems: Mapping[str, str], most: int) -> str:
    """The images were run; those that could not be run are named with the reason."""
    lines = [f"Segmented {count(run, 'image')}. The predictions are saved in the project."]
    if kept:
        lines[0] = f"Segmented {count(run, 'image')}; {kept} others were up to date."
    named = list(problems.items())
    lines += [f"{name} could not be run: {why}" for name, why in named[:most]]
    if len(named) > most:
        lines.append(f"{count(len(named) - most, 'more image')} could not be run.")
    return "\n".join(lines)


def ordered(*, number: int, problems: Mapping[str, str], most: int) -> str:
    """The images were sorted; those that could not be read are named with the reason."""
    lines = [f"Sorted {count(number, 'image')}, most uncertain first."]
    named = list(problems.items())
    lines += [f"{name} could not be read: {why}" for name, why in named[:most]]
    if len(named) > most:
        others = count(len(named) - most, "more image")
        lines.append(f"{others} could not be read. They are at the end of the list.")
    return "\n".join(lines)


# ---------------------------------------------------------------------- saved sessions

RESTORE = "Restore"
CONTINUE = "Continue"
DISCARD_TITLE = "Discard annotations?"
NO_PROJECT_WRITTEN = "Cancelled. No project was written."
ANNOTATIONS_BACK = "The annotations are back. They are saved automatically."
SAVING = "Annotations are being saved. Try again in a moment."


def one_of_offers(title: str, *, of: int) -> str:
    """The first of several offers."""
    return title if of == 1 else f"1/{of} {title}"


def removed_title(layer: str) -> str:
    """The layer of an annotation was removed, in one line."""
    return f"Removed: {layer}"


def annotation_removed(image: str) -> str:
    """The layer of an annotation was removed."""
    return f"The annotation of {image} was removed."


def annotation_back(image: str) -> str:
    """A removed annotation was restored."""
    return f"The annotation of {image} is back."


def session_name(images: Sequence[str]) -> str:
    """What the annotations of a session are called."""
    if not images:
        return "an earlier session"
    more = len(images) - 1
    return f"{images[0]} and {count(more, 'more image')}" if more else images[0]


def session_title(images: Sequence[str], problem: str) -> str:
    """The annotations of an earlier session, in one line."""
    return f"Earlier: {'unreadable' if problem else session_name(images)}"


def session_offer(*, images: Sequence[str], saved: datetime | None, problem: str) -> str:
    """The annotations of an earlier session."""
    if problem:
        return f"Cannot read annotations of an earlier session: {problem}"
    when = "" if saved is None else f" from {saved:%d %b %Y, %H:%M}"
    return f"There are annotations of {session_name(images)}{when} that are in no project."


def discard_question(images: str) -> str:
    """Whether to delete annotations."""
    return f"Delete the annotations of {images}? This cannot be undone."


def open_image_first(*, problem: str, where: object) -> str:
    """The image of an annotation is not where it was."""
    return f"{problem} Open {where} in napari, then press {CONTINUE} again."


def no_file_for_project(image: str) -> str:
    """A large image is read lazily, but not from a file that a project can read."""
    return (
        f"{image} is too large to be copied into a project, and has no file that a project can "
        "read. Save it as OME-Zarr or TIFF, and open that file. Until then, the annotation is "
        "saved automatically outside of projects."
    )


def project_written(folder: Path) -> str:
    """A project of the annotated image was written."""
    return f"The project is saved in {folder}."
