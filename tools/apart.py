"""A script that opens the window starts it in a process that touches nothing of the user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

APART = "--apart"
HOMES = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")


def run_apart() -> None:
    """Run this script again with empty settings, data and caches; exit with its status."""
    with TemporaryDirectory() as home:
        own = {**dict.fromkeys(HOMES, home), "NAPARI_CONFIG": str(Path(home) / "napari.yaml")}
        command = [sys.executable, *sys.orig_argv[1:], APART]
        status = subprocess.run(command, env={**os.environ, **own}, check=False).returncode
    sys.exit(status)
