"""A stack in a project: time for each plane, memory, and what a stroke costs, as ratios.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/stack.py --planes 60 --side 1024

Compares the planes of a stack with single images of the same size, and the stack with one of half
as many planes, in a process of its own. Times are CPU times of the whole process, so that other
programs on the machine count less. The demo model encodes each plane as a whole.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import processes
import psutil
import tifffile
from napari.layers import Image, Labels
from open_dock import open_dock, rest, wait
from reports import table

from napari_cliper.demo.scenes import make_scene

REST = 0.5  # seconds without a job after which an action has ended
STROKE = 1.2  # seconds in which a stroke is taken; it is saved after 1.5 s
SINGLES = STROKES = 3


class Session:
    """A dock with a project of one stack."""

    def __init__(self, folder: Path, planes: int, side: int) -> None:
        self.scene = make_scene((side, side), 1_000_003, unit=128).image
        path = folder / "stack.tif"
        pages = (self.plane(z) for z in range(planes))
        tifffile.imwrite(
            path, pages, shape=(planes, side, side, 3), dtype=np.uint8, photometric="rgb"
        )
        self.dock = dock = open_dock(refiner="none")
        self.viewer = dock.viewer
        self.rest()
        dock.project_controller.create(folder / "project", [path])
        while (layer := dock.project_controller.layer) is None:
            wait(0.1)
        self.rest()
        self.stack = layer
        self.choose(self.stack)

    def plane(self, z: int) -> np.ndarray:
        """Plane z, (Y, X, 3) uint8: a scene that moves; any number gives another image."""
        return np.roll(self.scene, 7 * z, axis=1)

    def choose(self, layer: Image) -> None:
        """Choose the image to run on."""
        self.dock.image_panel.images.setCurrentText(layer.name)

    def rest(self) -> None:
        """Process events until no job runs."""
        rest(self.dock, REST)

    def cpu(self, action: Callable[[], object]) -> float:
        """Return the CPU time of an action with all that follows it, in seconds."""
        start = time.process_time()
        action()
        self.rest()
        return time.process_time() - start

    def singles(self, first: int) -> float:
        """Return the median CPU time of a run of a single image; `first` gives other pixels."""
        times = []
        for number in range(first, first + SINGLES):
            layer = self.viewer.add_image(self.plane(-number), name=f"single {number}")
            self.choose(layer)
            self.rest()
            times.append(self.cpu(self.dock.run))
            layer.visible = False
        return statistics.median(times)

    def strokes(self, image: Image) -> tuple[float, float]:
        """Return the median CPU times of a stroke of the brush, and of saving it."""
        layer = self.dock.annotation_controller.begin(image, image.name).layer
        layer.brush_size = 20
        plane = tuple(length // 2 for length in layer.data.shape[:-2])
        side, strokes, saves = layer.data.shape[-1], [], []
        for number in range(STROKES):
            self.rest()
            idle = time.process_time()
            wait(STROKE)  # what the window does without a stroke
            idle = time.process_time() - idle
            start = time.process_time()
            for column in range(side // 4, side // 2, 10):
                layer.paint((*plane, side // 4 + 5 * number, column), 1 + number % 2)
            wait(STROKE)
            strokes.append(time.process_time() - start - idle)
            saves.append(self.cpu(lambda: None))
        return statistics.median(strokes), statistics.median(saves)

    def held(self) -> int:
        """Return the bytes of all labels in the window, with edit masks and last known values."""
        layers = [one for one in self.viewer.layers if isinstance(one, Labels)]
        annotated = sum(int(one.layer.data.size) for one in self.dock.annotation_controller.all)
        return sum(int(one.data.nbytes) for one in layers) + 3 * annotated


def measure(planes: int, side: int, folder: Path) -> dict[str, float]:
    """Measure a stack in this process."""
    session, process = Session(folder, planes, side), psutil.Process()
    session.singles(1)  # what is made once: networks, colours, windows
    session.choose(session.stack)
    before = process.memory_info().rss
    seconds = session.cpu(lambda: session.dock.all_planes.run(0)) / planes
    after = process.memory_info().rss
    found = {"plane": seconds, "single": session.singles(1 + SINGLES)}
    found["memory"] = after - before - session.held()
    found["memory"] -= session.dock.result.kept.nbytes  # scores that are kept, at most 1 GB
    found["stroke"], found["save"] = session.strokes(session.stack)
    small = session.viewer.add_image(session.plane(0), name="small")
    found["stroke on one"], found["save of one"] = session.strokes(small)
    session.dock.close_down()
    session.viewer.close()
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planes", type=int, default=12)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        folder = Path(os.environ["XDG_DATA_HOME"])
        print(json.dumps(measure(chosen.planes, chosen.side, folder)))
        return
    half, whole = (
        processes.numbers(__file__, "--child", "--planes", planes, "--side", chosen.side)
        for planes in (chosen.planes // 2, chosen.planes)
    )
    plane, more = 3 * chosen.side**2, chosen.planes - chosen.planes // 2
    growth = (whole["memory"] - half["memory"]) / more
    rows = (
        ("time of a plane, to a single image", whole["plane"], whole["single"], "s"),
        ("memory for one more plane, to its pixels", growth / 1e6, plane / 1e6, "MB"),
        ("a stroke, to one on a single image", whole["stroke"], whole["stroke on one"], "s"),
        ("a stroke, to half as many planes", whole["stroke"], half["stroke"], "s"),
        ("saving it, to a single image", whole["save"], whole["save of one"], "s"),
    )
    cells = [(title, f"{one:.3g} {unit}", f"{one / other:.2f}") for title, one, other, unit in rows]
    print(table((f"{chosen.planes} planes of {chosen.side} x {chosen.side}", "", "Ratio"), cells))


if __name__ == "__main__":
    main()
