"""The complete job by mouse and keyboard in a window as small as a laptop's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "complete_job.py"
SIX = ["csv", "geojson", "numpy", "ome-tiff", "ome-zarr", "tiff"]


@pytest.mark.one_binding
@pytest.mark.parametrize(("theme", "clicks", "keys"), [("dark", 20, 45), ("light", 0, 120)])
def test_from_words_to_six_formats_in_few_clicks_or_none_without_scrolling(
    theme, clicks, keys, tmp_path
):
    """The script refuses to click what is out of sight, and to press keys there."""
    # A display of its own: only one program at a time has the keyboard.
    display = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24"] if shutil.which("xvfb-run") else []
    alone = [] if clicks else ["--keyboard"]
    homes = dict.fromkeys(("XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(tmp_path))
    done = subprocess.run(
        [*display, sys.executable, "-W", "ignore", str(SCRIPT), theme, *alone, "--apart"],
        env={**os.environ, **homes, "NAPARI_CONFIG": str(tmp_path / "napari.yaml")},
        check=False,
        timeout=600,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["clicks"] <= clicks
    assert counts["keys"] <= keys
    assert counts["formats"] == SIX
