"""Measurements in processes of their own, which read and change no file of the user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HOMES = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")


def shown(*arguments: object, environment: Mapping[str, str] = os.environ) -> None:
    """Run Python with arguments; what it prints is shown."""
    with TemporaryDirectory() as home:
        subprocess.run(_python(arguments), check=True, env=_at_home(environment, home))


def numbers(
    *arguments: object,
    environment: Mapping[str, str] = os.environ,
    home: Path | None = None,
    before: Sequence[str] = (),
) -> Any:
    """Run Python with arguments; return the last line that it prints, which is JSON.

    Parameters
    ----------
    arguments : objects
        A script and its arguments.
    environment : mapping
    home : Path, optional
        The folder of settings and caches. Default: one that is empty, and removed afterwards.
    before : sequence of str
        A command that runs Python, such as `display()`.
    """
    with TemporaryDirectory() as empty:
        done = subprocess.run(
            [*before, *_python(arguments)],
            env=_at_home(environment, str(home or empty)),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return json.loads(done.stdout.splitlines()[-1])


def display() -> list[str] | None:
    """The command that gives a process a display; empty if there is one, None if none can be."""
    if sys.platform != "linux" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        return []
    if shutil.which("xvfb-run") is None:
        return None
    return ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24"]


def _python(arguments: Sequence[object]) -> list[str]:
    return [sys.executable, *map(str, arguments)]


def _at_home(environment: Mapping[str, str], home: str) -> dict[str, str]:
    return {**environment, **dict.fromkeys(HOMES, home)}
