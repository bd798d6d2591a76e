"""How long the window stands still on a large image: the longest gap of a 20 ms timer.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/window.py --side 4096

Each action waits for its jobs in threads to end. Rendering without a GPU adds to the gaps.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.plugin.pytorch_loading import load_pytorch
from napari_cliper.segmentation import SegmentationConfig

TICK = 0.02  # seconds
REST = 1.0  # seconds without a job after which an action has ended
LONGEST = 300.0  # seconds to wait for one action


class Loop:
    """The event loop of the window, and the longest time it was blocked."""

    def __init__(self, dock: CliperWidget) -> None:
        self._dock = dock
        self._last = time.perf_counter()
        self.longest = 0.0
        self._timer = QTimer()
        self._timer.setInterval(round(TICK * 1000))
        self._timer.timeout.connect(self._on_tick)
        self._timer.start()

    def _on_tick(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._last - TICK)
        self._last = now

    def rest(self) -> None:
        """Process events until no job runs."""
        application = QApplication.instance()
        start = quiet = time.perf_counter()
        while time.perf_counter() - start < LONGEST and time.perf_counter() - quiet < REST:
            application.processEvents()
            time.sleep(0.001)
            if not self._dock.idle:
                quiet = time.perf_counter()

    def measure(self, title: str, action: Callable[[], object]) -> None:
        """Print how long an action blocks the window, and how long all of it takes."""
        self.rest()
        self._last, self.longest = time.perf_counter(), 0.0
        start = time.perf_counter()
        action()
        self.rest()
        whole = time.perf_counter() - start - REST
        print(f"| {title} | {self.longest:.2f} s | {whole:.1f} s |", flush=True)


def session(side: int) -> None:
    """Print how long each action of a session on one image blocks the window."""
    load_pytorch()
    scene = make_scene((512, 512), 1_000_003, unit=256).image
    image = np.kron(scene, np.ones((side // 512, side // 512, 1), np.uint8))
    viewer = napari.Viewer()
    dock = CliperWidget(viewer)
    viewer.window.add_dock_widget(dock)
    viewer.add_image(image, name="large")
    dock.engine_panel.setValue(SegmentationConfig(model="demo", device="cpu"))
    dock.classes_panel.add_words("pollen grain, red blood cell, bacterium, fibre, crystal, bubble")
    loop = Loop(dock)
    slider = dock.threshold_panel.background_slider
    print("| Action | Window blocked for | Until all jobs have ended |\n|---|---:|---:|")
    loop.measure("Run", dock.run)
    loop.measure("Background threshold", lambda: slider.setValue(slider.value() * 0.8))
    annotations = dock.annotation_controller
    loop.measure("Annotation layer", lambda: annotations.begin(viewer.layers["large"], "large"))
    layer = annotations.all[0].layer
    layer.brush_size = side // 100

    def stroke() -> None:
        for column in range(side // 4, side // 3, side // 200):
            layer.paint((side // 4, column), 1)

    loop.measure("Stroke", stroke)
    loop.measure("Undo", layer.undo)
    loop.measure("Accept", annotations.accept)
    loop.measure("Undo of Accept", layer.undo)
    loop.measure("Accept again, and autosave", annotations.accept)
    loop.measure("Clean", annotations.clean)
    dock.close_down()
    viewer.close()


def main() -> None:
    """Measure in a process that reads and changes no file of the user."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096, help="side of the image in pixels")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        session(chosen.side)
        return
    with tempfile.TemporaryDirectory() as folder:
        names = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
        command = [sys.executable, __file__, "--side", str(chosen.side), "--child"]
        subprocess.run(command, check=True, env={**os.environ, **dict.fromkeys(names, folder)})


if __name__ == "__main__":
    main()
