"""Run and Cancel, a progress bar with the stage in words, and the line that says how it went."""

from __future__ import annotations

import time

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QGridLayout,
    QProgressBar,
    QPushButton,
    QWidget,
)

from ...segmentation import Progress
from .. import ui_text
from ..qt.wrapping_label import wrapping

_BAR_STEPS = 1000


class RunPanel(QWidget):
    """Start and stop a job, and watch it.

    Emits `run` and `cancel`; is told what happens by `begin`, `show_progress` and `end`.
    """

    run = Signal()
    cancel = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run_button = QPushButton(ui_text.RUN)
        self.run_button.setDefault(True)
        self.cancel_button = QPushButton(ui_text.CANCEL)
        self.bar = QProgressBar()
        self.bar.setRange(0, _BAR_STEPS)
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.stage = wrapping()
        self.message = wrapping()
        self.message.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )

        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.run_button, 0, 0)
        grid.addWidget(self.cancel_button, 0, 1)
        grid.addWidget(self.bar, 1, 0, 1, 2)
        grid.addWidget(self.stage, 2, 0, 1, 2)
        grid.addWidget(self.message, 3, 0, 1, 2)
        grid.setColumnStretch(0, 2)
        grid.setColumnStretch(1, 1)

        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self.cancel)
        self._why_not = ""
        self._running = False
        self._stage_started = ("", 0.0)
        self._update_buttons()

    def set_ready(self, why_not: str) -> None:
        """Allow Run, or say in its tooltip why there is nothing to run."""
        self._why_not = why_not
        self._update_buttons()

    def begin(self) -> None:
        """A job has started."""
        self._running = True
        self.show_message("")
        self.bar.setRange(0, 0)
        self.stage.setText(ui_text.STARTING)
        self._update_buttons()

    def stopping(self) -> None:
        """The job was asked to end."""
        self.stage.setText(ui_text.STOPPING)
        self.cancel_button.setEnabled(False)

    def show_progress(self, progress: Progress) -> None:
        """Show the stage in words and, where it can be told, the time left."""
        stage, started = self._stage_started
        now = time.monotonic()
        if progress.stage != stage:
            started = now
            self._stage_started = (progress.stage, now)
        if not progress.total:
            self.bar.setRange(0, 0)
            self.stage.setText(ui_text.stage_text(progress, None))
            return
        share = progress.done / progress.total
        self.bar.setRange(0, _BAR_STEPS)
        self.bar.setValue(round(share * _BAR_STEPS))
        self.stage.setText(ui_text.stage_text(progress, _seconds_left(share, now - started)))

    def end_quietly(self, message: str) -> None:
        """The job has ended; say how, unless something else was said while it ran."""
        shown, style = self.message.text(), self.message.styleSheet()
        self.end(shown or message)
        self.message.setStyleSheet(style if shown else "")

    def end(self, message: str, *, error: bool = False) -> None:
        """The job has ended; say how."""
        self._running = False
        self.bar.setRange(0, _BAR_STEPS)
        self.bar.reset()
        self.stage.setText("")
        self._stage_started = ("", 0.0)
        self.show_message(message, error=error)
        self._update_buttons()

    def show_message(self, message: str, *, error: bool = False) -> None:
        """Show a lasting line below the bar."""
        self.message.setText(message)
        self.message.setStyleSheet("color: #e5484d;" if error else "")
        self.message.setVisible(bool(message))

    def _update_buttons(self) -> None:
        self.run_button.setEnabled(not self._running and not self._why_not)
        self.run_button.setToolTip(
            ui_text.RUN_WHY_NOT if self._running else self._why_not or ui_text.RUN_TIP
        )
        self.cancel_button.setEnabled(self._running)
        self.cancel_button.setToolTip(
            ui_text.CANCEL_TIP if self._running else ui_text.CANCEL_WHY_NOT
        )
        self.bar.setVisible(self._running)
        self.stage.setVisible(self._running)


def _seconds_left(share: float, elapsed: float) -> float | None:
    """The time that a stage will still take, once there is enough to judge by."""
    return None if share < 0.05 or elapsed < 1 else elapsed / share * (1 - share)
