"""Corrections: class, tool, and uncertain places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget
from superqt.utils import signals_blocked

from ...annotation.user_hints import BACKGROUND
from ...labels.label_class import ClassRow
from .. import ui_text
from ..layers.clicks_layer import BACKGROUND_COLOUR, class_colours_of
from ..qt.switch import Switch
from ..qt.wrapping_label import wrapping
from .class_palette import ClassPalette
from .state_panel import State, StatePanel
from .tools_row import ToolsRow


@dataclass(frozen=True)
class CorrectionsChoice:
    """How corrections are made.

    Parameters
    ----------
    chosen : str
        The class of the next stroke or click.
    spread : bool
        Whether hints change similar regions too.
    uncertainty : bool
        Whether the uncertainty is shown.
    """

    chosen: str = BACKGROUND
    spread: bool = True
    uncertainty: bool = False


class CorrectionsPanel(QWidget):
    """The value is the `CorrectionsChoice`. Emits requests; updated by the methods.

    `chosen` carries the class whose button is pressed. `tools` has a signal of its own.
    """

    valueChanged = Signal(object)
    chosen = Signal(str)
    next_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.palette_ = ClassPalette()
        self.palette_.setAccessibleName(ui_text.PALETTE_NAME)
        self.tools = ToolsRow(ui_text.TOOLS)
        self.spread = Switch(ui_text.PROPAGATE)
        self.spread.setChecked(True)
        self.spread.setToolTip(ui_text.PROPAGATE_TIP)
        self.uncertainty = Switch(ui_text.UNCERTAINTY)
        self.next_button = QPushButton(ui_text.NEXT_UNCERTAIN)
        self.state = wrapping(parent=self)
        """Which hints are used, for a place of its own."""
        self.legend = wrapping(ui_text.LEGEND, self)
        """What outlines and colours are, for the same place."""
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
        grid.setColumnStretch(0, 1)

        self.spread.toggled.connect(self._on_changed)
        self.uncertainty.toggled.connect(self._on_changed)
        self.palette_.chosen.connect(self._on_changed)
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

    def value(self) -> CorrectionsChoice:
        """Return the choices."""
        return CorrectionsChoice(
            self.palette_.chosen_class(), self.spread.isChecked(), self.uncertainty.isChecked()
        )

    def setValue(self, choice: CorrectionsChoice) -> None:
        """Show choices; emits `valueChanged` if they differ."""
        before = self.value()
        with signals_blocked(self):
            self.palette_.choose(choice.chosen)
            self.spread.setChecked(choice.spread)
            self.uncertainty.setChecked(choice.uncertainty)
        if self.value() != before:
            self._on_changed()

    def _on_changed(self, _value: object = None) -> None:
        self.valueChanged.emit(self.value())

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
        for widget in (self.next_button, self.uncertainty, self.legend):
            widget.setVisible(hints)
        self.state.setVisible(hints and bool(self.state.text()))
