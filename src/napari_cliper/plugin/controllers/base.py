"""The base class of controllers: jobs, timers, messages, questions, and closing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QMessageBox, QWidget

from ...io.files import FileError
from ...segmentation import InvalidInputError
from ..job_slot import JobSlot
from ..newest_job import DELAY, NewestJob
from ..qt.keys import Keys
from ..qt.timers import Once, once
from ..worker import Work


class Part(Protocol):
    """What a controller owns: a job slot, a timer, or another controller."""

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits to run."""

    def close(self) -> None:
        """Stop it for good."""


P = TypeVar("P", bound=Part)


class Controller(QObject):
    """Handles the signals of a panel, with the viewer and the engine.

    A subclass makes its jobs and timers with `jobs`, `newest` and `timer`. The controller is idle
    when all of these are, and closes them with itself.

    Parameters
    ----------
    panel : QWidget
        Parent of this object and of its message boxes.
    """

    message = Signal(str, bool)
    """A line to show to the user, and whether it is an error."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._parent_widget = panel
        self._parts: list[Part] = []
        self.closed = False
        """Set by `close`."""
        self.keys: Keys = {}
        """Callbacks by key, for any active layer."""

    # ------------------------------------------------------------------ what runs

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits to run."""
        return all(part.idle for part in self._parts)

    def close(self) -> None:
        """Stop running jobs and disconnect all signals; the layers stay."""
        self.closed = True
        for part in self._parts:
            part.close()

    def own(self, part: P) -> P:
        """Own a part: this controller is idle only when it is, and closes it. Returns the part."""
        self._parts.append(part)
        return part

    def jobs(self) -> JobSlot:
        """Return a new slot for jobs, whose errors are shown."""
        slot = self.own(JobSlot(self))
        slot.failed.connect(self.say_error)
        return slot

    def newest(
        self,
        snapshot: Callable[[], Work | None],
        on_success: Callable[..., Any],
        on_failure: Callable[[str], Any] | None = None,
        *,
        delay: int = DELAY,
    ) -> NewestJob:
        """Return a new `NewestJob`, whose errors are shown unless there is `on_failure`."""
        job = self.own(NewestJob(self, snapshot, delay))
        job.succeeded.connect(on_success)
        job.failed.connect(on_failure or self.say_error)
        return job

    def timer(self, milliseconds: int, slot: Callable[[], None]) -> Once:
        """Return a new single-shot timer."""
        return self.own(once(self, milliseconds, slot))

    # ------------------------------------------------------------------ messages

    def say_error(self, text: str) -> None:
        """Show an error to the user."""
        self.message.emit(text, True)

    @contextmanager
    def showing_errors(self) -> Iterator[None]:
        """Show errors of input and files to the user instead of raising them."""
        try:
            yield
        except (InvalidInputError, FileError) as error:
            self.say_error(str(error))

    def ask(self, title: str, question: str) -> bool:
        """Ask a question; True if the user answers Yes."""
        answer = QMessageBox.question(self._parent_widget, title, question)
        return bool(answer == QMessageBox.StandardButton.Yes)
