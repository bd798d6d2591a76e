"""Accuracy, time and memory of images of growing size, with and without tiles.

    python benchmarks/scale.py [--sizes 512 1024 2048 4096] [--scenes N] [--output DIR]

The scenes are drawn at full size, with objects of about 60 px. Each image runs in a process of its
own, so that none finds what another left in memory; times are CPU seconds of one thread. A last
part measures what tiles cost over their networks, with random weights of ViT-B/16. Writes a table,
the numbers and a plot (for which matplotlib is needed).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any
from unittest.mock import patch

import numpy as np
import processes
import torch
from reports import table

from napari_cliper.demo.run import all_classes
from napari_cliper.demo.scenes import make_scene
from napari_cliper.evaluation.metrics import confusion_matrix, mean_iou
from napari_cliper.segmentation import SegmentationConfig, Segmenter, TileCache, Tiles
from napari_cliper.segmentation import tiles as layout

HERE = Path(__file__).parent
UNIT, TILE, OVERLAP = 256, 256, 64
SEED = 1_000_001
MEGABYTE = 1e6

LIMITS = {
    "mIoU with tiles": ("at least", 0.82),
    "moved": ("at most", 0.02),
    "memory": ("at most", 1500.0),
    "tiles over their networks": ("at most", 1.15),
    "other words over the first run": ("at most", 1 / 30),
}


def draw(size: int, seed: int, folder: Path) -> None:
    """Draw a scene and save its image and labels; in its own process, as it takes much memory."""
    scene = make_scene((size, size), seed, unit=UNIT)
    np.save(folder / "image.npy", scene.image)
    np.save(folder / "labels.npy", scene.labels)


def measure(folder: Path, *, tiles: bool, moved: bool) -> dict[str, Any]:
    """Segment a scene; `moved` also runs with the tile grid moved by half a stride."""
    torch.set_num_threads(1)
    classes = all_classes()
    image = np.load(folder / "image.npy", mmap_mode="r")
    config = SegmentationConfig(
        model="demo", refiner="pamr", device="cpu", tiles=Tiles(TILE, OVERLAP) if tiles else None
    )
    segmenter = Segmenter(config, tile_store=TileCache(folder / "tiles"))
    small = np.asarray(image[:TILE, :TILE])
    segmenter.score(segmenter.embed(small), classes).to_labels()  # networks, words, libraries
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    clock = [time.process_time()]
    embedding = segmenter.embed(image)
    clock.append(time.process_time())
    scores = segmenter.score(embedding, classes)
    clock.append(time.process_time())
    labels = scores.to_labels()
    clock.append(time.process_time())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    truth = np.load(folder / "labels.npy")
    matrix = np.sum(
        [
            confusion_matrix(truth[top : top + 1024], labels[top : top + 1024], len(classes) + 1)
            for top in range(0, len(truth), 1024)
        ],
        axis=0,
    )
    count = 1 if embedding.tiles is None else len(embedding.tiles.layout)
    found = {
        "tiles": count,
        "mIoU": mean_iou(matrix),
        "memory": (peak - before) / MEGABYTE,
        **{
            name: stop - start
            for name, start, stop in zip(
                ("embed", "score", "labels"), clock[:-1], clock[1:], strict=True
            )
        },
    }
    if moved:
        with patch.object(layout, "starts", moved_starts):
            again = segmenter.score(segmenter.embed(image), classes).to_labels()
        found["moved"] = float(np.mean(again != labels))
    return found


def moved_starts(length: int, side: int, stride: int) -> list[int]:
    """Start positions of tiles along an axis, moved by half a stride; the ends of the axis stay."""
    inside = range(stride // 2, length - side, stride)
    return sorted({0, *inside, max(length - side, 0)})


def cost_of_tiles(folder: Path) -> dict[str, float]:
    """What tiles cost over the time in the network, and other words over the first run."""
    from networks import save_clip  # noqa: PLC0415 - takes memory

    torch.set_num_threads(1)
    config = SegmentationConfig(
        model=str(save_clip(folder)), refiner="none", device="cpu", offline=True,
        background=("sky", "grass"), templates="word", tiles=Tiles(TILE, OVERLAP),
    )  # fmt: skip
    segmenter = Segmenter(config, tile_store=TileCache(folder / "tiles"))
    segmenter.load()
    method = segmenter.reader.method
    read, inside = method.read_each, []

    def timed(*arguments: Any) -> Any:
        start = time.process_time()
        found = read(*arguments)
        inside.append(time.process_time() - start)
        return found

    image = make_scene((768, 768), SEED, unit=UNIT).image
    with patch.object(method, "read_each", timed):
        segmenter.score(segmenter.embed(np.roll(image, 5, axis=0)), ["one", "two"])  # warm
        inside.clear()
        start = time.process_time()
        embedding = segmenter.embed(image)
        segmenter.score(embedding, ["nucleus", "crystal"]).to_labels()
        first = time.process_time() - start
    segmenter.score(embedding, ["bubble", "fibre"])  # encodes the words
    start = time.process_time()
    segmenter.score(embedding, ["bubble", "fibre"]).to_labels()
    again = time.process_time() - start
    return {
        "tiles over their networks": first / sum(inside),
        "other words over the first run": again / first,
    }


def run(sizes: list[int], scenes: int) -> dict[str, Any]:
    """All measurements: by size, and the cost of tiles."""
    script = Path(__file__)
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    numbers = partial(processes.numbers, script, environment=one_thread)
    found: dict[str, Any] = {"sizes": {}}
    for size in sizes:
        rows: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for index in range(scenes):
            with tempfile.TemporaryDirectory() as folder:
                processes.shown(script, "--draw", size, SEED + index, folder)
                moved = ["--moved"] if size <= 2048 else []
                rows.append((
                    numbers("--measure", folder, "--tiles", *moved),
                    numbers("--measure", folder),
                ))  # fmt: skip
        first = [row[0] for row in rows]
        moves = [one["moved"] for one in first if "moved" in one]
        row = {
            "mIoU with tiles": mean(one["mIoU"] for one in first),
            "mIoU without": mean(one["mIoU"] for _, one in rows),
            "tiles": first[0]["tiles"],
            "embed": mean(one["embed"] for one in first) / first[0]["tiles"],
            "score": mean(one["score"] for one in first) / first[0]["tiles"],
            "labels": mean(one["labels"] for one in first) / first[0]["tiles"],
            "memory": max(one["memory"] for one in first),
            "moved": mean(moves) if moves else None,
        }
        found["sizes"][size] = row
        print(size, row, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        found["cost"] = numbers("--cost", folder)
    print(found["cost"], file=sys.stderr, flush=True)
    return found


def report(found: dict[str, Any]) -> str:
    """The results as a Markdown table, and whether each limit is kept."""
    head = (
        "Image, px", "mIoU with tiles", "mIoU without", "Tiles", "CPU s a tile: networks",
        "scores and PAMR", "labels", "Memory over the networks", "Changed by moving the grid",
    )  # fmt: skip
    cells = [
        (
            f"{size} x {size}",
            f"{row['mIoU with tiles']:.2f}",
            f"{row['mIoU without']:.2f}",
            str(row["tiles"]),
            *(f"{row[step]:.3f}" for step in ("embed", "score", "labels")),
            f"{row['memory']:.0f} MB",
            "" if row["moved"] is None else f"{row['moved']:.2%}",
        )
        for size, row in found["sizes"].items()
    ]
    lines = [table(head, cells), ""]
    values = [(name, row.get(name)) for row in found["sizes"].values() for name in row]
    for name, value in (*values, *found["cost"].items()):
        if name in LIMITS and value is not None:
            word, limit = LIMITS[name]
            kept = value >= limit if word == "at least" else value <= limit
            lines.append(
                f"- {name}: {value:.3f} ({word} {limit:.3f}){'' if kept else ' **missed**'}"
            )
    return "\n".join(lines) + "\n"


def plot(found: dict[str, Any], path: Path) -> None:
    """Accuracy against the side of the image."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - only for the plot

    sizes = list(found["sizes"])
    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for name, label in (("mIoU with tiles", "with tiles"), ("mIoU without", "whole image")):
        axes.plot(sizes, [found["sizes"][size][name] for size in sizes], "o-", label=label)
    axes.set(xscale="log", xlabel="side of the image, px", ylabel="mIoU", ylim=(0, 1))
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run as a command, or as a process of `in_process`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--scenes", type=int, default=2, help="scenes of each size")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    parser.add_argument("--draw", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cost", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--tiles", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--moved", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.draw:
        draw(int(given.draw[0]), int(given.draw[1]), Path(given.draw[2]))
    elif given.measure:
        print(json.dumps(measure(given.measure, tiles=given.tiles, moved=given.moved)))
    elif given.cost:
        print(json.dumps(cost_of_tiles(given.cost)))
    else:
        found = run(given.sizes, given.scenes)
        given.output.mkdir(parents=True, exist_ok=True)
        (given.output / "scale.json").write_text(json.dumps(found, indent=1) + "\n")
        (given.output / "scale.md").write_text(report(found))
        plot(found, given.output / "scale.png")
        print(report(found))


if __name__ == "__main__":
    main()
