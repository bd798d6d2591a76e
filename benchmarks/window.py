"""How long the window stands still on a large image: the longest gap of a 20 ms timer.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/window.py --side 4096
    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/window.py --side 20000 --lazy

With ``--lazy``, the image is a dask pyramid that is never whole in memory, and the runs are of
what is visible, in tiles; with ``--whole``, of all of it, in few large tiles. Each action waits for
its jobs in threads to end. Rendering without a GPU adds to the gaps: ``--still`` measures a window
whose canvas is not drawn. The CPU time is that of the window's thread between two ticks, which
other programs do not change. The last line is the largest memory of the process.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import processes
from open_dock import open_dock, rest
from qtpy.QtCore import QTimer

from napari_cliper.annotation.stored_edits import StoredEdits
from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin.dock import CliperWidget

TICK = 0.02  # seconds
REST = 1.0  # seconds without a job after which an action has ended
FEW_TILES = 450.0  # object size in pixels, for tiles of 1980 px: 196 in an image of 20,000 px


class Loop:
    """The event loop of the window, and the longest time it was blocked."""

    def __init__(self, dock: CliperWidget) -> None:
        self._dock = dock
        self._last, self._cpu = time.perf_counter(), time.thread_time()
        self.longest = self.most_cpu = 0.0
        self._timer = QTimer()
        self._timer.setInterval(round(TICK * 1000))
        self._timer.timeout.connect(self._on_tick)
        self._timer.start()

    def _on_tick(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        self.longest = max(self.longest, now - self._last - TICK)
        self.most_cpu = max(self.most_cpu, cpu - self._cpu)
        self._last, self._cpu = now, cpu

    def measure(self, title: str, action: Callable[[], object]) -> None:
        """Print how long an action blocks the window, and how long all of it takes."""
        rest(self._dock, REST)
        self._last, self._cpu = time.perf_counter(), time.thread_time()
        self.longest = self.most_cpu = 0.0
        start = time.perf_counter()
        action()
        rest(self._dock, REST)
        whole = time.perf_counter() - start - REST
        blocked = f"{self.longest:.2f} s | {self.most_cpu:.2f} s"
        print(f"| {title} | {blocked} | {whole:.1f} s |", flush=True)


def pyramid(side: int) -> list[Any]:
    """Return the levels of a lazy image of scenes, each a quarter as wide as the one before."""
    scene = make_scene((1000, 1000), 1_000_003, unit=256).image
    levels = []
    while side > 1000:
        steps = 1000 // len(scene)
        wide = np.tile(scene, (steps, steps, 1))

        def block(block_info: Any = None, wide: Any = wide) -> Any:
            rows, columns, _ = block_info[None]["chunk-shape"]
            return wide[:rows, :columns]

        chunks = da.core.normalize_chunks((1000, 1000, 3), (side, side, 3))
        levels.append(
            da.map_blocks(block, chunks=chunks, dtype=np.uint8, meta=np.zeros((0, 0, 0), np.uint8))
        )
        scene, side = scene[::4, ::4], side // 4
    return levels


def look_at(dock: CliperWidget, row: float, column: float, zoom: float) -> None:
    """Move the camera."""
    camera = dock.viewer.scene.camera
    camera.zoom = zoom
    camera.center = (0, row, column)


def session(side: int, *, lazy: bool, whole: bool, still: bool) -> None:
    """Print how long each action of a session on one image blocks the window."""
    dock = open_dock(show=not still)
    viewer = dock.viewer
    if lazy:
        viewer.add_image(pyramid(side), name="large", multiscale=True, rgb=True)
    else:
        scene = make_scene((512, 512), 1_000_003, unit=256).image
        image = np.kron(scene, np.ones((side // 512, side // 512, 1), np.uint8))
        viewer.add_image(image, name="large")
    loop = Loop(dock)
    slider = dock.threshold_panel.background_slider
    columns = ("Action", "Window blocked for", "of it CPU time", "Until all jobs have ended")
    print(f"| {' | '.join(columns)} |\n|---|---:|---:|---:|")
    middle = side / 2
    if lazy:
        loop.measure("Zoom in", lambda: look_at(dock, middle, middle, 1.0))
        if whole:
            dock.tiles_panel.setValue(FEW_TILES)
        else:
            dock.image_panel.choose("visible", current_plane=True)
            dock.tiles.turn_on()
    loop.measure("Run", partial(dock.run_controller.run, agreed=True))
    assert dock.shown is not None, dock.status_panel.message.text()
    loop.measure("Background threshold", lambda: slider.setValue(slider.value() * 0.8))
    annotations = dock.annotation_controller
    loop.measure("Annotation layer", lambda: annotations.begin(viewer.layers["large"], "large"))
    annotation = annotations.all[0]
    layer = annotation.layer
    layer.brush_size = min(side // 100, 40)

    def stroke() -> None:
        edits, corner = annotation.edits, [0, 0]
        if isinstance(edits, StoredEdits):  # the layer is what is visible
            corner = [part.start for part in edits.region]
        start = middle - 300
        with layer.block_history():  # one step, as a drag with the brush is
            for column in range(0, 600, 20):
                layer.paint((start - corner[0], start + column - corner[1]), 1)

    loop.measure("Stroke", stroke)
    loop.measure("Undo", layer.undo)
    loop.measure("Accept", annotations.accept)
    loop.measure("Undo accept", layer.undo)
    loop.measure("Accept again, and autosave", annotations.accept)
    loop.measure("Stroke on accepted pixels", stroke)
    loop.measure("Undo the stroke", layer.undo)
    if lazy:
        loop.measure("Move the view", lambda: look_at(dock, middle + 4000, middle, 1.0))
        loop.measure("Undo what is out of sight", layer.undo)
        loop.measure("Redo it", layer.redo)
        loop.measure("Move back", lambda: look_at(dock, middle, middle, 1.0))
        loop.measure("Zoom out", viewer.reset_view)
        loop.measure("Zoom in again", lambda: look_at(dock, middle, middle, 1.0))
    loop.measure("Clean", annotations.clean)
    rest(dock, REST)
    dock.close_down()
    viewer.close()
    files = [path for path in Path(os.environ["XDG_DATA_HOME"]).rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\n{len(files)} files saved, {size:.1f} MB; at most {memory:.2f} GB of memory")


def main() -> None:
    """Measure in a process that reads and changes no file of the user."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096, help="side of the image in pixels")
    parser.add_argument("--lazy", action="store_true", help="a pyramid that is read lazily")
    parser.add_argument("--whole", action="store_true", help="run all of a lazy image")
    parser.add_argument("--still", action="store_true", help="without drawing the canvas")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        session(chosen.side, lazy=chosen.lazy, whole=chosen.whole, still=chosen.still)
        return
    processes.shown(__file__, *sys.argv[1:], "--child")


if __name__ == "__main__":
    main()
