"""The job that the user waits for: progress, result, Cancel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import Signal

from ...io.files import FileError
from ...segmentation import InvalidInputError
from .. import ui_text
from ..job_slot import JobSlot
from ..panels.image_panel import ImagePanel
from ..panels.state_panel import StateButton
from ..panels.status_panel import StatusPanel
from ..worker import Job, Work
from .base import Controller


class MainJob(Controller):
    """Runs one job at a time, and shows it in the foot of the dock.

    Parameters
    ----------
    panel : StatusPanel
    images : ImagePanel
        Gives the image that a message belongs to.
    """

    busy_changed = Signal(bool)
    """A job has started (True) or ended (False)."""
    progressed = Signal(object)
    """Carries the `Progress` of the job."""
    finished = Signal()
    """A job has ended, and the next one may begin."""

    def __init__(self, panel: StatusPanel, images: ImagePanel) -> None:
        super().__init__(panel)
        self._panel = panel
        self._images = images
        self._image = images.image
        self._stopped = ui_text.STOPPED  # the message if the job is cancelled
        self._slot = slot = self.own(JobSlot(self))
        slot.started.connect(self._on_started)
        slot.progressed.connect(self.progressed)
        self.progressed.connect(panel.show_progress)
        slot.failed.connect(self.fail)
        slot.stopped.connect(self._on_stopped)
        slot.finished.connect(self._on_finished)
        panel.cancel.connect(self.cancel)
        images.valueChanged.connect(self._on_image)

    @property
    def job(self) -> Job | None:
        """The running job, or None."""
        return self._slot.job

    def start(
        self, work: Work, on_success: Callable[[Any], None], stopped: str = ui_text.STOPPED
    ) -> bool:
        """Start a job; returns False while another one runs.

        Parameters
        ----------
        work : callable
        on_success : callable
            Takes the result, and calls `StatusPanel.end`.
        stopped : str
            The message if the job is cancelled.
        """
        if self.idle:
            self._stopped = stopped
        return self._slot.start(work, on_success, title=ui_text.DOCK)

    def start_told(
        self, work: Work, on_success: Callable[[Any], str], stopped: str = ui_text.STOPPED
    ) -> bool:
        """Start a job; `on_success` returns the message to show, or raises an error."""
        return self.start(work, partial(self.hand_over, on_success), stopped)

    def hand_over(self, on_success: Callable[[Any], str], result: Any) -> None:
        """Show the message that `on_success` returns for a result, or the error that it raises."""
        try:
            self._panel.end_quietly(on_success(result))
        except (InvalidInputError, FileError) as error:
            self.fail(str(error))

    def ask_to_start(self, text: str, start: Callable[[], None]) -> None:
        """End the job with what the next one costs, and a button that starts it."""
        button = StateButton(ui_text.START_TILES, start, ui_text.START_TILES_TIP)
        self._panel.end(text, tone="warning", buttons=(button,))

    def cancel(self) -> None:
        """Cancel the job; nothing is changed."""
        if not self.idle:
            self._slot.stop()
            self._panel.stopping()

    def fail(self, message: str) -> None:
        """Show the error of a failed job."""
        self._panel.end(message, tone="error")
        self.say_error(message)

    def _on_image(self) -> None:
        """Remove the message, which belongs to another image now."""
        image = self._images.image
        if image is not self._image:
            self._image = image
            if self.idle:
                self._panel.show_message("")

    def _on_started(self) -> None:
        self._panel.begin()
        self.busy_changed.emit(True)

    def _on_stopped(self) -> None:
        self._panel.end(self._stopped)

    def _on_finished(self) -> None:
        self.busy_changed.emit(False)
        self.finished.emit()
