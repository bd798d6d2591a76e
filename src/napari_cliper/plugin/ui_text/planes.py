"""Texts about all planes of a stack: runs, thresholds, Accept, the strip of planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from .common import count

RUN_PLANES_TIP = (
    "Run on every plane along this axis, at the other sliders' positions. Cancel keeps the planes "
    "that are finished."
)
RUNNING_PLANES = "Running the planes"
STOPPED_PLANES = "Cancelled. The planes that were finished are kept."
ACCEPT_PLANES = "Accept all planes"
ACCEPT_PLANES_TIP = (
    "Copy the predictions of all planes into the annotation, by the rule below. Undo takes it back "
    "in one step."
)
PROPAGATE_PLANES_TIP = (
    "Propagate the hints and accepted pixels of the plane on the screen to the next planes on both "
    "sides, one by one. It stops where a plane agrees too little with the one before (Dice "
    "coefficient of the classes), and at planes that are decided. Painted pixels never change."
)
PROPAGATING = "Propagating to the next planes"
STOPPED_PROPAGATION = "Cancelled. The planes that were finished are kept."
NOTHING_TO_PROPAGATE = (
    "There are no hints and no accepted pixels on this plane. Correct or accept it first."
)
NO_NEXT_PLANE = "The next planes on both sides are decided, or belong to a nearer corrected plane."
NO_PLANES = (
    "There are no predictions of several planes. Run all planes first: see the menu beside Run."
)
ALL_PLANES = "Thresholds for all planes"
ALL_PLANES_TIP = "Whether thresholds apply to all planes of the stack, or only to this one."
STRIP_NAME = "Planes"
PLANE_STATES: Mapping[str, str] = MappingProxyType(
    {"open": "not run", "predicted": "predicted", "decided": "decided"}
)


def run_planes(*, axis: str, number: int) -> str:
    """A menu entry: run on all planes along an axis."""
    return f"All planes of {axis} ({number})"


def planes_run(*, planes: int, found: int, problems: Mapping[str, str]) -> str:
    """All planes were run: on how many something was found, and what failed."""
    text = f"{count(planes, 'plane')} run; classes found on {found}."
    if problems:
        first, reason = next(iter(problems.items()))
        text += f" {len(problems)} could not be run: {first}. {reason}"
    return text


def propagate_planes(*, axis: str, limit: float) -> str:
    """A menu entry: propagate to the next planes along an axis."""
    return f"Propagate to the next planes of {axis} (agreement {limit:.2f} or more)"


def planes_propagated(*, source: str, planes: int, stops: Sequence[str]) -> str:
    """Labels were propagated: to how many planes, and why it stopped in each direction."""
    text = f"Propagated from {source} to {count(planes, 'plane')}."
    return " ".join([text, *stops])


def stopped_by_agreement(*, plane: str, agreement: float, limit: float) -> str:
    """Where the agreement was below the limit."""
    return (
        f"Stopped at {plane}: its agreement with the plane before is {agreement:.2f}, the limit is "
        f"{limit:.2f}. Correct it and propagate again."
    )


def stopped_by_error(*, plane: str, reason: str) -> str:
    """A plane cannot be run."""
    return f"Stopped at {plane}: {reason}"


def planes_accepted(*, planes: int, changed: int) -> str:
    """The predictions of all planes were accepted."""
    return f"Accepted {count(planes, 'plane')}: {count(changed, 'pixel')} changed."


def planes_without_scores(planes: int) -> str:
    """Thresholds were applied to all planes but some."""
    return (
        f"{count(planes, 'plane')} kept the earlier thresholds, because their scores were removed "
        "to free memory. Run them again."
    )


def strip_text(*, axis: str, counts: Mapping[str, int]) -> str:
    """How many planes are in which state."""
    parts = ", ".join(f"{number} {state}" for state, number in counts.items())
    return f"Planes of {axis}: {parts}. Click one to go there."


def plane_state(*, axis: str, index: int, state: str) -> str:
    """The state of one plane."""
    return f"{axis} {index}: {state}"
