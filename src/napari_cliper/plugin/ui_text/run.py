"""Texts of the run panel, of jobs, and of closing the window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .engine import size_text

if TYPE_CHECKING:
    from ...segmentation import Progress, WeightsEntry

RUN = "&Run (Ctrl+Enter)"
RUN_TIP = "Find the words in the image."
RUN_MENU_NAME = "What to run"
RUN_MENU_TIP = "Choose what to run: this plane, what is visible, or a rectangle."
RUN_IMAGE = "Whole image"
RUN_PLANE = "This plane"
RUN_PLANE_TIP = "Run on all of what the image shows, and choose it as the region."
RUN_VISIBLE = "What is visible"
RUN_VISIBLE_TIP = "Run on the part of the image that the viewer shows. Zoom in for small objects."
RUN_RECTANGLE_TIP = "Run on the selected or last rectangle of this layer."
RUN_WHY_NOT = "A job is running."
CANCEL = "Cancel"
MESSAGE_NAME = "Message"
CANCEL_TIP = "Stop the job within a second. Nothing is changed."
CANCEL_WHY_NOT = "Nothing is running."
STARTING = "Starting"
STOPPING = "Stopping"
STOPPED = "Cancelled. Nothing was changed."
LOADING_PYTORCH = "Loading PyTorch (once per session)"
READING_IMAGE = "Reading the image"
WAITING_FOR_CANCELLED = "Waiting for the cancelled job to end"
MAKING_LABELS = "Making labels"
LEARNING = "Learning visual prototypes"


def run_rectangle(layer: str) -> str:
    """A menu entry: run on a rectangle."""
    return f"Rectangle in {layer}"


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


def run_done(*, seconds: float, encoded: bool, on_screen: bool, notes: str) -> str:
    """A run has ended."""
    took = f"Done in {seconds:.1f} s." if encoded else "Done, with the stored image features."
    where = "" if on_screen else "The result belongs to a plane that is not on the screen."
    return " ".join(part for part in (took, where, notes) if part)


DROPPED_FOR_PROJECT = "A project was opened during the run, so the result was discarded. Run again."
WAIT_FOR_JOB = "A job is running. Wait for it to end, or cancel it."
NO_IMAGE_GIVEN = "No image was given."


def dropped_for_image(image: str) -> str:
    """The image of a run has gone or changed."""
    return (
        f"{image} was removed or replaced during the run, so the result was discarded. Run again."
    )


def downloaded(name: str) -> str:
    """Weights are on disk."""
    return f"{name} has been downloaded."


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
