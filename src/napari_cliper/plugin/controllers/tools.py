"""The tools of the page Correct: each activates the layer and mode that it needs.

The active tool follows from napari's active layer and its mode, so that the buttons are also right
if the user changes these in napari.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from napari.layers import Labels, Layer, Points
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut

from ...annotation.user_hints import BACKGROUND
from ...segmentation import InvalidInputError
from .. import shortcuts
from ..panels.corrections_panel import CorrectionsPanel
from ..panels.tools_row import Tool
from ..qt.listeners import Listeners
from ..state import DockState
from .base import Controller
from .brush import Brush
from .clicks import ClickController
from .object_tool import ObjectTool

_MODES: dict[str, Tool] = {"paint": "brush", "fill": "brush", "polygon": "brush", "erase": "erase"}
"""The tool by the mode of the annotation layer."""


class ToolController(Controller):
    """The tools of one dock.

    Parameters
    ----------
    state : DockState
    panel : CorrectionsPanel
    brush : Brush
    clicks : ClickController
    objects : ObjectTool
    """

    def __init__(
        self,
        state: DockState,
        panel: CorrectionsPanel,
        brush: Brush,
        clicks: ClickController,
        objects: ObjectTool,
    ) -> None:
        super().__init__(panel)
        self._state = state
        self._viewer = viewer = state.viewer
        self._panel = panel
        self._annotations = annotations = state.annotations
        self._brush = brush
        self._clicks = clicks
        self._objects = objects
        self.keys = {shortcuts.BACKGROUND_CLASS: partial(self.choose, BACKGROUND)}
        brush.brushed.connect(clicks.choose)
        state.tool_wanted.connect(self.take)
        state.tool_taken.connect(self._on_taken)
        self._escape = QShortcut(QKeySequence(Qt.Key.Key_Escape), panel.window())
        self._escape.setEnabled(False)
        self._escape.activated.connect(self.end)
        self._listeners = Listeners()
        self._listeners.connect("viewer", viewer.layers.selection.events.active, self._on_active)
        panel.tools.valueChanged.connect(self._on_wanted)
        panel.chosen.connect(self.choose)
        annotations.picking_changed.connect(self.look)
        objects.active_changed.connect(self.look)
        self._on_active()

    def close(self) -> None:
        """Disconnect all events; the layers stay."""
        super().close()
        self._escape.setEnabled(False)
        self._listeners.clear()

    def take(self, tool: Tool) -> None:
        """Activate a tool: its layer, its mode, and the label of the class."""
        self._state.tool_taken.emit(self)
        self._annotations.stop_picking()
        self._objects.end()
        if tool == "click":
            self._clicks.click()
        elif tool == "object":
            self._objects.begin()
        elif tool == "region":
            self._annotations.pick_regions()
        else:
            choice = self._state.choice
            if choice is None:
                self.message.emit(self._state.why_no_choice, True)
            else:
                self._paint(choice.layer, choice.name, "paint" if tool == "brush" else "erase")
        self.look()

    def end(self) -> None:
        """End the active tool: the mouse moves the image again."""
        self._annotations.stop_picking()
        self._objects.end()
        active = self._viewer.layers.selection.active
        if isinstance(active, Labels | Points):
            active.mode = "pan_zoom"
        self.look()

    def choose(self, name: str) -> None:
        """Set the class of strokes and clicks."""
        row = self._brush.row_of(name)
        if row is not None:
            self._brush.brush(row)
            return
        self._clicks.choose(BACKGROUND)
        active = self._viewer.layers.selection.active
        if isinstance(active, Labels) and self._annotations.behind(active) is not None:
            active.selected_label = 0  # painted background

    def _paint(self, image: Any, name: str, mode: str) -> None:
        try:
            layer = self._annotations.begin(image, name).layer
        except InvalidInputError as error:
            self.say_error(str(error))
            return
        self._annotations.show(layer, partial(self._paint_in, layer, mode))

    def _paint_in(self, layer: Labels, mode: str) -> None:
        self._viewer.layers.selection.active = layer
        self.choose(self._panel.value().chosen)
        layer.mode = mode

    # ------------------------------------------------------------------ what napari says

    def _on_taken(self, owner: object) -> None:
        if owner is not self and self._panel.tools.value() is not None:
            self.end()

    def _on_wanted(self, tool: Tool | None) -> None:
        if tool is None:
            self.end()
        else:
            self.take(tool)

    def _on_active(self, _event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        self._listeners.disconnect("layer")
        if isinstance(active, Labels | Points):
            self._listeners.connect("layer", active.events.mode, self.look)
        self.look()

    def look(self, _event: Any = None) -> None:
        """Show the active tool."""
        held = self._held(self._viewer.layers.selection.active)
        self._panel.tools.setValue(held)
        self._escape.setEnabled(held is not None)

    def _held(self, active: Layer | None) -> Tool | None:
        if self._objects.active and self._objects.host is None:
            return "object"
        if self._annotations.picking:
            return "region"
        if isinstance(active, Points) and self._clicks.behind(active) is not None:
            return "click" if str(active.mode) == "add" else None
        if isinstance(active, Labels) and self._annotations.behind(active) is not None:
            return _MODES.get(str(active.mode))
        return None
