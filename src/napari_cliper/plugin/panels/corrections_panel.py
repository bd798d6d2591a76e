"""Corrections: class, tool, and uncertain places."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget
from superqt import QToggleSwitch

from ...annotation.user_hints import BACKGROUND
from ...labels.label_class import ClassRow
from .. import ui_text
from ..layers.clicks_layer import BACKGROUND_COLOUR, class_colours_of
from ..qt.wrapping_label import wrapping
from .class_palette import ClassPalette
from .state_panel import State, StatePanel
from .tools_row import ToolsRow


class CorrectionsPanel(QWidget):
    """Emits requests; updated by the methods.

    `chosen` carries the name of the class to paint and click, `spread_toggled` and
    `uncertainty_toggled` whether it is on. `tools` has a signal of its own.
    """

    spread_toggled = Signal(bool)
    uncertainty_toggled = Signal(bool)
    chosen = Signal(str)
    next_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.palette_ = ClassPalette()
        self.palette_.setAccessibleName(ui_text.PALETTE_NAME)
        self.tools = ToolsRow()
        self.spread = QToggleSwitch(ui_text.PROPAGATE)
        self.spread.setChecked(True)
        self.spread.setToolTip(ui_text.PROPAGATE_TIP)
        self.uncertainty = QToggleSwitch(ui_text.UNCERTAINTY)
        self.next_button = QPushButton(ui_text.NEXT_UNCERTAIN)
        self.state = wrapping()
        self.object_state = StatePanel()

        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        grid.addWidget(self.palette_, 0, 0, 1, 2)
        grid.addWidget(self.tools, 1, 0, 1, 2)
        grid.addWidget(self.spread, 2, 0, 1, 2)
        grid.addWidget(self.next_button, 3, 0)
        grid.addWidget(self.uncertainty, 3, 1)
        grid.addWidget(self.object_state, 4, 0, 1, 2)
        grid.addWidget(self.state, 5, 0, 1, 2)
        grid.setColumnStretch(0, 1)

        self.spread.toggled.connect(self.spread_toggled)
        self.uncertainty.toggled.connect(self.uncertainty_toggled)
        self.palette_.chosen.connect(self.chosen)
        self.next_button.clicked.connect(self.next_wanted)
        self.show_classes((), BACKGROUND)
        self.set_available(ui_text.CHOOSE_IMAGE_FIRST, ui_text.NO_RESULT)
        self.show_state("")

    def show_classes(self, rows: Sequence[ClassRow], chosen: str) -> None:
        """Set the classes, with the background, and show which one is painted and clicked."""
        colours = class_colours_of(rows)
        colours.setdefault(BACKGROUND, BACKGROUND_COLOUR)
        self.palette_.show_classes(colours, chosen)

    def choose(self, name: str) -> None:
        """Show which class is painted and clicked."""
        self.palette_.choose(name)

    def chosen_class(self) -> str:
        """Return the class of the next stroke or click."""
        return self.palette_.chosen_class()

    def set_available(self, no_tool: str, no_next: str) -> None:
        """Enable the buttons, or disable them with the reason as tooltip.

        Parameters
        ----------
        no_tool, no_next : str
            Reasons; empty to enable.
        """
        self.tools.set_available(no_tool)
        for widget, tip in (
            (self.next_button, ui_text.NEXT_UNCERTAIN_TIP),
            (self.uncertainty, ui_text.UNCERTAINTY_TIP),
        ):
            widget.setEnabled(not no_next)
            widget.setToolTip(no_next or tip)

    def show_state(self, text: str) -> None:
        """Show which hints are used."""
        self.state.setText(text)
        self._show_rows()

    def show_object(self, state: State | None) -> None:
        """Show the state of the tool Object, in the place of the uncertain places."""
        self.object_state.show_state(state)
        self._show_rows()

    def _show_rows(self) -> None:
        hints = self.object_state.isHidden()
        for widget in (self.next_button, self.uncertainty):
            widget.setVisible(hints)
        self.state.setVisible(hints and bool(self.state.text()))
