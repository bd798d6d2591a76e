"""Show long jobs in napari's activity dialog, and name them when napari asks before closing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import napari
from napari.utils import progress
from qtpy.QtCore import QObject

from .qt.focus import main_window

Ending = Literal["succeeded", "failed", "stopped"]
_STATUS: Mapping[Ending, str] = MappingProxyType(
    {"succeeded": "COMPLETED", "failed": "FAILED", "stopped": "CANCELLED"}
)
"""The names that napari has for how a job ends."""

PROVIDER = "napari-cliper"
_STEPS = 1000  # of a bar: Qt's count in 32 bits, bytes of a download do not fit


class Activity:
    """A long job in napari's activity dialog and in its question before closing.

    napari's progress bars process pending events whenever they change, so a job may end while its
    bar is being created or updated.

    Parameters
    ----------
    title : str
        What the job does.
    cancel : callable
        Stops the job; called if the user closes napari anyway.
    window : Window or None
        The napari window that asks; see `window_of`.
    """

    def __init__(self, title: str, cancel: Callable[[], None], window: Any) -> None:
        self._title = title
        self._bar: progress | None = None
        self._over = False
        self._showing = False
        self._tell_end = _register(title, cancel, window)

    def begin(self) -> None:
        """Make the bar."""
        bar = progress(total=0, desc=self._title, gui=True)  # with `gui`, none in the terminal
        if self._over:
            bar.close()
        else:
            self._bar = bar

    def show(self, stage: str, share: float | None) -> None:
        """Show the stage, and its progress from 0 to 1 if that is known."""
        bar = self._bar
        if bar is None or self._showing:
            return
        self._showing = True
        bar.set_description(stage)
        if not self._over:
            bar.total = 0 if share is None else _STEPS
            if share is not None:
                bar.update(round(share * _STEPS) - bar.n)
        self._showing = False

    def end(self, how: Ending) -> None:
        """Remove the bar, and tell napari how the job has ended."""
        self._over = True
        if self._bar is not None:
            self._bar.close()
        self._tell_end(how)


def window_of(owner: QObject | None) -> Any:
    """Return the napari window that an object is in, or that of the current viewer; else None.

    napari 0.9 has no public way from a widget to its window.
    """
    around = main_window(owner)
    if around is not None:
        return getattr(around, "_window", None)
    viewer = napari.current_viewer()
    return None if viewer is None else viewer.window


def _register(title: str, cancel: Callable[[], None], window: Any) -> Callable[[Ending], None]:
    """Add a job to those that napari asks about before closing; return a function that removes it.

    napari 0.9 has no public way for jobs that are not its own: `thread_worker` registers only
    workers of napari, by this method too. Without the method, napari closes without the question.
    """
    try:
        from napari.utils.task_status import Status  # noqa: PLC0415 - another napari may lack it

        register, update = window._register_task_status, window._update_task_status  # noqa: SLF001
    except (ImportError, AttributeError):
        return lambda _how: None
    task = register(PROVIDER, Status.BUSY, title, cancel_callback=cancel)

    def end(how: Ending) -> None:
        update(task, Status[_STATUS[how]], title)

    return end
