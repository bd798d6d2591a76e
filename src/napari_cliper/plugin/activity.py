"""Long jobs as napari shows them: in its activity dialog and in its question before closing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari
from napari.utils import progress
from napari.utils.task_status import Status

PROVIDER = "napari-cliper"
_STEPS = 1000  # of a bar: Qt's count in 32 bits, bytes of a download do not fit


class Activity:
    """One long job in napari's activity dialog, and among the tasks that closing would end.

    Parameters
    ----------
    title : str
        What the job does.
    cancel : callable
        Stops the job; called when napari closes all the same.
    """

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        self._title = title
        # With `gui` nothing is printed to the terminal.
        self._bar = progress(total=0, desc=title, gui=True)
        # The method has no public name; napari's own `thread_worker` uses it in the same way.
        viewer = napari.current_viewer()
        self._window: Any = None if viewer is None else viewer.window
        self._task = (
            None
            if self._window is None
            else self._window._register_task_status(  # noqa: SLF001
                PROVIDER, Status.BUSY, title, cancel_callback=cancel
            )
        )

    def show(self, stage: str, share: float | None) -> None:
        """Show the stage, and its share from 0 to 1 where that is known."""
        self._bar.set_description(stage)
        self._bar.total = 0 if share is None else _STEPS
        if share is not None:
            self._bar.update(round(share * _STEPS) - self._bar.n)

    def end(self, status: Status) -> None:
        """Take the bar away, and say how the job has ended."""
        self._bar.close()
        if self._window is not None:
            self._window._update_task_status(self._task, status, self._title)  # noqa: SLF001
