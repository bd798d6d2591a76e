"""Texts of the dock's frame: steps, head and foot."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

STEPS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "find": ("Find", "Type words, run, and adjust the thresholds."),
        "correct": ("Correct", "Click, paint and accept until the labels are right."),
        "objects": ("Objects", "Count, correct and measure the objects of each class."),
        "export": ("Export", "Projects, files for other programs, and prototypes."),
    }
)
STEPS_NAME = "Steps"
SETTINGS_TIP = "Settings: method, model, device and memory. Press again to go back."
SETTINGS_NAME = "Settings"


def step_tip(*, tip: str, number: int) -> str:
    """The tooltip of a tab."""
    return f"{tip} (Ctrl+{number})"
