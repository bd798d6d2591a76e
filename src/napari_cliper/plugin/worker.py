"""Jobs in threads, with progress, cancellation and errors that always reach the user.

All threads of the plugin are started here (a download has its own, inside the engine). The
generator workers of napari and superqt swallow a RuntimeError, which torch's out-of-memory error
is; a `Job` emits every exception as a signal.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any
from weakref import ref

from qtpy.QtCore import QCoreApplication, QObject, Qt, Signal

from ..io.files import FileError
from ..segmentation import (
    Progress,
    Report,
    SegmentationError,
    ShouldStop,
    Stopped,
    give_back_memory,
)
from . import ui_text
from .activity import Activity, Ending, window_of
from .pytorch_loading import load_triton_apart
from .qt.timers import once

Work = Callable[[Report, ShouldStop], Any]
"""The function that a job runs: takes `report` and `should_stop`, and returns the result."""

REPORT_EVERY = 0.05  # seconds; reporting more often would only keep the window busy
ANNOUNCED_AFTER = 300  # milliseconds; napari's progress bars would flicker for shorter work
STOP_WAITS = 250  # milliseconds until a job that does not stop is abandoned

logger = logging.getLogger(__name__)


class Job(QObject):
    """A function that runs in its own thread.

    Exactly one of `succeeded`, `failed` and `stopped` is emitted, then `finished`, all in the
    thread of this object. The object deletes itself when the function has ended.

    Parameters
    ----------
    work : callable
        Takes `report` and `should_stop`.
    title : str
        Name of the job. With a title, napari shows a long job in its activity dialog, and asks
        before it closes.
    owner : QObject, optional
        Its window is the one that asks. Default: that of the current viewer.
    """

    progressed = Signal(object)
    succeeded = Signal(object)
    failed = Signal(str)
    stopped = Signal()
    finished = Signal()

    _ended = Signal(object, object)  # result, error: from the thread

    def __init__(self, work: Work, title: str = "", owner: QObject | None = None) -> None:
        super().__init__(QCoreApplication.instance())  # lives until the work has ended
        self._work = work
        self._title = title
        self._window = window_of(owner) if title else None
        self._activity: Activity | None = None
        self._announcement = once(self, ANNOUNCED_AFTER, self._announce)
        self._stop = threading.Event()
        self._over = threading.Event()
        self._emitted = threading.Event()
        self._reported = ("", 0.0)
        self.running = False
        self.error: BaseException | None = None  # known as soon as `wait` returns
        self._patience = once(self, STOP_WAITS, self._abandon)
        self._ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Start the thread and return at once."""
        self.running = True
        if self._title:
            self._announcement.start()
        _JobThread(self).start()

    def stop(self) -> None:
        """Stop within a second, and emit `stopped`.

        Work that cannot be interrupted, such as an import, continues in its thread; its result is
        dropped.
        """
        self._stop.set()
        if self.running:
            self._patience.start()

    def wait(self, seconds: float | None = None) -> None:
        """Block until the work has ended or the time is up; the signals are emitted later."""
        self._over.wait(seconds)

    @property
    def over(self) -> bool:
        """Whether the work has ended."""
        return self._over.is_set()

    @property
    def stopping(self) -> bool:
        """Whether the work was asked to end."""
        return self._stop.is_set()

    def do(self) -> None:
        """Run the function, in the thread, and pass on its result or error."""
        result, error = None, None
        try:
            load_triton_apart()
            result = self._work(self._report, self._stop.is_set)
        except BaseException as raised:  # noqa: BLE001 - every error is shown to the user
            error = self.error = raised
        self._over.set()
        try:
            self._ended.emit(result, error)
        except RuntimeError:  # the application is gone, and this object with it
            logger.debug("A job ended after its window was closed.")
        finally:
            self._emitted.set()
        give_back_memory()

    def _report(self, progress: Progress) -> None:
        """Pass progress on, at most once per `REPORT_EVERY` and stage."""
        if self.stopping:
            return
        stage, when = self._reported
        now = time.monotonic()
        if progress.stage == stage and now - when < REPORT_EVERY:
            return
        self._reported = (progress.stage, now)
        try:
            self.progressed.emit(progress)
        except RuntimeError:  # as in `do`
            self._stop.set()

    def _announce(self) -> None:
        """Show the job in napari, without a reference to it, as napari never deletes its tasks."""
        itself = ref(self)

        def cancel() -> None:
            job = itself()
            if job is not None and job.running:
                job.stop()

        self.progressed.connect(self._on_progressed)
        self._activity = activity = Activity(self._title, cancel, self._window)
        activity.begin()  # must be last, because this object may be deleted during the call

    def _on_progressed(self, progress: Progress) -> None:
        if self._activity is not None:
            share = progress.done / progress.total if progress.total else None
            self._activity.show(progress.stage, share)

    def _on_ended(self, result: Any, error: BaseException | None) -> None:
        self._emitted.wait()  # until the thread has left this object, which is deleted next
        self.deleteLater()
        if not self.running:
            logger.debug("An abandoned job ended.", exc_info=error)
        elif isinstance(error, Stopped) or (self.stopping and error is None):
            self._finish("stopped")  # the work ended before it noticed the request to stop
        elif error is None:
            self._finish("succeeded", result)
        else:
            self._finish("failed", in_words(error))

    def _abandon(self) -> None:
        """Stop waiting for work that does not stop."""
        if self.running:
            self._finish("stopped")

    def _finish(self, how: Ending, *values: Any) -> None:
        self.running = False
        self._patience.stop()
        self._announcement.stop()
        if self._activity is not None:
            self._activity.end(how)
            self._activity = None
        getattr(self, how).emit(*values)
        self.finished.emit()


class _JobThread(threading.Thread):
    """The thread of a job."""

    def __init__(self, job: Job) -> None:
        super().__init__(name="napari-cliper job")
        self.job = job

    def run(self) -> None:
        """Do the job's work."""
        self.job.do()


def running_jobs() -> list[Job]:
    """The jobs of this process whose work has not ended, abandoned ones included."""
    threads = [thread for thread in threading.enumerate() if isinstance(thread, _JobThread)]
    return [thread.job for thread in threads if not thread.job.over]


def wait_for_stopped_jobs(seconds: float) -> None:
    """Block until every job that was asked to stop has ended, or the time is up."""
    end = time.monotonic() + seconds
    for job in running_jobs():
        if job.stopping:
            job.wait(max(end - time.monotonic(), 0))


def in_words(error: BaseException) -> str:
    """The message of an error; an unexpected error is also logged with its traceback."""
    if isinstance(error, SegmentationError | FileError | OSError):
        return str(error)
    logger.error("A job failed.", exc_info=error)
    return ui_text.unexpected_error(error)
