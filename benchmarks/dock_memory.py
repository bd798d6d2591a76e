"""Memory of napari after many runs of the dock on an image of 512 x 512, in MB.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/dock_memory.py [--runs 60]

Each run encodes the image again, because its cached features are deleted first. Memory is the
resident set of the process, measured after every tenth run, when no job is left.
"""

from __future__ import annotations

import argparse

import processes
import psutil
from open_dock import open_dock, rest

from napari_cliper.demo.scenes import make_scene

EVERY = 10
REST = 0.3  # seconds without a job after which a run has ended


def session(runs: int) -> None:
    """Print the memory after some runs."""
    dock = open_dock()
    dock.viewer.add_image(make_scene((512, 512), 1_000_003).image, name="scene")
    process = psutil.Process()
    for number in range(1, runs + 1):
        dock.panels["memory"].forget_button.click()
        rest(dock, REST)
        dock.run()
        rest(dock, REST)
        assert dock.shown is not None, dock.status_panel.message.text()
        assert dock.shown.outcome.encoded
        if number == 1 or number % EVERY == 0:
            print(f"{number:3} runs: {process.memory_info().rss / 1e6:,.0f} MB", flush=True)
    dock.close_down()
    dock.viewer.close()


def main() -> None:
    """Measure in a process that reads and changes no file of the user."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        session(given.runs)
    else:
        processes.shown(__file__, "--child", "--runs", given.runs)


if __name__ == "__main__":
    main()
