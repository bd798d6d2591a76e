"""Python programs in processes of their own that need not import PyTorch again.

On Linux they are forks of one process that has imported what most of them need and done nothing
else. For tests of what a program imports, that is no fresh process; use `subprocess` there.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

FORKS = sys.platform == "linux"
CONTEXT = multiprocessing.get_context("forkserver" if FORKS else "spawn")
COMMAND = "from napari_cliper.cli import main; main()"
"""The program `napari-cliper`."""

PRELOADED = [
    "napari_cliper.annotation.project.project",
    "napari_cliper.cli.commands",
    "napari_cliper.segmentation.refiners.pamr",
    "napari_cliper.workflows.segment_cluster",
    "napari_cliper.workflows.segment_large",
    "skimage.segmentation",
]


def ready() -> None:
    """Start the process that is forked, unless it runs."""
    if FORKS:
        from multiprocessing import forkserver  # noqa: PLC0415 - Windows has none

        CONTEXT.set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()


def start(program: str, *arguments: str | os.PathLike[str], output: Path) -> BaseProcess:
    """Start `python -c PROGRAM ARGUMENTS`, with the files `stdout` and `stderr` in a new folder."""
    ready()
    output.mkdir()
    process = CONTEXT.Process(target=_run, args=(program, [*map(os.fspath, arguments)], output))
    process.start()
    return process


def _run(program: str, arguments: list[str], output: Path) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        with (output / name).open("wb") as file:
            os.dup2(file.fileno(), number)
    sys.argv = ["-c", *arguments]
    exec(program, {"__name__": "__main__"})
