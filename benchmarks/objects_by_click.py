"""How well a model outlines single objects of real images, after 1, 2, 3 and 5 clicks.

    python benchmarks/objects_by_click.py --images DIR --sam NAME_OR_FOLDER [--limit N]
                                          [--objects N] [--output FILE]

Reads DIR/KIND/images/*.png, labels/*.png (255 is not labelled) and, where there are any,
instances/*.png. The first click is at the deepest point of the object; each further click is at the
deepest point of the largest region that the outline lacks, or has too much. Three ways to choose
among the masks: the model's own choice; for the first click, the one that fits a pixel classifier
(trained with three clicks on each class) best; the best of all, which a person finds with the key
for other outlines.
Writes JSON rows {"kind", "image", "object", "way", "clicks", "iou"} and prints the means.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import baselines
import numpy as np
from hints import clicks, deepest
from labelled_folders import UNKNOWN, kinds
from numpy.typing import NDArray
from reports import table
from skimage.io import imread
from skimage.measure import label as numbered

from napari_cliper.segmentation import (
    ObjectEmbedding,
    ObjectMasks,
    ObjectPrompt,
    ObjectSegmenter,
    best_fitting,
    to_8bit,
)

CLICKS = (1, 2, 3, 5)
LEAST = 50
"""Fewest pixels of an object."""

Mask = NDArray[np.bool_]
Choose = Callable[[ObjectMasks, bool], int]
"""Which mask, by index; the second argument is whether there are several clicks."""


def objects_of(labels: NDArray[Any], instances: NDArray[Any] | None) -> Iterator[Mask]:
    """Objects of an image: its instances, or the largest region of each class."""
    if instances is not None:
        for number in np.unique(instances[instances > 0]):
            yield instances == number
        return
    for value in np.unique(labels[(labels > 0) & (labels != UNKNOWN)]):
        regions = numbered(labels == value)
        yield regions == np.bincount(regions.ravel())[1:].argmax() + 1


def largest_mistake(truth: Mask, found: Mask) -> tuple[Mask, bool]:
    """The largest region that is wrong, and whether the outline lacks it."""
    best: tuple[Mask, bool] = (np.zeros_like(truth), True)
    for wrong, lacking in ((truth & ~found, True), (found & ~truth, False)):
        regions = numbered(wrong, connectivity=1)
        sizes = np.bincount(regions.ravel())[1:]
        if sizes.size and sizes.max() > best[0].sum():
            best = regions == sizes.argmax() + 1, lacking
    return best


def iou(one: Mask, other: Mask) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max((one | other).sum(), 1))


def corrected(
    segmenter: ObjectSegmenter, embedding: ObjectEmbedding, truth: Mask, choose: Choose
) -> dict[int, float]:
    """IoU by number of clicks, of someone who corrects the largest mistake."""
    inside: list[tuple[int, int]] = [deepest(truth)]
    outside: list[tuple[int, int]] = []
    found: dict[int, float] = {}
    previous = None
    for count in range(1, max(CLICKS) + 1):
        masks = segmenter.masks(embedding, ObjectPrompt(tuple(inside), tuple(outside)), previous)
        index = choose(masks, count > 1)
        mask, previous = masks.masks[index], masks.logits[index]
        if count in CLICKS:
            found[count] = iou(mask, truth)
        wrong, lacking = largest_mistake(truth, mask)
        if wrong.any():
            (inside if lacking else outside).append(deepest(wrong))
    return found


def fitting(likely: Mask, found: ObjectMasks, several: bool) -> int:
    """After one click, the mask that fits the pixels of the class best; then the model's choice."""
    return 0 if several else best_fitting(found, likely)[0]


def best(truth: Mask, found: ObjectMasks, _several: bool) -> int:
    """The mask closest to the truth."""
    return int(np.argmax([iou(mask, truth) for mask in found.masks]))


def measured(
    segmenter: ObjectSegmenter, folder: Path, name: str, most: int
) -> Iterator[dict[str, Any]]:
    """The rows of one image."""
    image, labels = imread(folder / "images" / name), imread(folder / "labels" / name)
    numbers = folder / "instances" / name
    objects = [
        mask
        for mask in objects_of(labels, imread(numbers) if numbers.exists() else None)
        if mask.sum() >= LEAST
    ]
    chosen = np.random.default_rng(0).permutation(len(objects))[:most]
    embedding = segmenter.embed(image)
    pixels = to_8bit(image if image.ndim == 3 else image[..., None]).pixels
    features = baselines.pixel_features(np.repeat(pixels[..., :3], 3 // pixels.shape[2], axis=2))
    hinted = clicks(np.where(labels == UNKNOWN, 0, labels), 3)
    classes = baselines.classified(baselines.forest([features], [hinted]), features)
    for index in chosen:
        truth = objects[index]
        likely = classes == np.bincount(labels[truth]).argmax()
        ways: dict[str, Choose] = {
            "own choice": lambda _found, _several: 0,
            "fits the class": partial(fitting, likely),
            "best of all": partial(best, truth),
        }
        for way, choose in ways.items():
            for count, value in corrected(segmenter, embedding, truth, choose).items():
                yield {
                    "kind": folder.name,
                    "image": name,
                    "object": int(index),
                    "way": way,
                    "clicks": count,
                    "iou": round(value, 4),
                }


def iou_table(rows: list[dict[str, Any]]) -> str:
    """Means by kind, and the mean of the kinds, as a Markdown table."""
    values: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for row in rows:
        values[row["way"], row["kind"], row["clicks"]].append(row["iou"])
    measured = sorted({row["kind"] for row in rows})
    lines = []
    for way in dict.fromkeys(row["way"] for row in rows):
        means = np.array(
            [[np.mean(values[way, kind, count]) for count in CLICKS] for kind in measured]
        )
        every = (*means, means.mean(axis=0))
        lines.append((way, *(" / ".join(f"{value:.2f}" for value in one) for one in every)))
    return table((f"IoU at {', '.join(map(str, CLICKS))} clicks", *measured, "mean"), lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--sam", required=True)
    parser.add_argument("--limit", type=int, default=5, help="images of each kind")
    parser.add_argument("--objects", type=int, default=4, help="objects of each image")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    segmenter = ObjectSegmenter(options.sam, offline=True)
    rows: list[dict[str, Any]] = []
    start = time.perf_counter()
    for folder, names in kinds(options.images, "images", options.limit):
        for name in names:
            rows += measured(segmenter, folder, name, options.objects)
    objects = len({(row["kind"], row["image"], row["object"]) for row in rows})
    print(iou_table(rows))
    print(f"{objects} objects, {time.perf_counter() - start:.0f} s")
    if options.output is not None:
        options.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
