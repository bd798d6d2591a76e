"""Texts of the question what the axes of a stack are."""

from __future__ import annotations

from .image import ONLY_PLANE_AXIS

AXIS_KINDS = {"Z": "Depth", "T": "Time", "C": "Channels"}
"""Buttons by the letter of the axis."""
AXIS_UNNAMED = "Other"
AXIS_UNNAMED_TIP = (
    "The axis stays without a name: its planes keep their order, and each is measured separately."
)


def axis_question(*, axis: str, length: int) -> str:
    """The question, in one short line; the axis is named if there are several."""
    return f"{length} planes are:" if axis == ONLY_PLANE_AXIS else f"{length} along {axis} are:"


def axis_question_tip(*, image: str) -> str:
    """What the answer is for."""
    return (
        f"{image} does not say what this axis is. A depth is measured by volume, a time series by "
        "area in each frame, and channels can be shown together. You are asked once: the answer is "
        "kept with the layer, its annotation and its exports; in a project, for all such images."
    )
