"""The table of panels that the dock builds: a new panel is a file in `panels` and a row here.

A panel that needs only the state derives from `panels.base.DockPanel`. One with a controller
derives from `panels.base.Panel`; its controller is a file in `controllers`, named in the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import ui_text
from .controllers.base import Controller
from .controllers.memory import MemoryController
from .controllers.objects import ObjectsController
from .frame import PageName
from .panels.base import Panel
from .panels.memory_panel import MemoryPanel
from .panels.objects_panel import ObjectsPanel
from .state import DockState


@dataclass(frozen=True)
class PanelRow:
    """One panel.

    Parameters
    ----------
    page : str
        The page of the dock, below whose other panels it is put.
    make : callable
        Takes the state and returns the panel.
    control : callable, optional
        Takes the state and the panel, and returns the controller.
    fold : str
        Title of a fold of the page Settings that it is put into; empty for none.
    """

    page: PageName
    make: Callable[[DockState], Panel]
    control: Callable[[DockState, Any], Controller] | None = None
    fold: str = ""


PANELS: Mapping[str, PanelRow] = {
    "objects": PanelRow("objects", lambda _state: ObjectsPanel(), ObjectsController),
    "memory": PanelRow(
        "settings", lambda _state: MemoryPanel(), MemoryController, ui_text.MEMORY_FOLD
    ),
}
"""The panels by name, from top to bottom of their pages."""
