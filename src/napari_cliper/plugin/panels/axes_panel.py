"""Ask what an axis of a stack is."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QWidget

from .. import ui_text
from ..qt.notice_line import notice_line


class AxesPanel(QWidget):
    """One line with a button for each kind of axis; hidden if there is nothing to ask."""

    answered = Signal(str)
    """The letter of the axis; empty for an axis of another kind."""

    def __init__(self) -> None:
        super().__init__()
        kinds = {**ui_text.AXIS_KINDS, "": ui_text.AXIS_UNNAMED}
        self.buttons = {letter: QPushButton(text) for letter, text in kinds.items()}
        for letter, button in self.buttons.items():
            button.clicked.connect(partial(self._on_clicked, letter))
        self.text = notice_line(self, self.buttons.values())
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
