"""A job on a thread: progress, stop, and errors that always reach the person.

The only file of the project's own threads (a download has one inside the engine). The
generator workers that napari and superqt offer swallow a RuntimeError, and torch's
out-of-memory error is one: here whatever is raised comes out as a signal.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal

from ..export.files import FileError
from ..segmentation import Progress, SegmentationError, Stopped

Work = Callable[[Callable[[Progress], None], Callable[[], bool]], Any]
"""What a job does: called with `report` and `should_stop`, returns the result."""

REPORT_EVERY = 0.05  # seconds; more would only keep the window busy

logger = logging.getLogger(__name__)


class Job(QObject):
    """One piece of work on a thread of Qt's pool.

    Exactly one of `succeeded`, `failed` and `stopped` is emitted, then `finished`; all in the
    thread this object lives in.

    Parameters
    ----------
    work : callable
        Takes `report` and `should_stop`.
    """

    progressed = Signal(object)
    succeeded = Signal(object)
    failed = Signal(str)
    stopped = Signal()
    finished = Signal()

    _ended = Signal(object, object)  # result, error: from the thread

    def __init__(self, work: Work, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._work = work
        self._stop = threading.Event()
        self._over = threading.Event()
        self._reported = ("", 0.0)
        self.running = False
        self.error: BaseException | None = None  # known as soon as `wait` returns
        self._ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Begin; returns at once."""
        self.running = True
        pool = QThreadPool.globalInstance()
        pool.start(_Runnable(self._run))

    def stop(self) -> None:
        """Ask the work to end; it does within a second, and `stopped` is emitted."""
        self._stop.set()

    def wait(self) -> None:
        """Hold the caller until the work has ended; the signals come later."""
        self._over.wait()

    @property
    def stopping(self) -> bool:
        """Whether the work was asked to end."""
        return self._stop.is_set()

    def _run(self) -> None:
        """Do the work, in the thread; hand over what came of it."""
        result, error = None, None
        try:
            result = self._work(self._report, self._stop.is_set)
        except BaseException as raised:  # noqa: BLE001 - every error is shown to the person
            error = self.error = raised
        self._over.set()
        try:
            self._ended.emit(result, error)
        except RuntimeError:  # the window is gone, and this object with it: nobody is waiting
            logger.debug("A job ended after its window was closed.")

    def _report(self, progress: Progress) -> None:
        """Pass progress on, but not more often than a person can see."""
        stage, when = self._reported
        now = time.monotonic()
        if progress.stage == stage and now - when < REPORT_EVERY:
            return
        self._reported = (progress.stage, now)
        try:
            self.progressed.emit(progress)
        except RuntimeError:  # as in _run
            self._stop.set()

    def _on_ended(self, result: Any, error: BaseException | None) -> None:
        self.running = False
        if error is None and self.stopping:
            self.stopped.emit()  # it came too late to be stopped, but nobody wants it
        elif error is None:
            self.succeeded.emit(result)
        elif isinstance(error, Stopped):
            self.stopped.emit()
        else:
            self.failed.emit(in_words(error))
        self.finished.emit()


class _Runnable(QRunnable):
    """What Qt's pool calls."""

    def __init__(self, run: Callable[[], None]) -> None:
        super().__init__()
        self._run = run

    def run(self) -> None:
        """Called by the pool."""
        self._run()


def in_words(error: BaseException) -> str:
    """An error for a person; one that is not of the engine's making is logged as a whole."""
    if isinstance(error, SegmentationError | FileError | OSError):
        return str(error)
    logger.error("A job failed.", exc_info=error)
    return (
        f"Something went wrong that was not foreseen: {type(error).__name__}: {error}. Nothing was "
        "changed. The details are in the log; try again, or choose other settings."
    )
