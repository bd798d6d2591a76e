"""The Run button, and a menu of other regions and images to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from .. import ui_text
from ..qt.menu_button import MenuButton
from ..qt.theme_colours import set_tone


@dataclass(frozen=True)
class RunEntry:
    """An entry of the menu beside the button.

    Parameters
    ----------
    text, tip : str
    start : callable
        Called when the entry is chosen.
    """

    text: str
    tip: str
    start: Callable[[], None]


class RunPanel(QWidget):
    """Emits `run`; updated by `set_ready` and `set_running`."""

    run = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._entries: list[Callable[[], Sequence[RunEntry]]] = []
        self.row = MenuButton(ui_text.RUN, ui_text.RUN_MENU_NAME)
        self.run_button, self.menu_button, self.menu = (
            self.row.button,
            self.row.arrow,
            self.row.menu,
        )
        self.run_button.setDefault(True)
        set_tone(self.run_button, "primary")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.row)
        self.row.clicked.connect(self.run)
        self.menu.aboutToShow.connect(self._fill)
        self._why_not = ""
        self._running = False
        self._update()

    def add_entries(self, entries: Callable[[], Sequence[RunEntry]]) -> None:
        """Add entries to the menu; `entries` returns them, each time the menu is opened."""
        self._entries.append(entries)

    def set_ready(self, why_not: str) -> None:
        """Enable Run, or disable it with the reason as tooltip."""
        self._why_not = why_not
        self._update()

    def set_running(self, *, running: bool) -> None:
        """Disable Run while a job runs."""
        self._running = running
        self._update()

    def _fill(self) -> None:
        self.menu.clear()
        for entry in chain.from_iterable(entries() for entries in self._entries):
            action = self.menu.addAction(entry.text)
            action.setToolTip(entry.tip)
            action.triggered.connect(lambda _checked=False, start=entry.start: start())

    def _update(self) -> None:
        why_not = ui_text.RUN_WHY_NOT if self._running else self._why_not
        self.run_button.setEnabled(not why_not)
        self.run_button.setToolTip(why_not or ui_text.RUN_TIP)
        self.menu_button.setEnabled(not self._running)
        self.menu_button.setToolTip(ui_text.RUN_WHY_NOT if self._running else ui_text.RUN_MENU_TIP)
