"""Texts of the annotation: accept, clean, paint, corrections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from .common import count, count_classes

if TYPE_CHECKING:
    from ...annotation.cleanup import Amount
    from ...annotation.completion import Done
    from ...annotation.merge import Rule


# ---------------------------------------------------------------------- annotation panel

ACCEPT = "Accept what is shown"
ACCEPT_TIP = (
    "Copy the prediction into the annotation (Alt+A). Undo takes it back in one step. "
    "Q accepts only the region under the cursor."
)
ACCEPT_MENU = "What to accept or clean"
ACCEPTED_FOLLOW = "Accepted pixels follow corrections"
ACCEPTED_FOLLOW_TIP = (
    "When a stroke or click changes the prediction, accepted pixels change with it. Painted "
    "pixels never do."
)
LEGEND = "Outlines: prediction. Filled: annotation."
CLEAN = "Clean"
CLEAN_TIP = "Clean the annotation. Undo takes it back in one step."
SCOPES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "all": ("all classes", "All classes and the background."),
        "chosen": ("the selected classes", "The classes selected in the table."),
        "rectangle": (
            "the rectangle",
            "The pixels in the rectangle of a Shapes layer: the active one, or else the topmost.",
        ),
        "region": ("the region I click", "One connected region: press the button, then click it."),
    }
)
"""Name and tooltip by what is accepted or cleaned."""
RULE_TIP = "Which pixels Accept may change."
RULE_NAMES: Mapping[Rule, tuple[str, str]] = MappingProxyType(
    {
        "empty": ("unlabelled pixels only", "Labelled and hand-painted pixels stay unchanged."),
        "unpainted": (
            "keep hand-painted pixels",
            "Replaces accepted pixels; pixels that you painted or erased stay unchanged.",
        ),
        "all": ("replace all pixels", "Also replaces hand-painted pixels; asks first."),
    }
)
"""Name and tooltip by the rule of Accept."""
TOOL_TIP = "How to clean the annotation of the plane on the screen."
AMOUNT_NAME = "Amount"
PIXELS_SUFFIX = " px"
IMPORT = "&Import ..."
IMPORT_TIP = (
    "Read labels from a TIFF, PNG or COCO JSON file. Classes are matched by name. Undo takes it "
    "back in one step."
)
NO_ANNOTATION = "There is no annotation yet. Accept a prediction or paint first."
CLEANING_RUNS = "Cleaning is running. Wait for it to end."
NOTHING_DONE = "Nothing is accepted or painted yet."
OTHER_PLANE = "The prediction belongs to another plane. Go to that plane first."
NO_CLASS_SELECTED = "No class is selected. Select rows in the table first."
NO_RECTANGLE_DRAWN = "There is no rectangle. Draw one in a Shapes layer first."
CLICK_REGION = "Click the region in the image."
CLICK_REGIONS = "Click the regions to accept. Press Esc to end."
CHANGED_MEANWHILE = "The labels changed during cleaning, so nothing was cleaned. Press Clean again."
REPLACE_PAINTED_TITLE = "Replace hand-painted pixels?"


def amount_tip(amount: Amount) -> str:
    """What the number of a cleaning tool means."""
    return f"{amount.words}, in {amount.unit}."


def done_text(done: Done | None) -> str:
    """How much of a plane is annotated."""
    if done is None:
        return NOTHING_DONE
    parts = [
        f"{done.labelled:.0%} labelled",
        f"{done.decided:.0%} decided",
        count_classes(done.classes),
    ]
    if done.open_regions:
        parts.append(f"{count(done.open_regions, 'predicted region')} not decided")
    return ", ".join(parts) + "."


def done_bar(done: Done | None) -> str:
    """How much of a plane is annotated, in a bar."""
    if done is None:
        return NOTHING_DONE
    return f"{done.decided:.0%} decided, {done.labelled:.0%} labelled"


def accepted(*, changed: int) -> str:
    """A prediction was accepted."""
    return f"Accepted: {count(changed, 'pixel')} changed."


def nothing_to_accept(why: str) -> str:
    """The prediction is empty."""
    return f"There is nothing to accept. {why}"


def cleaned(*, changed: int) -> str:
    """The annotation was cleaned."""
    return f"Cleaned: {count(changed, 'pixel')} changed."


def replace_painted_question(*, painted: int) -> str:
    """Whether Accept may replace what was painted."""
    return (
        f"{count(painted, 'hand-painted pixel')} may be replaced. Continue? Undo brings them back "
        "in one step."
    )


def image_removed(image: str) -> str:
    """The image to annotate is gone."""
    return f"{image} was removed. Choose another image."


def choose_as_image(image: str) -> str:
    """Another image than the annotated one is chosen."""
    return f"Choose {image} as the image first."


def brush_paints(name: str) -> str:
    """The class of the brush, in the status bar."""
    return f"The brush paints {name}."


def annotation_layer(image: str) -> str:
    """The name of an annotation layer."""
    return f"{image} annotation"


def changed_out_of_sight(*, row: int, column: int) -> str:
    """A step was undone or redone where the viewer does not look."""
    return f"This changed labels out of sight, around row {row}, column {column}."


def overview_layer(image: str) -> str:
    """The name of the layer with the annotation of a large image, reduced."""
    return f"{image} annotation, overview"


def labels_refused(
    *, layer: str, shape: Sequence[int], dtype: object, given: Sequence[int], low: int, high: int
) -> str:
    """An annotation layer was given an array that does not fit."""
    return (
        f"{layer} takes labels from 0 to 65535 of shape {tuple(shape)}, not {dtype} of shape "
        f"{tuple(given)} from {low} to {high}. The previous labels were restored. Add the other "
        "array as a layer of its own."
    )


# ---------------------------------------------------------------------- corrections panel

PALETTE_NAME = "Class to paint and click"
TOOLS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "click": (
            "Click",
            "Click to say which class is there; similar regions follow. Delete a point to undo it.",
        ),
        "object": (
            "Object",
            "Outline the object that you click. J shows another outline, K keeps it.",
        ),
        "brush": ("Brush", "Paint the class into the annotation."),
        "erase": ("Erase", "Paint background into the annotation."),
        "region": (
            "Region",
            "Accept each predicted region that you click. Q accepts the one under the cursor.",
        ),
    }
)
"""Name and tooltip by tool."""
PROPAGATE = "Propagate to similar regions"
PROPAGATE_TIP = (
    "Your strokes, clicks and outlines also change the prediction in similar regions. Off: only "
    "the pixels that you paint or click change."
)
UNCERTAINTY = "Uncertainty"
UNCERTAINTY_TIP = "Show an image layer that is bright where the two best classes are close."
NEXT_UNCERTAIN = "Next uncertain place"
NEXT_UNCERTAIN_TIP = (
    "Go to the next uncertain place that you have not decided yet, zoom in and mark it (U)."
)
CURSOR_LAYER = "cursor"
HINT_CHANGED_NOTHING = "The hint changed no pixel."
STEP_UNDONE = "The last change of the annotation or the clicks was undone."
STEP_REDONE = "The change of the annotation or the clicks was redone."
COMPUTING_SIMILARITY = "Computing similar regions ..."
NO_UNCERTAIN_PLACE = "No uncertain place is left to decide."


def palette_entry(*, name: str, number: int) -> str:
    """A button of the palette."""
    return f"{number} {name}"


def palette_tip(*, name: str, number: int) -> str:
    """The tooltip of a button of the palette."""
    key = f" (Alt+{number})" if number < 10 else ""
    return f"Paint and click {name}{key}."


def click_on(name: str) -> str:
    """What to do after Click was pressed."""
    return f"Click {name} in the image. Similar regions change too."


CURSOR_OUTSIDE_WINDOW = (
    "The annotation of this large image can be painted only near the middle of the view. Zoom in, "
    "and press the key again."
)


def cursor_outside(image: str) -> str:
    """A key was pressed while the cursor was not over the image."""
    return f"The cursor is not over {image}. Point at something in it, and press the key again."


def clicks_layer(image: str) -> str:
    """The name of a Points layer."""
    return f"{image} clicks"


def clicks_not_kept(error: object) -> str:
    """Clicks cannot be stored with an annotation."""
    return f"Clicks were not saved: {error}"


def cannot_propagate(error: str) -> str:
    """Similar regions could not be computed."""
    return f"Corrections cannot propagate: {error}"


def hints_kept(why: str) -> str:
    """Hints on a plane that has no result."""
    return f"Your hints are saved. {why}"


def uncertain_place(*, number: int, of: int) -> str:
    """Which uncertain place is shown."""
    last = " (the last one)" if number == of else ""
    return (
        f"Uncertain place {number} of {of}{last}. There, Q accepts the prediction, H clicks the "
        "chosen class, W clicks background."
    )


def no_uncertainty(error: str) -> str:
    """The uncertainty could not be computed."""
    return f"Cannot compute the uncertainty: {error}"


def hints_used(*, clicked: int, painted: int, left_out: Sequence[str], follows: bool) -> str:
    """Which hints are used, and how their effect is shown."""
    parts = []
    if clicked:
        parts.append(count(clicked, "click"))
    if painted:
        parts.append(count(painted, "painted pixel"))
    lines = [f"Hints used: {' and '.join(parts)}."] if parts else []
    if parts and not follows:
        lines.append("You edited the prediction layer, so it no longer follows hints. Run again.")
    if left_out:
        lines.append(f"Not used, because this run has no such class: {', '.join(left_out)}.")
    return " ".join(lines)
