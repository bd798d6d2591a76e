"""Ask what an axis of a stack is."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget
from superqt import QElidingLabel

from .. import ui_text
from ..qt.tones import IN_A_LINE, set_tone


class AxesPanel(QWidget):
    """One line with a button for each kind of axis; hidden if there is nothing to ask."""

    answered = Signal(str)
    """The letter of the axis; empty for an axis of another kind."""

    def __init__(self) -> None:
        super().__init__()
        self.text = QElidingLabel()
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        set_tone(self.text, "warning")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.text, 1)
        kinds = {**ui_text.AXIS_KINDS, "": ui_text.AXIS_UNNAMED}
        self.buttons = {letter: QPushButton(text) for letter, text in kinds.items()}
        for letter, button in self.buttons.items():
            button.setStyleSheet(IN_A_LINE)
            button.setAutoDefault(False)
            button.clicked.connect(partial(self._on_clicked, letter))
            row.addWidget(button)
        self.hide()

    def ask(self, text: str, tip: str, letters: Collection[str]) -> None:
        """Show a question.

        Parameters
        ----------
        text, tip : str
        letters : collection of str
            Those that are possible answers; the axis may always be of another kind.
        """
        self.text.setText(text)
        self.text.setToolTip(tip)
        for letter, button in self.buttons.items():
            button.setVisible(not letter or letter in letters)
            button.setToolTip(tip if letter else ui_text.AXIS_UNNAMED_TIP)
            button.setAccessibleDescription(text)
        self.show()

    def _on_clicked(self, letter: str) -> None:
        self.answered.emit(letter)
