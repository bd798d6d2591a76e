"""Texts of the tool Object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...workflows.quantities import size_text

if TYPE_CHECKING:
    from ...segmentation import WeightsEntry

OBJECT_HOW = "Click one object, or drag a box around it. Shift+click leaves a part out."
OUTLINING = "Outlining the object ..."
NEXT_OUTLINE = "Other outline"
NEXT_OUTLINE_TIP = "Show the next of the outlines that the model offers (J)."
KEEP_OUTLINE = "Keep outline"
NO_OUTLINE = "There is no outline yet. Click the object first."
ONE_OUTLINE = "The model offers only this outline."
NOTHING_THERE = "No outline was found there. Click another place in the object, or drag a box."
CHOOSE_SAM_FOLDER = "Choose a folder ..."
CHOOSE_SAM_FOLDER_TIP = (
    "A folder with config.json and model.safetensors of a SAM, SAM 2 or EdgeTAM, or with an "
    "encoder and a decoder as ONNX files."
)
SAM_UNUSABLE = "The model for outlines could not be used."
OUTLINE_LAYER = "outline of the object"
OUTLINE_CLICKS_LAYER = "clicks of the object"
OUTLINE_BOX_LAYER = "box of the object"


def outline_shown(*, number: int, of: int, name: str) -> str:
    """Which outline is shown, and of which class it becomes."""
    which = f"Outline {number} of {of}" if of > 1 else "Outline"
    return f"{which}: {name}. Click again to correct it."


def keep_outline_tip(name: str) -> str:
    """What the button for keeping an outline does."""
    return f"Paint the outlined object into the annotation as {name} (K). Undo takes it back."


def add_outline_tip(name: str) -> str:
    """What the button for keeping an outline does on the page Objects."""
    return f"Add the outlined object as {name} (K). Undo edit takes it back."


def outline_kept(*, name: str, changed: int) -> str:
    """An outline was painted."""
    return f"Painted {changed:,} pixels as {name}. Click the next object, or press Esc to end."


def sam_needed(row: WeightsEntry) -> str:
    """The model for outlines is not on this machine; its size and licence."""
    return (
        f"Outlines need the model {row.name} ({size_text(row.size)}, licence {row.licence}), which "
        "is not on this machine."
    )


def sam_folder_missing(folder: str) -> str:
    """The remembered folder of the model is gone."""
    return f"Outlines need a model, but there is no folder {folder}."
