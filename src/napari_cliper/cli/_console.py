"""What the commands share: two streams, exit statuses, errors in words, progress bars."""

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

from ..io.files import FileError
from ..segmentation import InvalidInputError, SegmentationError, Stopped
from ..segmentation import Progress as Where

out = Console()
err = Console(stderr=True)

FAILED, WRONG_INPUT, STOPPED = 1, 2, 130


def fail(message: str, status: int) -> NoReturn:
    """Say what went wrong and end the command."""
    err.print(f"[bold red]Error:[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(status)


@contextmanager
def readable_errors(stopped: str = "Cancelled. No partial files were written.") -> Iterator[None]:
    """Turn the project's errors into one line and an exit status.

    Parameters
    ----------
    stopped : str
        What a person who stops the command is told.
    """
    try:
        yield
    except (KeyboardInterrupt, Stopped):
        err.print(stopped, soft_wrap=True)
        raise typer.Exit(STOPPED) from None
    except (InvalidInputError, typer.BadParameter) as error:
        fail(str(error), WRONG_INPUT)
    except (SegmentationError, FileError) as error:
        fail(str(error), FAILED)


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Make the first Ctrl-C something to be asked for; the second one ends the work at once.

    Python drops a KeyboardInterrupt that comes while it runs a callback of its own.
    """
    requested = threading.Event()

    def note(*_: object) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield requested.is_set
    finally:
        signal.signal(signal.SIGINT, before)


class _Amount(ProgressColumn):
    """Steps as 3/12, downloads as 40/600 MB."""

    steps, download = MofNCompleteColumn(), DownloadColumn()

    def render(self, task: Task) -> Text:
        """Choose by the task's unit."""
        column = self.download if task.fields["unit"] == "byte" else self.steps
        return column.render(task)


class Bars:
    """One bar for each stage, on the error stream."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Amount(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
        )
        self.tasks: dict[str, TaskID] = {}

    def report(self, where: Where) -> None:
        """Show where the job is; a new stage ends the one before."""
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
