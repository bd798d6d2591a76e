"""What happened and what can be done next, with buttons that do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from ..qt.theme_colours import IN_A_LINE, set_tone
from ..qt.wrapping_label import wrapping


@dataclass(frozen=True)
class StateButton:
    """A button below the text of a state.

    Parameters
    ----------
    text : str
    press : callable
    tip : str
    why_not : str
        Why the button is disabled; empty if it is enabled.
    """

    text: str
    press: Callable[[], None]
    tip: str = ""
    why_not: str = ""

    def made(self) -> QPushButton:
        """Return the button."""
        button = QPushButton(self.text)
        button.setAutoDefault(False)
        button.setEnabled(not self.why_not)
        button.setToolTip(self.why_not or self.tip)
        button.clicked.connect(lambda _checked=False: self.press())
        return button


@dataclass(frozen=True)
class State:
    """A text that says what happened and what to do next, with buttons.

    Parameters
    ----------
    text : str
    buttons : tuple of StateButton
        In pairs; of an odd number, the first is as wide as the panel.
    tone : {'', 'warning'}
    in_short : str
        Replaces the text where there is little room: it stands beside the buttons, and the text
        is its tooltip.
    """

    text: str
    buttons: tuple[StateButton, ...] = ()
    tone: Literal["", "warning"] = ""
    in_short: str = ""


class StatePanel(QWidget):
    """Shows a `State`; hidden if there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.text = wrapping()
        self.buttons: Sequence[QPushButton] = ()
        self._shown: object = ()
        self._now: tuple[StateButton, ...] = ()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)
        self._grid.addWidget(self.text, 0, 0, 1, 2)
        self.hide()

    def show_state(self, state: State | None) -> None:
        """Show a state; it replaces the previous one."""
        self.setVisible(state is not None)
        if state is None:
            self.text.clear()
            self._replace((), in_one_row=False)
            return
        self.text.setText(state.in_short or state.text)
        self.text.setToolTip(state.text if state.in_short else "")
        set_tone(self.text, state.tone)
        self._replace(state.buttons, in_one_row=bool(state.in_short))

    def _press(self, index: int) -> None:
        """Call the present callback of a button."""
        self._now[index].press()

    def _replace(self, buttons: Sequence[StateButton], *, in_one_row: bool) -> None:
        """Replace the buttons, unless their texts are the same, so that one keeps the focus."""
        self._now = tuple(buttons)
        shown = in_one_row, tuple((one.text, one.tip, one.why_not) for one in buttons)
        if shown == self._shown:
            return
        self._shown = shown
        for button in self.buttons:
            self._grid.removeWidget(button)
            button.hide()
            button.deleteLater()
        self.buttons = [
            replace(one, press=partial(self._press, index)).made()
            for index, one in enumerate(buttons)
        ]
        self._grid.removeWidget(self.text)
        self.text.setWordWrap(not in_one_row)
        self._grid.addWidget(self.text, 0, 0, 1, 1 if in_one_row else 2)
        for column in (0, 1):
            self._grid.setColumnStretch(column, column == 0 or not in_one_row)
        wide = len(self.buttons) % 2
        for index, button in enumerate(self.buttons):
            if in_one_row:
                button.setStyleSheet(IN_A_LINE)
                self._grid.addWidget(button, 0, 1 + index)
            elif index < wide:
                self._grid.addWidget(button, 1, 0, 1, 2)
            else:
                row, column = divmod(index + wide, 2)
                self._grid.addWidget(button, 1 + row, column)
