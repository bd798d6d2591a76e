#!/usr/bin/env python3
"""Set everything up and run the demo or the tests; needs only Python and this clone.

    python3 tools/dev.py demo     see the main job working
    python3 tools/dev.py test     style, types, docs and all tests; arguments go to pytest
    python3 tools/dev.py coverage the tests, measuring which lines of the engine they run
    python3 tools/dev.py setup    only what all of them have in common

The packages go into `.venv`. On Debian and Ubuntu, missing libraries for Qt and OpenGL are
installed if you are root; otherwise the command to type is printed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
STAMP = VENV / "napari-cliper-setup"

DEBIAN_PACKAGES = (
    "xvfb", "libegl1", "libgl1", "libgl1-mesa-dri", "libxkbcommon-x11-0", "libxcb-cursor0",
    "libxcb-icccm4", "libxcb-image0", "libxcb-keysyms1", "libxcb-randr0", "libxcb-render-util0",
    "libxcb-shape0", "libxcb-xinerama0", "libdbus-1-3", "libfontconfig1",
)  # fmt: skip


def run(*command: str | Path) -> None:
    """Run a command in the clone; if it fails, exit with its status."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def install_system_packages() -> None:
    """Install the libraries of Qt and OpenGL on Debian and its derivatives."""
    if not (sys.platform == "linux" and shutil.which("dpkg-query") and shutil.which("apt-get")):
        return
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Status}\n", *DEBIAN_PACKAGES],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    there = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    missing = [name for name in DEBIAN_PACKAGES if name not in there]
    if not missing:
        return
    if os.geteuid() != 0:
        print("Qt and OpenGL need packages that are missing here. Type:")
        print("    sudo apt-get install --yes", *missing)
        return
    run("apt-get", "update", "--quiet")
    run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing)


def install_python_packages() -> None:
    """Install the project and its dependencies; again only if pyproject.toml has changed."""
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    if not BIN.exists():
        try:
            venv.create(VENV, with_pip=True)
        except subprocess.CalledProcessError:
            shutil.rmtree(VENV, ignore_errors=True)
            sys.exit(
                "This Python cannot make virtual environments. "
                "On Debian: apt-get install python3-venv"
            )
    print("Installing into .venv; the first time this takes some minutes (PyTorch is large).")
    run(BIN / "python", "-m", "pip", "install", "--quiet", "--editable", ".[all,pyside,test,docs]")
    STAMP.write_text(wanted)


def check(pytest_arguments: list[str]) -> None:
    """Check style, types, the manifest and the docs, and run all tests.

    All tests run with PyQt6. Those of the plugin run again with PySide6, except tests marked
    `one_binding`: these start processes of their own, use no Qt, test results of the engine, or run
    only code that other tests run with both. Every line of the panels, the frame and the jobs runs
    with both.

    Types, manifest and docs are checked while tests wait for windows; what they print follows the
    tests. Every part runs, even if one before it fails. Exits with status 1 if any part failed.
    """
    if pytest_arguments:
        run(*pytest(*pytest_arguments))
        return
    pyside = {"QT_API": "pyside6", "PYTEST_QT_API": "pyside6"}
    site = VENV / "site"
    parts: dict[str, tuple[list[str | Path], dict[str, str]]] = {
        "style (ruff check)": ([BIN / "ruff", "check", "."], {}),
        "format (ruff format)": ([BIN / "ruff", "format", "--check", "."], {}),
        "tests (pytest, PyQt6)": (pytest(), {}),
        "tests of the plugin (pytest, PySide6)": (
            pytest("tests/plugin", "-m", "not one_binding"),
            pyside,
        ),
    }
    beside: dict[str, list[str | Path]] = {
        "types (mypy)": [BIN / "mypy"],
        "manifest (npe2)": [BIN / "npe2", "validate", "napari.yaml"],
        "docs (mkdocs)": [BIN / "mkdocs", "build", "--strict", "--site-dir", site],
    }
    outcomes = {}
    with ThreadPoolExecutor(1) as thread:
        started = {
            name: thread.submit(outcome, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for name, command in beside.items()
        }
        for name, (command, environment) in parts.items():
            print(f"\n== {name}", flush=True)
            outcomes[name] = outcome(command, env=os.environ | environment)
        for name, waiting in started.items():
            outcomes[name] = waiting.result()
            print(f"\n== {name}\n{outcomes[name].printed}", flush=True)
    print("\n== summary")
    for name, one in outcomes.items():
        print(f"{'FAILED' if one.status else 'passed'}  {one.seconds:5.0f} s  {name}")
    if any(one.status for one in outcomes.values()):
        sys.exit(1)


class Outcome(NamedTuple):
    """How a part ended; `printed` is empty if it went to the terminal."""

    status: int
    seconds: float
    printed: str


def outcome(command: list[str | Path], **options: Any) -> Outcome:
    """Run a part to its end, whatever its status."""
    start = time.monotonic()
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, check=False, text=True, **options
    )
    return Outcome(done.returncode, time.monotonic() - start, done.stdout or "")


def coverage(pytest_arguments: list[str]) -> None:
    """Run the tests once; fail if they cover less than 90 % of the engine's lines."""
    run(*pytest("--cov=napari_cliper.segmentation", "--cov-fail-under=90", *pytest_arguments))


def pytest(*arguments: str) -> list[str | Path]:
    """The command that runs tests, on a virtual display where there is no other."""
    workers = (os.cpu_count() or 1) + 1  # window tests wait for timers a quarter of their time
    processes = ("-n", str(workers), "--dist", "worksteal")
    command: list[str | Path] = [BIN / "python", "-m", "pytest", *processes, *arguments]
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        if shutil.which("xvfb-run") is None:
            sys.exit("There is no display; the tests need xvfb: apt-get install xvfb")
        command = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24", *command]
    return command


def main() -> None:
    """Do what the first argument says."""
    if sys.version_info < (3, 11):  # noqa: UP036 - any Python may start this script
        sys.exit(f"Python 3.11 or later is needed; this is {sys.version.split()[0]}.")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each process of a test would compile it all
    task, *arguments = sys.argv[1:] or [""]
    if task not in ("demo", "test", "coverage", "setup"):
        sys.exit(__doc__)
    install_system_packages()
    install_python_packages()
    if task == "demo":
        run(BIN / "napari-cliper", "demo", *arguments)
    elif task == "test":
        check(arguments)
    elif task == "coverage":
        coverage(arguments)


if __name__ == "__main__":
    main()
