"""Console output shared by all commands: streams, exit statuses, errors and progress bars."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ..io.files import FileAccessError, FileError
from ..segmentation import InvalidInputError, SegmentationError, Stopped
from ..segmentation import Progress as Where

out = Console()
err = Console(stderr=True)

FAILED, WRONG_INPUT, STOPPED = 1, 2, 130

STOPPED_KEPT = (
    "Stopped. Finished images are kept, and no partial files were written. To continue, give the "
    "same command again, without --overwrite."
)
"""Message of commands with a journal."""


def fail(message: str, status: int) -> NoReturn:
    """Print an error to the error stream and exit with `status`."""
    err.print(f"[bold red]Error:[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(status)


@contextmanager
def readable_errors(stopped: str = "Cancelled. No partial files were written.") -> Iterator[None]:
    """Print the project's errors as one line and exit with the matching status.

    Parameters
    ----------
    stopped : str
        Message printed when the user stops the command.
    """
    try:
        yield
    except (KeyboardInterrupt, Stopped):
        err.print(stopped, soft_wrap=True)
        raise typer.Exit(STOPPED) from None
    except (InvalidInputError, typer.BadParameter) as error:
        fail(str(error), WRONG_INPUT)
    except (SegmentationError, FileAccessError) as error:
        fail(str(error), FAILED)
    except FileError as error:
        fail(str(error), WRONG_INPUT)


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a flag; the second one raises KeyboardInterrupt.

    A flag, because Python drops a KeyboardInterrupt raised inside some of its own callbacks.

    Yields
    ------
    callable
        Returns True once Ctrl-C was pressed.
    """
    requested = threading.Event()

    def on_interrupt(*_: object) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield requested.is_set
    finally:
        signal.signal(signal.SIGINT, before)


class _DoneColumn(ProgressColumn):
    """The amount done: steps as 3/12, downloads as 40/600 MB."""

    steps, download = MofNCompleteColumn(), DownloadColumn()

    def render(self, task: Task) -> Text:
        """Render steps or bytes, by the task's unit."""
        column = self.download if task.fields["unit"] == "byte" else self.steps
        return column.render(task)


class Bars:
    """One progress bar per stage, on the error stream."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _DoneColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
        )
        self.tasks: dict[str, TaskID] = {}

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Hide the bars while something else is printed."""
        running = self.progress.live.is_started and err.is_terminal
        if running:
            self.progress.stop()
        try:
            yield
        finally:
            if running:
                self.progress.start()

    def report(self, where: Where) -> None:
        """Update the bar of the current stage; a new stage hides the earlier bars."""
        if where.stage not in self.tasks:
            for task in self.tasks.values():
                total = self.progress.tasks[task].total
                self.progress.update(task, completed=total, visible=False)
            self.tasks[where.stage] = self.progress.add_task(where.stage, unit=where.unit)
        self.progress.update(
            self.tasks[where.stage],
            completed=where.done,
            total=where.total or None,
            visible=True,
        )
