"""Memory of napari after many runs of the dock on an image of 512 x 512, in MB.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/dock_memory.py [--runs 60]

Each run encodes the image again, because its cached features are deleted first. Memory is the
resident set of the process, measured after every tenth run, when no job is left.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

import napari
import psutil
from qtpy.QtWidgets import QApplication

from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.plugin.pytorch_loading import load_pytorch
from napari_cliper.segmentation import SegmentationConfig

EVERY = 10
LONGEST = 300.0  # seconds to wait for one run


def rest(dock: CliperWidget) -> None:
    """Process events until no job runs."""
    start = quiet = time.perf_counter()
    while time.perf_counter() - start < LONGEST and time.perf_counter() - quiet < 0.3:
        QApplication.processEvents()
        time.sleep(0.001)
        if not dock.idle:
            quiet = time.perf_counter()


def session(runs: int) -> None:
    """Print the memory after some runs."""
    load_pytorch()
    viewer = napari.Viewer(show=True)
    dock = CliperWidget(viewer)
    viewer.window.add_dock_widget(dock)
    viewer.add_image(make_scene((512, 512), 1_000_003).image, name="scene")
    dock.engine_panel.setValue(SegmentationConfig(model="demo", device="cpu"))
    dock.classes_panel.add_words("pollen grain, red blood cell, bacterium, fibre, crystal, bubble")
    process = psutil.Process()
    for number in range(1, runs + 1):
        dock.panels["memory"].forget_button.click()
        rest(dock)
        dock.run()
        rest(dock)
        assert dock.shown is not None, dock.status_panel.message.text()
        assert dock.shown.outcome.encoded
        if number == 1 or number % EVERY == 0:
            print(f"{number:3} runs: {process.memory_info().rss / 1e6:,.0f} MB", flush=True)
    dock.close_down()
    viewer.close()


def main() -> None:
    """Measure in a process that reads and changes no file of the user."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        session(given.runs)
        return
    with tempfile.TemporaryDirectory() as folder:
        places = dict.fromkeys(("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), folder)
        command = [sys.executable, __file__, "--inside", "--runs", str(given.runs)]
        subprocess.run(command, env={**os.environ, **places}, check=True)


if __name__ == "__main__":
    main()
