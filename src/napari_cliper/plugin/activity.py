"""Long jobs in napari's activity dialog, and in its question before closing."""

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

    napari's bars let the window work off its events whenever they change: a job may end while its
    bar is being made or moved.

    Parameters
    ----------
    title : str
        What the job does.
    cancel : callable
        Stops the job; called when napari closes nevertheless.
    """

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        self._title = title
        self._bar: progress | None = None
        self._over = False
        self._showing = False
        # napari 0.9.2 has no public way for jobs that are not its own: `thread_worker` registers
        # only workers of napari, by this method too.
        viewer = napari.current_viewer()
        self._window: Any = None if viewer is None else viewer.window
        self._task = (
            None
            if self._window is None
            else self._window._register_task_status(  # noqa: SLF001
                PROVIDER, Status.BUSY, title, cancel_callback=cancel
            )
        )

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

    def end(self, status: Status) -> None:
        """Remove the bar, and set how the job has ended."""
        self._over = True
        if self._bar is not None:
            self._bar.close()
        if self._window is not None:
            self._window._update_task_status(self._task, status, self._title)  # noqa: SLF001
