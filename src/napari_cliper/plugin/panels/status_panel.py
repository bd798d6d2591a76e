"""The running job and the last message: a progress bar, Cancel, and lines of text."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QFrame,
    QGridLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from ...segmentation import Progress
from .. import ui_text
from ..qt.theme_colours import set_tone
from ..qt.wrapping_label import wrapping
from .state_panel import StateButton

MessageTone = Literal["", "warning", "error"]
_BAR_STEPS = 1000
_LINES = 3  # of the message, without scrolling
_GAP = 2  # pixels between the rows


class StatusPanel(QWidget):
    """The foot of the dock.

    Emits `cancel`; updated by `begin`, `show_progress`, `end` and `show_message`.
    """

    cancel = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.cancel_button = QPushButton(ui_text.CANCEL)
        self.bar = QProgressBar()
        self.bar.setRange(0, _BAR_STEPS)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        policy = self.bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(policy)
        self.stage = QElidingLabel()
        self.message = wrapping()
        self.message.setMinimumHeight(1)  # or it would ask for that of a narrower text
        self.message.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.lines = QScrollArea()
        self.lines.setAccessibleName(ui_text.MESSAGE_NAME)
        self.lines.setWidget(self.message)
        self.lines.setWidgetResizable(True)
        self.lines.setFrameShape(QFrame.Shape.NoFrame)
        self.lines.setMinimumHeight(1)
        self.lines.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(_GAP)
        grid.setRowStretch(2, 1)
        grid.addWidget(self.bar, 0, 0, 1, 2)
        grid.addWidget(self.stage, 1, 0)
        grid.addWidget(self.lines, 2, 0)
        grid.addWidget(self.cancel_button, 1, 1, 2, 1, Qt.AlignmentFlag.AlignTop)
        self._beside = QWidget()  # hidden while Cancel is there
        self._buttons = QVBoxLayout(self._beside)
        self._buttons.setContentsMargins(0, 0, 0, 0)
        self._buttons.setSpacing(_GAP)
        grid.addWidget(self._beside, 2, 1, Qt.AlignmentFlag.AlignTop)
        self.buttons: list[QPushButton] = []
        grid.setColumnStretch(0, 1)

        self.cancel_button.clicked.connect(self.cancel)
        self.running = False
        self._stage_started = ("", 0.0)
        self._update()

    def begin(self) -> None:
        """Show that a job has started."""
        self.running = True
        self.show_message("")
        self.bar.setRange(0, 0)
        self.stage.setText(ui_text.STARTING)
        self._update()

    def stopping(self) -> None:
        """Show that the job is being cancelled."""
        self.stage.setText(ui_text.STOPPING)
        self.cancel_button.setEnabled(False)

    def show_progress(self, progress: Progress) -> None:
        """Show the stage of the job and, if it can be estimated, the time left."""
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
        """End the job, and show its message unless another one was shown while it ran."""
        if not self.message.text():
            self.show_message(message)
        self._stop()

    def end(
        self, message: str, *, tone: MessageTone = "", buttons: Sequence[StateButton] = ()
    ) -> None:
        """End the job, and show its message with buttons for what to do next."""
        self.show_message(message, tone=tone, buttons=buttons)
        self._stop()

    def _stop(self) -> None:
        self.running = False
        self._update()  # hides the bar, which otherwise has the window drawn at once
        self.bar.setRange(0, _BAR_STEPS)
        self.bar.reset()
        self.stage.setText("")
        self._stage_started = ("", 0.0)

    def show_message(
        self, message: str, *, tone: MessageTone = "", buttons: Sequence[StateButton] = ()
    ) -> None:
        """Show lines that stay until the next ones, with buttons beside them.

        The buttons are hidden while a job runs.
        """
        self.message.setText(message)
        set_tone(self.message, tone)
        for button in self.buttons:
            self._buttons.removeWidget(button)
            button.hide()
            button.deleteLater()
        self.buttons = [one.made() for one in buttons]
        for button in self.buttons:
            self._buttons.addWidget(button)
        self.lines.ensureVisible(0, 0)

    def _fit_lines(self) -> None:
        """Fit the height to whole lines in the font of napari's style sheet.

        It stays while a job runs, so that no page moves: the stage takes room of the message.
        """
        self.message.ensurePolished()
        around = self.message.contentsMargins()
        margins = around.top() + around.bottom() + 2 * self.lines.frameWidth() + 2
        lines = _LINES * (self.message.fontMetrics().lineSpacing() + 1) + margins
        self.setFixedHeight(self.bar.height() + _GAP + lines)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Apply the style sheet."""
        self._fit_lines()
        super().showEvent(event)

    def _update(self) -> None:
        self.cancel_button.setEnabled(self.running)
        self.cancel_button.setToolTip(
            ui_text.CANCEL_TIP if self.running else ui_text.CANCEL_WHY_NOT
        )
        self.bar.setVisible(self.running)
        self.stage.setVisible(self.running)
        self.cancel_button.setVisible(self.running)
        self._beside.setVisible(not self.running)


def _seconds_left(share: float, elapsed: float) -> float | None:
    """The estimated time left of a stage in seconds; None while it cannot be estimated."""
    return None if share < 0.05 or elapsed < 1 else elapsed / share * (1 - share)
