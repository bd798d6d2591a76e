"""One job at a time: started, replaced by a newer one, waited for, and stopped at the end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Signal

from .worker import Job, Work


class JobSlot(QObject):
    """Runs at most one job in a thread.

    Parameters
    ----------
    parent : QObject
    """

    started = Signal()
    """A job is about to start."""
    progressed = Signal(object)
    """Carries the `Progress` of the job."""
    failed = Signal(str)
    """A job has failed that was started without `on_failure`; carries the message."""
    stopped = Signal()
    """A job was stopped."""
    finished = Signal()
    """A job has ended, however it did, and the next one may start."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._job: Job | None = None
        self._expected: set[Job] = set()  # jobs whose result is not discarded
        self._closed = False

    @property
    def job(self) -> Job | None:
        """The running job, or None."""
        return self._job

    @property
    def idle(self) -> bool:
        """Whether no job runs."""
        return self._job is None

    def start(
        self,
        work: Work,
        on_success: Callable[[Any], None],
        on_failure: Callable[[str], None] | None = None,
        title: str = "",
    ) -> bool:
        """Start a job; returns False while another one runs.

        Parameters
        ----------
        work : callable
            See `Job`.
        on_success : callable
            Takes the result.
        on_failure : callable, optional
            Takes the message; by default, `failed` is emitted.
        title : str
            Name of the job in napari; see `Job`.
        """
        if self._job is not None or self._closed:
            return False
        self._job = job = Job(work, title, self)
        self._expected.add(job)
        job.progressed.connect(self.progressed)
        job.succeeded.connect(partial(self._hand_over, job, on_success))
        job.failed.connect(partial(self._hand_over, job, on_failure or self.failed.emit))
        job.stopped.connect(partial(self._hand_over, job, self.stopped.emit))
        job.finished.connect(partial(self._on_finished, job))
        self.started.emit()
        job.start()
        return True

    def replace(self, work: Work, on_success: Callable[[Any], None]) -> None:
        """Start a job in place of the running one, whose result is discarded."""
        self.drop()
        self.start(work, on_success)

    def stop(self) -> None:
        """Ask the running job to stop; `stopped` is emitted when it has."""
        if self._job is not None:
            self._job.stop()

    def drop(self) -> None:
        """Stop the running job and discard its result; no signal is emitted."""
        job, self._job = self._job, None
        if job is not None:
            self._expected.discard(job)
            job.stop()

    def wait(self) -> BaseException | None:
        """Block until the running job has ended, and return its error.

        The next job may then start; the result of this one is handed over later.
        """
        job, self._job = self._job, None
        if job is None:
            return None
        job.wait()
        return job.error

    def close(self) -> None:
        """Drop the running job, and start no more."""
        self._closed = True
        self.drop()

    def _hand_over(self, job: Job, use: Callable[..., None], *values: Any) -> None:
        if job in self._expected:
            use(*values)

    def _on_finished(self, job: Job) -> None:
        if job not in self._expected:
            return
        self._expected.discard(job)
        if job is self._job:
            self._job = None
        if not self._closed:
            self.finished.emit()
