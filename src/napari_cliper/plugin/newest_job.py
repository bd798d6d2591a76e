"""Run one job at a time, always on the newest snapshot."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Signal

from .qt.timers import once
from .worker import Job, Work

DELAY = 10  # milliseconds; requests within them are combined


class NewestJob(QObject):
    """Runs a job in a thread for each request, on the newest snapshot.

    Requests during a job are combined into one, which starts when the job has ended.

    Parameters
    ----------
    parent : QObject
    snapshot : callable
        Called in the window's thread when work can begin. Returns the work on what there is now,
        or None if there is nothing to do.
    delay : int
        Milliseconds before a job starts; requests within them are combined.
    """

    succeeded = Signal(object)
    """A job has ended; carries its result."""
    failed = Signal(str)
    """A job has failed; carries the message."""
    became_idle = Signal()
    """All requests are answered."""

    def __init__(
        self, parent: QObject, snapshot: Callable[[], Work | None], delay: int = DELAY
    ) -> None:
        super().__init__(parent)
        self._snapshot = snapshot
        self._job: Job | None = None
        self._closed = False
        self._again = False  # something has changed since the job began
        self._timer = once(self, delay, self._begin)

    @property
    def idle(self) -> bool:
        """Whether every request is answered."""
        return self._job is None and not self._timer.isActive()

    def request(self) -> None:
        """Request a result of the newest snapshot."""
        if self._closed:
            return
        if self._job is not None:
            self._again = True
        elif not self._timer.isActive():
            self._timer.start()

    def drop(self) -> None:
        """Drop all requests; a running job is stopped, and its result discarded."""
        self._timer.stop()
        self._again = False
        job, self._job = self._job, None
        if job is not None:
            job.stop()

    def close(self) -> None:
        """Drop all requests, and those to come."""
        self._closed = True
        self.drop()

    def _begin(self) -> None:
        self._again = False
        work = self._snapshot()
        if work is None:
            self.became_idle.emit()
            return
        self._job = job = Job(work)
        job.succeeded.connect(partial(self._on_succeeded, job))
        job.failed.connect(partial(self._on_failed, job))
        job.finished.connect(partial(self._on_finished, job))
        job.start()

    def _on_succeeded(self, job: Job, result: Any) -> None:
        if job is self._job:
            self.succeeded.emit(result)

    def _on_failed(self, job: Job, message: str) -> None:
        if job is self._job:
            self.failed.emit(message)

    def _on_finished(self, job: Job) -> None:
        if job is not self._job:
            return  # dropped
        self._job = None
        if self._again:
            self._begin()
        else:
            self.became_idle.emit()
