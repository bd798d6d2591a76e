"""The button that starts a run."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from .. import ui_text
from ..qt.wrapping_label import wrapping


class RunPanel(QWidget):
    """Emits `run`; is told by `set_ready`, `set_running` and `show_state`."""

    run = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run_button = QPushButton(ui_text.RUN)
        self.run_button.setDefault(True)
        self.state = wrapping()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.run_button)
        column.addWidget(self.state)
        self.run_button.clicked.connect(self.run)
        self._why_not = ""
        self._running = False
        self.show_state("")
        self._update()

    def set_ready(self, why_not: str) -> None:
        """Allow Run, or say in its tooltip why there is nothing to run."""
        self._why_not = why_not
        self._update()

    def set_running(self, *, running: bool) -> None:
        """Whether a job runs, beside which no other may start."""
        self._running = running
        self._update()

    def show_state(self, text: str) -> None:
        """Say why there is nothing to accept on the screen; nothing for an empty text."""
        self.state.setText(text)
        self.state.setVisible(bool(text))

    def _update(self) -> None:
        self.run_button.setEnabled(not self._running and not self._why_not)
        self.run_button.setToolTip(
            ui_text.RUN_WHY_NOT if self._running else self._why_not or ui_text.RUN_TIP
        )
