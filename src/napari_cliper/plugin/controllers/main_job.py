"""The job that the user waits for: progress, result, Cancel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import Signal

from ...io.files import FileError
from ...segmentation import InvalidInputError
from .. import ui_text
from ..panels.status_panel import StatusPanel
from ..worker import Job, Work
from .base import Controller


class MainJob(Controller):
    """Runs one job at a time, and shows it in the foot of the dock.

    Parameters
    ----------
    panel : StatusPanel
    """

    busy_changed = Signal(bool)
    """A job has started (True) or ended (False)."""
    finished = Signal()
    """A job has ended, and the next one may begin."""
    failed = Signal(str)
    """A job has failed; carries the message."""

    def __init__(self, panel: StatusPanel) -> None:
        super().__init__(panel)
        self._panel = panel
        self.job: Job | None = None
        self._closed = False
        panel.cancel.connect(self.cancel)

    @property
    def idle(self) -> bool:
        """Whether no job runs."""
        return self.job is None

    def close(self) -> None:
        """Stop the job and discard its result."""
        self._closed = True
        if self.job is not None:
            self.job.stop()

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
        if self.job is not None or self._closed:
            return False
        job = Job(work, ui_text.DOCK)
        job.progressed.connect(self._panel.show_progress)
        job.succeeded.connect(on_success)
        job.failed.connect(self.fail)
        job.stopped.connect(partial(self._on_stopped, stopped))
        job.finished.connect(self._on_finished)
        self.job = job
        self._panel.begin()
        self.busy_changed.emit(True)
        job.start()
        return True

    def start_told(
        self, work: Work, on_success: Callable[[Any], str], stopped: str = ui_text.STOPPED
    ) -> bool:
        """Start a job; `on_success` returns the message to show, or raises an error."""
        return self.start(work, partial(self._hand_over, on_success), stopped)

    def _hand_over(self, on_success: Callable[[Any], str], result: Any) -> None:
        if self._closed:
            return
        try:
            self._panel.end_quietly(on_success(result))
        except (InvalidInputError, FileError) as error:
            self.fail(str(error))

    def cancel(self) -> None:
        """Cancel the job; nothing is changed."""
        if self.job is not None:
            self.job.stop()
            self._panel.stopping()

    def fail(self, message: str) -> None:
        """Show the error of a failed job."""
        if self._closed:
            return
        self._panel.end(message, tone="error")
        self.failed.emit(message)

    def _on_stopped(self, message: str) -> None:
        if not self._closed:
            self._panel.end(message)

    def _on_finished(self) -> None:
        self.job = None
        if not self._closed:
            self.busy_changed.emit(False)
            self.finished.emit()
