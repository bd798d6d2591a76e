"""Corrections of every tenth plane of synthetic stacks, propagated to the planes between.

    python benchmarks/planes.py [--stacks N] [--planes N] [--side PIXELS]

The demo model has not seen the stacks. A correction is one click for each class and the background
at its deepest point. Prints the mean mIoU, over the planes between, of: the labels of the plane ten
before, words alone, labels propagated from the nearest corrected plane, and a correction of each
plane; for real and for invented class names.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from statistics import mean

import numpy as np
from hints import INVENTED, Labels, clicks

from napari_cliper.demo.run import HELD_OUT_SEED
from napari_cliper.demo.scenes import KINDS, make_stack
from napari_cliper.evaluation.metrics import confusion_matrix, mean_iou
from napari_cliper.segmentation import (
    ClassPrompt,
    LiveLabels,
    SegmentationConfig,
    Segmenter,
    UserHints,
    image_affinity,
    propagate_planes,
    scored_planes,
)

KINDS_OF_STACKS = ("nucleus", "diatom", "bubble")
NAMES = {
    "real words": KINDS_OF_STACKS,
    "invented names": INVENTED[: len(KINDS_OF_STACKS)],
}
GROUND = "bright field"
EVERY = 10
"""Distance of the corrected planes."""


def truth_of(labels: Labels) -> Labels:
    """Labels of a stack, numbered by `KINDS_OF_STACKS`."""
    table = np.zeros(len(KINDS) + 1, np.uint8)
    for number, name in enumerate(KINDS_OF_STACKS, 1):
        table[[kind.name for kind in KINDS].index(name) + 1] = number
    return table[labels]


def agree(truth: Labels, labels: Labels) -> float:
    """The mIoU of one plane."""
    return mean_iou(confusion_matrix(truth, labels, len(KINDS_OF_STACKS) + 1))


def ways_out(planes: int) -> Iterator[tuple[int, list[int]]]:
    """Each corrected plane, and the planes in one direction to which it is the nearest."""
    for start in range(0, planes, EVERY):
        yield start, [z for z in range(start + 1, start + EVERY // 2 + 1) if z < planes]
        yield start, [z for z in range(start - 1, start - (EVERY - 1) // 2 - 1, -1) if z > 0]


def measure(seed: int, planes: int, side: int, names: Sequence[str]) -> dict[str, float]:
    """The mean mIoU of each way on one stack, and the lowest agreement."""
    stack = make_stack(planes, (side, side), seed, kinds=KINDS_OF_STACKS, ground=GROUND)
    truth = truth_of(stack.labels)
    segmenter = Segmenter(SegmentationConfig(model="demo"))
    classes = [ClassPrompt(name) for name in names]
    embeddings = [segmenter.embed(image) for image in stack.images]
    words, each, hints = [], [], []
    for embedding, one in zip(embeddings, truth, strict=True):
        scores = segmenter.score(embedding, classes)
        hints.append(UserHints(image_affinity(embedding), clicks(one, 1)))
        live = LiveLabels(scores, scores.stages[-1])
        words.append(scores.to_labels())
        each.append(live.labels(scores.settings.thresholds, hints[-1]))
    found, agreements = {}, []
    for start, others in ways_out(planes):
        scored = scored_planes(
            segmenter,
            embeddings[start],
            each[start],
            hints[start],
            [embeddings[z] for z in others],
            classes,
        )
        affinity = hints[start].affinity
        propagated = propagate_planes(each[start], affinity, scored, 0.0)
        for z, plane in zip(others, propagated, strict=True):
            *_, found[z] = plane.labels.values()
            agreements.append(plane.agreement)
    return {
        "copied": mean(agree(truth[z], truth[z - EVERY]) for z in range(EVERY, planes)),
        "words": mean(agree(truth[z], words[z]) for z in found),
        "propagated": mean(agree(truth[z], labels) for z, labels in found.items()),
        "each corrected": mean(agree(truth[z], each[z]) for z in found),
        "lowest agreement": min(agreements),
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stacks", type=int, default=5)
    parser.add_argument("--planes", type=int, default=2 * EVERY + 1)
    parser.add_argument("--side", type=int, default=128)
    chosen = parser.parse_args()
    for way, names in NAMES.items():
        found = []
        for index in range(chosen.stacks):
            found.append(measure(HELD_OUT_SEED + index, chosen.planes, chosen.side, names))
            shown = ", ".join(f"{what} {value:.3f}" for what, value in found[-1].items())
            print(f"{way}, stack {index + 1}: {shown}", flush=True)
        for what in found[0]:
            print(f"{way}, {what}: {mean(one[what] for one in found):.3f}", flush=True)


if __name__ == "__main__":
    main()
