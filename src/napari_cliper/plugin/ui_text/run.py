"""Texts of the run panel, of jobs, and of closing the window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...workflows.quantities import size_text
from .common import count, count_classes
from .engine import plain_name
from .result import NOTHING_FOUND

if TYPE_CHECKING:
    from ...segmentation import Progress, Shortfall, WeightsEntry

RUN = "&Run (Ctrl+Enter)"
RUN_TIP = "Find the words in the image."
RUN_MENU_NAME = "What to run"
RUN_MENU_TIP = "What to run: this plane, all planes, what is visible, a rectangle, or with tiles."
RUN_IMAGE = "Whole image"
RUN_PLANE = "This plane"
RUN_PLANE_TIP = "Run on the whole plane, and choose the whole image as the region."
RUN_VISIBLE = "What is visible"
RUN_VISIBLE_TIP = "Run on the part of the image that the viewer shows. Zoom in for small objects."
RUN_RECTANGLE_TIP = "Run on the selected or last rectangle of this layer."
RUN_PROJECT_TIP = (
    "Run on all images of the project that are not done. The predictions are saved, and each is "
    "shown when you go to its image. Of a stack, the middle plane is run."
)
RUN_WHY_NOT = "A job is running."
CANCEL = "Cancel"
MESSAGE_NAME = "Message"
CANCEL_TIP = "Stop the job within a second. Nothing is changed."
CANCEL_WHY_NOT = "Nothing is running."
STARTING = "Starting"
STOPPING = "Stopping"
STOPPED = "Cancelled. Nothing was changed."
STOPPED_IMAGES = "Cancelled. The predictions of the images that were finished are kept."
LOADING_PYTORCH = "Loading PyTorch (once per session)"
READING_IMAGE = "Reading the image"
WAITING_FOR_CANCELLED = "Waiting for the cancelled job to end"
MAKING_LABELS = "Making labels"
PROVISIONAL_SHOWN = "Provisional labels of what is visible are shown. The run goes on"
LEARNING = "Learning visual prototypes"


def run_rectangle(layer: str) -> str:
    """A menu entry: run on a rectangle."""
    return f"Rectangle in {layer}"


def run_project(images: int) -> str:
    """The entry of the menu that runs all images of a project that are not done."""
    return f"All images of the project ({images} not done)"


def stage_text(progress: Progress, seconds_left: float | None) -> str:
    """The stage of a job, how much of it is done, and the time left if that is known."""
    if not progress.total:
        return progress.stage
    if progress.unit == "byte":
        amount = f"{progress.done / 1e6:.0f} of {progress.total / 1e6:.0f} MB"
    else:
        amount = f"{min(progress.done + 1, progress.total)} of {progress.total}"
    if seconds_left is None:
        left = ""
    elif seconds_left >= 90:
        left = f", {seconds_left / 60:.0f} min left"
    else:
        left = f", {seconds_left:.0f} s left"
    return f"{progress.stage}, {amount}{left}"


def run_done(
    *,
    classes: int,
    total: int,
    regions: int | None,
    complete: bool,
    short: Sequence[Shortfall],
    on_screen: bool,
    explained: bool,
    notes: str,
) -> str:
    """A run has ended: what was found, and what to do about the rest.

    `explained` is whether the page already says that nothing was found, `complete` whether no other
    class can be found where labels are computed later.
    """
    if not classes:
        counted = "" if explained else NOTHING_FOUND
    else:
        parts = "" if regions is None else f", {count(regions, 'region')}"
        least = "" if complete or classes == total else "At least "
        counted = f"{least}{classes} of {count_classes(total)}{parts}."
    where = "" if on_screen else "The result belongs to a plane that is not on the screen."
    below = ""
    if classes and short:
        first, more = short[0], len(short) - 1
        which = "class" if first.kind == "class" else "background"
        named = f"{first.name} ({first.value:.2f})" + (f" and {more} more" if more else "")
        verb = "need" if more else "needs"
        below = f"{named} {verb} a lower {which} threshold, or a click."
    return " ".join(part for part in (counted, where, below, notes) if part)


THRESHOLD_MOVED = "The prediction follows the thresholds. Accept it, or go on to corrections."
GO_CORRECT = "Correct"
GO_CORRECT_TIP = "Go to the page Correct: click, paint and erase."
GO_ACCEPT = "Accept"
GO_ACCEPT_TIP = "Copy the prediction into the annotation (Alt+A)."
NO_IMAGE_YET = "There is no image. Open one, or look at an example that needs no download."
OPEN_IMAGE = "Open ..."
OPEN_IMAGE_TIP = "Open an image file in napari."
SHOW_EXAMPLE = "Show me an example"
SHOW_EXAMPLE_TIP = "Add a synthetic scene, type its words, and run the demo model."
NO_WORDS_YET = "Type what to look for, separated by commas, and press Run."
TYPE_WORDS = "Type words"
TYPE_WORDS_TIP = "Put the cursor into the field for words on the page Find."
LOADING_PYTORCH_NOW = "PyTorch is loading, once per session. You can continue meanwhile."
TRY_DEMO = "Try the demo model"
USE_PAMR_BUTTON = "Use PAMR"
LOWER_THRESHOLD = "Lower threshold"
LOWER_THRESHOLD_TIP = "Move the threshold to just below the best class."
CLICK_ONE = "Click an object"
CLICK_ONE_SHORT = "Click one"
CLICK_ONE_TIP = (
    "Go to the page Correct with the tool Click, and click an object of the chosen class."
)


def download_size(size: int) -> str:
    """A button that downloads this many bytes."""
    return f"Download {size_text(size)}".strip()


def disk_full(*, needed: int, free: int) -> str:
    """Weights do not fit on the disk; sizes in bytes."""
    return (
        f"{size_text(needed)} are needed, but only {size_text(free)} are free on the disk of the "
        "downloads. Free some space, or set HF_HOME to a folder on another disk."
    )


FORBIDS = ", which forbids some uses"


def weights_needed(missing: Sequence[WeightsEntry], offered: Sequence[WeightsEntry]) -> str:
    """The chosen model is not on disk; the sizes and licences of what can be downloaded."""
    facts = [
        f"{plain_name(row.name)} ({size_text(row.size)}, licence {row.licence}"
        f"{FORBIDS if row.restricted else ''})"
        for row in offered or missing
    ]
    return f"Not on this machine: {' and '.join(facts)}."


DROPPED_FOR_PROJECT = "A project was opened during the run, so the result was discarded. Run again."
WAIT_FOR_JOB = "A job is running. Wait for it to end, or cancel it."
NO_IMAGE_GIVEN = "No image was given."


def dropped_for_image(image: str) -> str:
    """The image of a run has gone or changed."""
    return (
        f"{image} was removed or replaced during the run, so the result was discarded. Run again."
    )


def downloaded(names: Sequence[str]) -> str:
    """Weights are on disk."""
    return f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'} been downloaded."


def weights_missing(rows: Sequence[WeightsEntry]) -> str:
    """Weights must be downloaded before a run."""
    names = " and ".join(f"{row.name} ({size_text(row.size)})" for row in rows)
    return f"Not on this machine yet: {names}. Press Download in the settings first."


def unknown_words(words: Sequence[str]) -> str:
    """Words that the demo model was never trained on."""
    return f"The demo model does not know: {', '.join(words)}."


NOT_SAVED_TITLE = "Annotations are not saved"


def close_question(problem: str) -> str:
    """Whether to close the window though something could not be saved."""
    return f"{problem} Close anyway and lose these changes?"


def provisional_layer(image: str) -> str:
    """The name of the layer with labels of what is visible, until a run in tiles ends."""
    return f"{image} prediction, provisional"
