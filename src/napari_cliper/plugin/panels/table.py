"""The table of panels that need only the state. A new one is a file in this folder and a row here.

Panels that have a controller are built and connected in ``dock.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..frame import PageName
from ..state import DockState
from .base import DockPanel
from .objects_panel import ObjectsPanel


@dataclass(frozen=True)
class PanelRow:
    """One panel.

    Parameters
    ----------
    page : str
        The page of the dock, below whose other panels it is put.
    make : callable
        Takes the state and returns the panel.
    """

    page: PageName
    make: Callable[[DockState], DockPanel]


PANELS: Mapping[str, PanelRow] = {"objects": PanelRow("objects", ObjectsPanel)}
"""The panels by name, from top to bottom of their pages."""
