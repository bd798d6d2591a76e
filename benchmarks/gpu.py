"""Labels, time and memory on a GPU against the CPU, in each precision, all in one run.

    python benchmarks/gpu.py [--device cuda] [--quick] [--networks DIR] [--output DIR]

The demo model shows how labels change with the device and the precision: its weights are trained.
Time and memory are those of networks of real size with random weights (ViT-B/16 and Stable
Diffusion 2.1): a first result, one more word, and images in tiles. Memory is the peak of the
tensors on the GPU, weights included. `--networks` keeps the random networks for other runs;
`--quick` takes small ones: it shows that the script works, and nothing of the speed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from bench import MEGABYTE, Bench, Peak
from reports import chip, file_name, processor, table

from napari_cliper.demo.run import all_classes
from napari_cliper.demo.scenes import make_scene
from napari_cliper.evaluation.metrics import confusion_matrix, mean_iou
from napari_cliper.segmentation import (
    ImageEmbedding,
    SegmentationConfig,
    Segmenter,
    TileCache,
    TileMemory,
    Tiles,
)
from napari_cliper.segmentation.config import Precision

HERE = Path(__file__).parent
WORDS = ("cup", "spoon", "table", "dog", "cat")
SCENES, SEED, UNIT = 4, 1_000_001, 256
ROUNDS = 3
NEW = count(time.time_ns())  # no cache has these words

T = TypeVar("T")


def ways(device: str) -> list[tuple[str, Precision]]:
    """Devices and precisions that are compared; the first is the reference."""
    compared: list[tuple[str, Precision]] = [("cpu", "float32"), (device, "float32")]
    compared.append((device, "bfloat16"))
    if device != "cpu":
        compared.append((device, "float16"))
    return compared


def new_words(number: int) -> list[str]:
    """Words that no segmenter has seen."""
    return [f"word {next(NEW)}" for _ in range(number)]


# ---------------------------------------------------------------------- labels


def labels_of_demo(device: str, *, quick: bool) -> dict[str, Any]:
    """How maps and labels of the demo model differ from those of the CPU in float32."""
    classes, found = all_classes(), {}
    for kind, side, tiles in (("whole images", 256, None), ("tiles", 768, Tiles(UNIT))):
        rows: dict[str, list[tuple[float, float, float]]] = {}
        for seed in range(SEED, SEED + (1 if quick else SCENES)):
            scene = make_scene((side, side), seed, unit=UNIT)
            reference = None
            for where, precision in ways(device):
                config = SegmentationConfig(
                    model="demo", refiner="pamr", device=where, precision=precision, tiles=tiles
                )
                segmenter = Segmenter(config, tile_store=TileMemory())
                scores = segmenter.score(segmenter.embed(scene.image), classes)
                labels, maps = scores.to_labels(), scores.coarse.maps
                reference = reference or (maps, labels)
                matrix = confusion_matrix(scene.labels, labels, len(classes) + 1)
                rows.setdefault(f"{where}, {precision}", []).append((
                    float(np.abs(maps - reference[0]).max()),
                    float((labels != reference[1]).mean()),
                    float(mean_iou(matrix)),
                ))  # fmt: skip
        found[kind] = {
            way: {
                "map": max(one[0] for one in values),
                "labels": max(one[1] for one in values),
                "mIoU": float(np.mean([one[2] for one in values])),
            }
            for way, values in rows.items()
        }
    return found


# ---------------------------------------------------------------------- time and memory


Result = tuple[ImageEmbedding, Mapping[str, float]]


def first_result(segmenter: Segmenter, image: Any) -> Result:
    """An image and new words to labels; returns the embedding and the seconds of each step."""
    embedding = segmenter.embed(image)
    scores = segmenter.score(embedding, new_words(len(WORDS)), background=new_words(2))
    scores.to_labels()
    return embedding, scores.record["seconds"]


def first_of_tiles(segmenter: Segmenter, image: Any, folder: Path) -> Result:
    """The same of an image of whose tiles none is in the cache, which is below a folder."""
    segmenter.tile_store = TileCache(folder / str(next(NEW)))
    return first_result(segmenter, image)


def one_more_word(segmenter: Segmenter, embedding: ImageEmbedding) -> None:
    """Words of which the last is new, on an image that is known."""
    segmenter.score(embedding, [*WORDS, *new_words(1)]).to_labels()


def costs(folder: Path, device: str, precision: Precision, *, quick: bool) -> dict[str, Any]:
    """Seconds, and megabytes on the GPU, of what a person waits for."""
    bench, found = Bench(folder, device, quick=quick), dict[str, Any]()
    rounds = ROUNDS if device != "cpu" and not quick else 1

    def measure(name: str, call: Callable[[], T]) -> T:
        results: list[T] = []
        with Peak(device) as peak:
            taken = [bench.seconds(lambda: results.append(call())) for _ in range(rounds)]
        found[name] = {"seconds": min(taken), "megabytes": peak.highest / MEGABYTE}
        print(f"{device}, {precision}, {name}: {min(taken):.3g} s", file=sys.stderr, flush=True)
        return results[taken.index(min(taken))]

    segmenter = bench.segmenter(precision)
    embedding, _ = first_result(segmenter, bench.image)  # and what only the first pass pays for
    one_more_word(segmenter, embedding)
    name = "Stable Diffusion, whole image"
    _, stages = measure(name, lambda: first_result(segmenter, bench.image))
    found[name]["stages"] = stages
    measure(f"{name}: one more word", lambda: one_more_word(segmenter, embedding))

    for refiner, tile, side in (
        ("none", 256, 1024), ("pamr", 256, 1024), ("stable-diffusion", 512, 768)
    ):  # fmt: skip
        if quick and refiner != "stable-diffusion":  # it needs tiles of 512 px
            tile, side = tile // 4, side // 4  # noqa: PLW2901
        scene = make_scene((side, side), SEED, unit=UNIT).image
        tiled = segmenter.with_config(
            replace(segmenter.config, refiner=refiner, tiles=Tiles(tile), shorter_side=None)
        )
        name = f"{refiner}, {side} x {side} px in tiles of {tile} px"
        with tempfile.TemporaryDirectory() as temporary:
            unknown = partial(first_of_tiles, tiled, scene, Path(temporary))
            embedding, stages = measure(name, unknown)
            found[name] |= {"stages": stages, "tiles": len(tiled.layout((side, side)) or ())}
            measure(f"{name}: one more word", partial(one_more_word, tiled, embedding))
    return found


# ---------------------------------------------------------------------- report


def report(found: dict[str, Any]) -> str:
    """All results as Markdown."""
    head, costs_rows = list(found["costs"]), []
    for name, row in found["costs"][head[0]].items():
        each = [found["costs"][way][name] for way in head]
        tiles = f" ({row['tiles']} tiles)" if "tiles" in row else ""
        seconds = (f"{one['seconds']:.3g} s" for one in each)
        costs_rows.append((f"{name}{tiles}", *seconds, f"{each[0]['megabytes']:.0f} MB"))
    lines = [
        f"# {found['chip']}",
        "",
        f"Beside {found['processor']}, torch {torch.__version__}, all its cores.",
        "",
        "Demo model (trained), PAMR, nine classes, scenes with objects of about 60 px: against the",
        "CPU in float32, the worst scene; mIoU is a mean.",
        "",
        table(
            ("", "largest difference of a map", "other labels", "mIoU"),
            [
                (
                    f"{kind}: {way}",
                    f"{row['map']:.2g}",
                    f"{row['labels']:.3%}",
                    f"{row['mIoU']:.4f}",
                )
                for kind, rows in found["labels"].items()
                for way, row in rows.items()
            ],
        ),
        "",
        "Networks of real size with random weights: the fastest of a few runs, and the peak of the",
        "tensors on the GPU, weights included.",
        "",
        table(("", *head, f"GPU memory, {head[0]}"), costs_rows),
        "",
        "Seconds of each step:",
        "",
    ]
    for way, rows in found["costs"].items():
        for name, row in rows.items():
            if "stages" in row:
                stages = ", ".join(f"{step} {value:.3g}" for step, value in row["stages"].items())
                lines.append(f"- {way}, {name}: {stages}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="small networks")
    parser.add_argument("--networks", type=Path, help="folder that keeps the random networks")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    given = parser.parse_args(arguments)
    from networks import build  # noqa: PLC0415 - it loads diffusers; --help need not

    found: dict[str, Any] = {"chip": chip(given.device), "processor": processor(), "costs": {}}
    name = file_name(found["chip"], quick=given.quick)
    given.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.networks or Path(temporary)
        if not (folder / "sd" / "tokenizer").exists():
            folder.mkdir(parents=True, exist_ok=True)
            with torch.device(given.device):  # a GPU draws random weights in no time
                build(folder, quick=given.quick)
        for device, precision in reversed(ways(given.device)):  # the slowest last
            found["costs"][f"{device}, {precision}"] = costs(
                folder, device, precision, quick=given.quick
            )
            (given.output / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    found["labels"] = labels_of_demo(given.device, quick=given.quick)
    (given.output / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    (given.output / f"{name}.md").write_text(report(found))
    print(report(found))


if __name__ == "__main__":
    main()
