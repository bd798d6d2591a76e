"""Does a job in the dock's thread take as long as the plain call? Measures both in one run.

    .venv/bin/python benchmarks/worker.py

CLIP ViT-B/16 with random weights, 336 x 448 pixels, method CLIPer, no refiner. The cost does not
depend on the values of the weights.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from networks import save_clip
from qtpy.QtCore import QCoreApplication, QEventLoop, QTimer

from napari_cliper.plugin.worker import Job
from napari_cliper.segmentation import SegmentationConfig, Segmenter

ROUNDS = 8
IMAGE = np.random.default_rng(0).integers(0, 255, (336, 448, 3), np.uint8)


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_worker(work: Callable[[], object]) -> None:
    """Run as a job, with an event loop that ticks on as a window's does."""
    loop = QEventLoop()
    ticks = QTimer()
    ticks.start(16)
    job = Job(lambda _report, _should_stop: work())
    job.finished.connect(loop.quit)
    job.start()
    loop.exec()
    ticks.stop()


def measured() -> tuple[float, float]:
    """Median seconds of the plain call and of the job, in turns so that both see one machine."""
    application = QCoreApplication.instance() or QCoreApplication([])
    with tempfile.TemporaryDirectory() as folder:
        model = save_clip(Path(folder))
        segmenter = Segmenter(SegmentationConfig(model=str(model), refiner="none", device="cpu"))

        def embed() -> object:
            return segmenter.embed(IMAGE)

        embed()
        in_worker(embed)
        rounds = [(timed(embed), timed(lambda: in_worker(embed))) for _ in range(ROUNDS)]
    del application
    plain, worker = (statistics.median(column) for column in zip(*rounds, strict=True))
    return plain, worker


def main() -> None:
    """Print the seconds of both and their ratio, as JSON."""
    plain, worker = measured()
    print(json.dumps({"plain call": plain, "worker": worker, "ratio": worker / plain}))


if __name__ == "__main__":
    main()
