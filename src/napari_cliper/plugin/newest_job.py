"""Run one job at a time, always on the newest snapshot."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, Signal

from .job_slot import JobSlot
from .qt.timers import once
from .worker import Work

DELAY = 10  # milliseconds; requests within them are combined


class NewestJob(JobSlot):
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
    became_idle = Signal()
    """All requests are answered."""

    def __init__(
        self, parent: QObject, snapshot: Callable[[], Work | None], delay: int = DELAY
    ) -> None:
        super().__init__(parent)
        self._snapshot = snapshot
        self._again = False  # something has changed since the job began
        self._timer = once(self, delay, self._begin)
        self.finished.connect(self._go_on)

    @property
    def idle(self) -> bool:
        """Whether every request is answered."""
        return super().idle and not self._timer.isActive()

    def request(self) -> None:
        """Request a result of the newest snapshot."""
        if self._closed:
            return
        if self.job is not None:
            self._again = True
        elif not self._timer.isActive():
            self._timer.start()

    def drop(self) -> None:
        """Drop all requests; a running job is stopped, and its result discarded."""
        self._timer.stop()
        self._again = False
        super().drop()

    def _begin(self) -> None:
        self._again = False
        work = self._snapshot()
        if work is None:
            self.became_idle.emit()
        else:
            self.start(work, self.succeeded.emit)

    def _go_on(self) -> None:
        if self._again:
            self._begin()
        else:
            self.became_idle.emit()
