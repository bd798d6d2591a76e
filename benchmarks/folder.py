"""Throughput and memory of `segment` over a folder, against a plain loop over the images.

    python benchmarks/folder.py [--images 200] [--many 1000] [--rounds 3] [--killed 20]
        [--side 2048] [--output DIR]

The loop is that of `segment` at commit 783d1df, before steps overlapped: check all images, then
one after the other: read, encode, score, label, draw, write, with PyTorch's own threads. Each run
is a process of its own that has loaded its networks before the clock starts; both ways take turns,
on an idle machine and beside one process that keeps a core busy. Images: scenes of 512 x 512, demo
model, PAMR. Ratios count; times depend on the machine.

Then the command itself: killed (SIGKILL) five times at random moments and started again; with two
workers, one of which is killed; and with two workers on one image in tiles, 2048 x 2048. The files
must be those of a run without interruption or workers. Writes the numbers as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import processes

HERE = Path(__file__).parent
SHAPE = (512, 512)
WORDS = "nucleus, crystal, pollen grain, fibre"

LIMITS = {
    "idle": ("at least", 1.3),
    "busy": ("at least", 3.0),
    "memory": ("at most", 1.05),
}

KILLS = 5

OPTIONS = ("--labels", WORDS, "--model", "demo", "--refiner", "pamr", "--device", "cpu")
TILES = ("--tile", "256", "--class-threshold", "0.3")


# ---------------------------------------------------------------------- in a process of its own


def loop(images: list[Path], output: Path) -> float:
    """Segment as at commit 783d1df; return the seconds."""
    from napari_cliper.io.files import whole_files  # noqa: PLC0415 - after the environment is set
    from napari_cliper.io.images import read_image_file  # noqa: PLC0415
    from napari_cliper.io.json_records import write_json  # noqa: PLC0415
    from napari_cliper.io.writers.overlay import overlay  # noqa: PLC0415
    from napari_cliper.io.writers.tiff import write_label_tiff  # noqa: PLC0415
    from napari_cliper.labels.label_class import rows_of  # noqa: PLC0415
    from napari_cliper.labels.labelled_image import LabelledImage  # noqa: PLC0415
    from napari_cliper.labels.regions import label_counts  # noqa: PLC0415
    from napari_cliper.segmentation import (  # noqa: PLC0415
        LiveLabels,
        SegmentationConfig,
        Segmenter,
        parse_classes,
    )

    classes = parse_classes(WORDS)
    segmenter = Segmenter(SegmentationConfig(model="demo", refiner="pamr", device="cpu"))
    segmenter.score(segmenter.embed(read_image_file(images[0])), classes).to_labels()
    thresholds = segmenter.settings.thresholds
    start = time.perf_counter()
    for path in images:
        segmenter.check(read_image_file(path))
    for path in images:
        embedding = segmenter.embed(read_image_file(path))
        scores = segmenter.score(embedding, classes)
        rows = dict(enumerate(rows_of(scores.classes), 1))
        labels = {stage: scores.to_labels(thresholds, stage=stage) for stage in scores.stages}
        final = labels[scores.stages[-1]]
        counts = label_counts(final, len(rows) + 1).tolist()
        live = LiveLabels(scores, scores.stages[-1], limit=0)
        uncertainty = float(live.uncertainty(thresholds).mean(dtype="float64"))
        record = {**scores.record, "pixels": counts, "uncertainty": uncertainty}
        with whole_files(output) as folder:
            for stage, array in labels.items():
                image = LabelledImage(
                    path.stem, array, rows, image=embedding.image.pixels, image_file=path.name
                )
                write_label_tiff(folder / f"{path.stem}_{stage}.tif", image)
                if array is final:
                    overlay(image).save(folder / f"{path.stem}_overlay.png")
            write_json(folder / f"{path.stem}.json", record)
    return time.perf_counter() - start


def pipeline(images: list[Path], output: Path) -> float:
    """Segment as `napari-cliper segment` does; return the seconds."""
    from napari_cliper.segmentation import wait_passively  # noqa: PLC0415 - before PyTorch

    wait_passively()
    from napari_cliper.io.images import read_image_file  # noqa: PLC0415
    from napari_cliper.segmentation import (  # noqa: PLC0415
        Monitor,
        SegmentationConfig,
        Segmenter,
        TileMemory,
        parse_classes,
    )
    from napari_cliper.workflows.image_sources import find_images  # noqa: PLC0415
    from napari_cliper.workflows.segment_files import SegmentJob  # noqa: PLC0415
    from napari_cliper.workflows.segment_pipeline import on_this_machine  # noqa: PLC0415
    from napari_cliper.workflows.segment_run import SegmentRun  # noqa: PLC0415

    classes = parse_classes(WORDS)
    config = SegmentationConfig(model="demo", refiner="pamr", device="cpu")
    segmenter = Segmenter(config, tile_store=TileMemory())
    segmenter.score(segmenter.embed(read_image_file(images[0])), classes).to_labels()
    job = SegmentJob(config, classes, output, segmenter.settings.thresholds, TileMemory())
    start = time.perf_counter()
    run = SegmentRun(segmenter, job, find_images(images, output))
    for outcome in run.outcomes(on_this_machine, Monitor(), lambda note: None):
        assert not outcome.error
    return time.perf_counter() - start


WAYS = {"loop": loop, "pipeline": pipeline}


def one_run(way: str, folder: Path, count: int) -> None:
    """Print what one way needs for the first images of a folder."""
    images = sorted(folder.glob("*.png"))[:count]
    with tempfile.TemporaryDirectory(dir=folder) as output:
        seconds = WAYS[way](images, Path(output))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"per second": len(images) / seconds, "peak MB": peak}))


# ---------------------------------------------------------------------- all of it


def measured(way: str, folder: Path, count: int) -> dict[str, float]:
    """Run one way in a process of its own, with the threads that PyTorch takes by itself."""
    environment = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name}
    environment.pop("OMP_WAIT_POLICY", None)
    found: dict[str, float] = processes.numbers(
        __file__, "--way", way, "--folder", folder, "--images", count, environment=environment
    )
    return found


@contextmanager
def busy_core() -> Iterator[None]:
    """Context manager: another process keeps a core busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            yield
        finally:
            other.kill()


def draw(folder: Path, count: int) -> None:
    """Draw scenes; every tenth is new, the others are mirrored or turned."""
    import numpy as np  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    from napari_cliper.demo.scenes import make_scene  # noqa: PLC0415

    for index in range(count):
        if index % 10 == 0:
            image = make_scene(SHAPE, 1_000_001 + index).image
        image = np.rot90(image) if index % 2 else image[::-1]
        Image.fromarray(np.ascontiguousarray(image)).save(folder / f"{index:05d}.png")


# ---------------------------------------------------------------------- kills and workers


def segment(images: Path, output: Path, *options: str) -> subprocess.Popen[str]:
    """Start `napari-cliper segment`."""
    command = [sys.executable, "-m", "napari_cliper", "segment", str(images), *OPTIONS, *options]
    return subprocess.Popen(
        [*command, "--output", str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(run: subprocess.Popen[str]) -> float:
    """Wait for a run; return the seconds."""
    start = time.perf_counter()
    text = run.communicate()[0]
    if run.returncode:
        raise SystemExit(text)
    return time.perf_counter() - start


def files(folder: Path) -> dict[str, bytes]:
    """All files that are not hidden, with their bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("[!.]*")
        if path.is_file()
    }


def done(output: Path) -> dict[Path, int]:
    """The files of the images in the journal, and when they were written (ns)."""
    journal = output / "segmentation.jsonl"
    lines = journal.read_text().splitlines(keepends=True) if journal.exists() else []
    records = [json.loads(line) for line in lines if line.endswith("\n")]
    stems = [Path(one["name"]).stem for one in records if "name" in one]
    suffixes = ("_coarse.tif", "_refined.tif", "_overlay.png", ".json")
    paths = [output / f"{stem}{suffix}" for stem in stems for suffix in suffixes]
    return {path: path.stat().st_mtime_ns if path.exists() else 0 for path in paths}


def kill_the_command(images: Path, output: Path, whole: dict[str, bytes]) -> dict[str, float]:
    """Kill a run five times at random moments; count what went wrong."""
    moments, earlier, twice = random.Random(0), dict[Path, int](), 0
    for _ in range(KILLS):
        run, before = segment(images, output), len(done(output))
        while len(done(output)) == before and run.poll() is None:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.5))
        run.send_signal(signal.SIGKILL)
        run.communicate()
        now = done(output)
        twice += sum(now[path] != written for path, written in earlier.items())
        earlier = now
    finished(segment(images, output))
    now, found = done(output), files(output)
    twice += sum(now[path] != written for path, written in earlier.items())
    left = [path for path in output.iterdir() if path.name.startswith(".napari-cliper-")]
    return {
        "images before the last kill": len(earlier) // 4,
        "lost": len(whole.keys() - found.keys()),
        "other bytes": sum(found.get(name, content) != content for name, content in whole.items()),
        "left over": len(found.keys() - whole.keys()) + len(left),
        "done twice": twice,
    }


def kill_a_worker(images: Path, output: Path, whole: dict[str, bytes]) -> dict[str, float]:
    """Kill one of two workers in the middle of a run; count what went wrong."""
    import psutil  # noqa: PLC0415

    run, count = segment(images, output, "--workers", "2"), len(list(images.iterdir()))
    while len(done(output)) < 4 * count // 3 and run.poll() is None:
        time.sleep(0.01)
    children = psutil.Process(run.pid).children(recursive=True)
    workers = [one for one in children if "spawn_main" in " ".join(one.cmdline())]
    workers[0].kill()
    at = len(done(output)) // 4
    finished(run)
    found = files(output)
    return {
        "images before the kill": at,
        "images": count,
        "lost": len(whole.keys() - found.keys()),
        "other bytes": sum(found.get(name, content) != content for name, content in whole.items()),
    }


def tile(folder: Path, side: int) -> dict[str, float]:
    """Segment one image in tiles, with one process and with two workers; count what differs."""
    from PIL import Image  # noqa: PLC0415

    from napari_cliper.demo.scenes import make_scene  # noqa: PLC0415

    (folder / "large").mkdir()
    scene = make_scene((side, side), 1_000_007, unit=256)
    Image.fromarray(scene.image).save(folder / "large" / "a.png")
    seconds = [
        finished(segment(folder / "large", folder / name, *TILES, *options))
        for name, options in (
            ("one", ("--tile-cache", str(folder / "tiles of one"))),
            ("two", ("--tile-cache", str(folder / "tiles of two"), "--workers", "2")),
        )
    ]
    one, two = files(folder / "one"), files(folder / "two")
    pixels = json.loads(one["a.json"])["pixels"]
    return {
        "side": side,
        "seconds of one process": seconds[0],
        "seconds of two workers": seconds[1],
        "labelled": 1 - pixels[0]["share"],
        "other files": len(one.keys() ^ two.keys()),
        "other bytes": sum(two.get(name) != content for name, content in one.items()),
    }


def interrupted(folder: Path, count: int) -> dict[str, dict[str, float]]:
    """Check the command with kills and workers, on some of the images of a folder."""
    images = folder / "some"
    images.mkdir()
    for path in sorted(folder.glob("*.png"))[:count]:
        (images / path.name).write_bytes(path.read_bytes())
    finished(segment(images, folder / "whole"))
    whole = files(folder / "whole")
    return {
        "command killed": kill_the_command(images, folder / "killed", whole),
        "worker killed": kill_a_worker(images, folder / "workers", whole),
    }


WRONG = ("lost", "other bytes", "left over", "done twice", "other files")
"""What must be 0."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--many", type=int, default=1000, help="Images of the run for memory.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--killed", type=int, default=20, help="Images of the runs with kills.")
    parser.add_argument("--side", type=int, default=2048, help="Side of the image in tiles.")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        one_run(given.way, given.folder, given.images)
        return
    found: dict[str, Any] = {"images": given.images, "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), max(given.images, given.many))
        for state in ("idle", "busy"):
            rates: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(given.rounds):
                for way in WAYS:
                    if state == "busy":
                        with busy_core():
                            run = measured(way, Path(folder), given.images)
                    else:
                        run = measured(way, Path(folder), given.images)
                    rates[way].append(run["per second"])
                    print(f"{state:5} {way:9} {run['per second']:6.2f} images/s", flush=True)
            ratios = [new / old for new, old in zip(rates["pipeline"], rates["loop"], strict=True)]
            found[state] = {**rates, "ratio": median(ratios)}
        peaks = [
            measured("pipeline", Path(folder), count)["peak MB"]
            for count in (given.images, given.many)
        ]
        found["memory"] = {"peak MB": peaks, "ratio": peaks[1] / peaks[0]}
        checks = interrupted(Path(folder), given.killed)
        checks["tiles"] = tile(Path(folder), given.side)
        found |= checks
    for name, (kind, limit) in LIMITS.items():
        print(f"{name}: {found[name]['ratio']:.2f} ({kind} {limit})")
    for name, check in checks.items():
        wrong = sum(check.get(what, 0) for what in WRONG)
        print(f"{name}: {wrong} wrong (at most 0); {check}")
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "folder.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
