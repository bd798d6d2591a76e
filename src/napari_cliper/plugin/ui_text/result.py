"""Texts about results: thresholds, predictions, score maps, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .common import count, listed

if TYPE_CHECKING:
    from ...segmentation import Shortfall


# ---------------------------------------------------------------------- threshold panel


@dataclass(frozen=True)
class ThresholdTexts:
    """The texts around the slider of a threshold.

    Parameters
    ----------
    label, brief, name : str
        The label, in full and where there is little room, with the mark of the letter that works
        with Alt; and without it.
    tip : str
    low, high : str
        What the ends of the slider do.
    """

    label: str
    brief: str
    name: str
    tip: str
    low: str
    high: str


CLASS_THRESHOLD = ThresholdTexts(
    "Class thr&eshold",
    "Class thr&eshold",
    "Class threshold",
    "A class counts as absent unless its score is above this value.",
    "more classes",
    "fewer classes",
)
BACKGROUND_THRESHOLD = ThresholdTexts(
    "Back&ground threshold",
    "Back&ground",
    "Background threshold",
    "A pixel becomes background if its best class is below this value.",
    "larger regions",
    "smaller regions",
)
MORE = "More"
MIN_MAX = "Min-max normalise each class"
MIN_MAX_TIP = (
    "Rescale the map of each class by its own minimum and maximum, as CLIPer does. This helps "
    "classes with low scores."
)
PER_CLASS = "Thresh&old for"
PER_CLASS_TIP = "Replaces the background threshold for the pixels of one class."
PER_CLASS_NAME = "Class with a per-class threshold"
PER_CLASS_CHOICE_TIP = "The class. You can also select its row in the table."
PER_CLASS_SLIDER = "Per-class threshold"
AS_LAYERS = "As layers:"
SCORE_MAPS = "score &maps"
SCORE_MAPS_TIP = "Add an image layer with the score map of each class."
UPDATING_LABELS = "Updating ..."
NO_RESULT = "There is no result yet. Press Run."


def threshold_now(texts: ThresholdTexts, value: float, published: float) -> str:
    """The tooltip of the slider of a threshold."""
    return f"{texts.tip} Now {value:.3f}; published {published:.3f}."


def reset_name(threshold: str) -> str:
    """The accessible name of a button that resets a threshold."""
    return f"Reset: {threshold}"


def reset_tip(published: float) -> str:
    """The tooltip of a button that resets a threshold."""
    return f"Reset to the published value, {published:.2f}."


# ---------------------------------------------------------------------- the result on the screen

NO_PREDICTION = "There is no prediction yet. Press Run."
STORED_PREDICTION = (
    "This is the saved prediction of the image. You can accept it. Press Run to change thresholds "
    "or to use hints."
)
NOTHING_IN_STORED = "The saved prediction has no object. Press Run to change thresholds."
LAYERS_EDITED = (
    "You edited the prediction layers, so they no longer change. Run again for new ones."
)


def layer_edited(layer: str) -> str:
    """A prediction layer was painted on."""
    return f"You edited {layer}, so it no longer changes. The next result becomes a new layer."


def prediction_removed(plane: str) -> str:
    """The layer of a result was removed."""
    return f"The prediction layer of {plane} was removed. Press Run again."


def pixels_changed(image: str) -> str:
    """The data of an image was replaced."""
    return f"The pixels of {image} have changed. Press Run again."


def scores_dropped(plane: str) -> str:
    """A result made room for others."""
    return (
        f"The scores of {plane} were removed to free memory; the prediction stays in its layer. "
        "Press Run to accept or change it."
    )


def go_to(plane: str) -> str:
    """A button that goes to another plane."""
    return f"Go to {plane}"


def not_run(plane: str, others: Sequence[str] = (), most: int = 0) -> str:
    """There is no result for a plane; other planes that have one."""
    go = f", or go to {listed(others, most)}" if others else ""
    return f"There is no result for {plane}. Press Run{go}."


RUN_THIS_PLANE = "Run this plane"
RUN_THIS_IMAGE = "Run this image"
RUN_THIS_TIP = "Find the words in what the viewer shows."
TO_2D = "Go back to the 2-D view"
TO_2D_TIP = "Let napari show a plane instead of the volume."
NOTHING_FOUND = "Nothing was found."
NOTHING_FOUND_SHORT = "Nothing found."


NOTHING_FOUND_SO_FAR = "Small objects may appear where you zoom in, and Accept takes them."


def classes_below(short: Sequence[Shortfall], *, complete: bool, most: int) -> str:
    """Nothing was found: which classes stay below which threshold.

    `complete` is whether all labels are computed.
    """
    absent = [one for one in short if one.kind == "class"]
    weak = [one for one in short if one.kind == "pixel"]
    lines = [NOTHING_FOUND]
    if weak:
        named = [f"{one.name} (best {one.value:.2f} of {one.threshold:.2f})" for one in weak]
        lines.append(f"No pixel reaches the background threshold: {listed(named, most)}.")
    if absent:
        named = [f"{one.name} {one.value:.2f}" for one in absent]
        lines.append(
            f"Not above the class threshold of {absent[0].threshold:.2f}: {listed(named, most)}."
        )
    if not complete:
        lines.append(NOTHING_FOUND_SO_FAR)
    return " ".join(lines)


def nothing_found(short: Sequence[Shortfall], *, complete: bool, hinted: bool, most: int) -> str:
    """Which classes stay below which threshold, and what to do."""
    lines = [classes_below(short, complete=complete, most=most)]
    if hinted:
        lines.append("Your hints also count: undo some, or click on an object.")
    else:
        which = "background" if any(one.kind == "pixel" for one in short) else "class"
        lines.append(f"Lower the {which} threshold, try other words, or click on an object.")
    return " ".join(lines)


# ---------------------------------------------------------------------- last result

RESULTS_FOLD = "Last res&ult"
NO_RESULTS = "No results yet."


def result_details(
    *, layers: Sequence[str], seconds: Mapping[str, float], device: str, precision: str
) -> list[str]:
    """The layers and the time of a result."""
    stages = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
    return [f"Layers: {', '.join(layers)}", f"Time: {stages}, on {device} in {precision}"]


def score_layer(*, image: str, name: str) -> str:
    """The name of a score map."""
    return f"{image} {name} score"


def uncertainty_layer(image: str) -> str:
    """The name of an uncertainty map."""
    return f"{image} uncertainty"


def prediction_layer(*, image: str, slot: str) -> str:
    """The name of a prediction layer; the slot is ``prediction``, or a stage."""
    return f"{image} {slot}"


def stage_shown(stage: str) -> str:
    """Another stage is shown in the prediction layer."""
    return f"The prediction shows the {stage} map now."


def changed_by_hint(*, predicted: int, accepted: int) -> str:
    """What a stroke, a click or its undo has changed."""
    followed = f", {count(accepted, 'accepted pixel')} with them" if accepted else ""
    return f"{count(predicted, 'pixel')} changed{followed}."


BOTH_STAGES = "both stages"
BOTH_STAGES_TIP = (
    "Show the coarse and refined maps in separate layers. Otherwise, Alt+X switches between them."
)
CHANGED_LAYER = "changed"
NEXT_PLACE_LAYER = "uncertain place"
