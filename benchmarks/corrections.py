"""What hints and prototypes improve, on synthetic scenes that the demo model never saw.

    python benchmarks/corrections.py [--scenes N] [--quick] [--only-time] [--output DIR]

Clicks in the same scene, strokes in other scenes, and clicks on errors; compared with a random
walker and a pixel classifier that get the same clicks and strokes. Writes tables, the numbers and a
plot. `--quick` takes few scenes, to test the script. `--only-time` measures the seconds again and
keeps the other results.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import baselines
import numpy as np
import psutil
import torch
from hints import INVENTED, REACH, Labels, clicks, corrections, kept, strokes
from reports import number, processor, table

from napari_cliper.demo.run import HELD_OUT_SEED, MEASURED_SHAPE, all_classes
from napari_cliper.demo.scenes import KINDS, Scene, make_scene
from napari_cliper.evaluation.metrics import confusion_matrix, mean_iou
from napari_cliper.segmentation import (
    OPEN,
    ClassPrompt,
    LiveLabels,
    Prototypes,
    ScoreMaps,
    SegmentationConfig,
    Segmenter,
    UserHints,
    image_affinity,
)

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs" / "images"

CLICKS, IMAGES, ERRORS = (0, 1, 2, 3, 5, 8), (0, 1, 2, 5, 10), (0, 1, 3, 6)
SCRIBBLED_SEED = HELD_OUT_SEED + 1000
FOREST = "random forest"
OURS = {
    "real words": all_classes(),
    "invented names": [ClassPrompt(word) for word in INVENTED[: len(KINDS)]],
}

LARGE, CORES = (1024, 1024), 2
ROUNDS = 9

Curve = dict[int, float]
"""mIoU by number of hints."""
Curves = dict[str, Curve]
Found = Iterator[tuple[str, int, Labels]]
"""Method, number of hints, and the labels."""


@dataclass(frozen=True)
class Row:
    """One line of the table of limits.

    Parameters
    ----------
    what : str
    here : float
    limit : float
    how : {'at least', 'above', 'at most'}
    unit : str
    """

    what: str
    here: float
    limit: float
    how: str = "at least"
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Whether the value meets the limit."""
        if self.how == "at most":
            return self.here <= self.limit
        return self.here > self.limit or (self.how == "at least" and self.here == self.limit)


class Tally:
    """Confusion matrices of all scenes, by method and by number of hints."""

    def __init__(self) -> None:
        self._scenes: dict[str, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))

    def add(self, scene: Scene, found: Found) -> None:
        """Count the pixels of one scene."""
        for way, number_of_hints, labels in found:
            confusion = confusion_matrix(scene.labels, labels, len(KINDS) + 1)
            self._scenes[way][number_of_hints].append(confusion)

    def curves(self) -> Curves:
        """The mIoU of the pixels of all scenes together."""
        return {
            way: {count: mean_iou(sum(matrices)) for count, matrices in points.items()}
            for way, points in self._scenes.items()
        }

    def wrong(self, way: str) -> dict[int, list[float]]:
        """The share of wrong pixels in each scene."""
        return {
            count: [1 - float(np.trace(one) / one.sum()) for one in matrices]
            for count, matrices in self._scenes[way].items()
        }


# ---------------------------------------------------------------------- labels


def corrected(scores: ScoreMaps, affinity: Any, hints: Iterable[Labels]) -> Iterator[Labels]:
    """Labels corrected by each set of hints in turn."""
    live = LiveLabels(scores, "refined")
    for hint_labels in hints:
        yield live.labels(scores.settings.thresholds, UserHints(affinity, hint_labels))


def clicked(scene: Scene, scores: dict[str, ScoreMaps], affinity: Any, features: Any) -> Found:
    """All methods with clicks in the same scene."""
    hint_labels = [clicks(scene.labels, count) for count in CLICKS]
    for way, by_words in scores.items():
        for count, labels in zip(CLICKS, corrected(by_words, affinity, hint_labels), strict=True):
            yield way, count, labels
    for count, one in zip(CLICKS, hint_labels, strict=True):
        if count:
            trees = baselines.forest([features], [one])
            for way, beta in baselines.BETAS.items():
                yield way, count, baselines.walked(scene.image, one, beta)
            yield FOREST, count, kept(baselines.classified(trees, features), one)


def mended(scene: Scene, scores: ScoreMaps, affinity: Any) -> Found:
    """Clicks on the largest errors of the words."""
    given = scores.to_labels()
    hint_labels = [corrections(scene.labels, given, count) for count in ERRORS]
    for count, labels in zip(ERRORS, corrected(scores, affinity, hint_labels), strict=True):
        yield "real words", count, labels


class Scribbled:
    """What is learned from one stroke per class in other scenes: prototypes and forests."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        scenes = [make_scene(MEASURED_SHAPE, SCRIBBLED_SEED + i) for i in range(max(IMAGES))]
        hint_labels = [strokes(scene.labels) for scene in scenes]
        features = [baselines.pixel_features(scene.image) for scene in scenes]
        self.forests = {
            count: baselines.forest(features[:count], hint_labels[:count])
            for count in IMAGES
            if count
        }
        self.prototypes = {
            way: self._learned(scenes, hint_labels, classes) for way, classes in OURS.items()
        }

    def _learned(
        self, scenes: Sequence[Scene], hint_labels: Sequence[Labels], classes: Sequence[ClassPrompt]
    ) -> list[Prototypes | None]:
        """Prototypes of the first 0, 1, 2, ... scenes."""
        names = {index + 1: one.name for index, one in enumerate(classes)}
        learned: list[Prototypes | None] = [None]
        for scene, one in zip(scenes, hint_labels, strict=True):
            embedding = self.segmenter.embed(scene.image)
            confirmed = one != OPEN
            labels, source = np.where(confirmed, one, 0), f"scene {scene.seed}"
            learned.append(
                self.segmenter.learn(embedding, labels, confirmed, names, source, learned[-1])
            )
        return learned

    def applied(self, embedding: Any, features: Any) -> Found:
        """All methods on a scene without hints."""
        for count in IMAGES:
            for way, classes in OURS.items():
                prototypes = self.prototypes[way][count]
                scores = self.segmenter.score(embedding, classes, prototypes=prototypes)
                yield way, count, scores.to_labels()
            if count:
                yield FOREST, count, baselines.classified(self.forests[count], features)


# ---------------------------------------------------------------------- measuring


def measure(scenes: int) -> dict[str, Any]:
    """All curves."""
    segmenter = Segmenter(SegmentationConfig(model="demo"))
    scribbled = Scribbled(segmenter)
    inside, across, mistakes = Tally(), Tally(), Tally()
    for index in range(scenes):
        print(f"scene {index + 1} of {scenes}", flush=True)
        scene = make_scene(MEASURED_SHAPE, HELD_OUT_SEED + index)
        embedding = segmenter.embed(scene.image)
        affinity = image_affinity(embedding)
        features = baselines.pixel_features(scene.image)
        scores = {way: segmenter.score(embedding, classes) for way, classes in OURS.items()}
        inside.add(scene, clicked(scene, scores, affinity, features))
        across.add(scene, scribbled.applied(embedding, features))
        mistakes.add(scene, mended(scene, scores["real words"], affinity))
    shares = mistakes.wrong("real words")
    return {
        "date": date.today().isoformat(),
        "chip": processor(),
        "scenes": scenes,
        "clicks": inside.curves(),
        "images": across.curves(),
        "mistakes": {
            "mIoU": mistakes.curves()["real words"],
            "wrong": {count: sum(wrong) / scenes for count, wrong in shares.items()},
            "better": {count: compared(shares, count, -1) for count in ERRORS},
            "worse": {count: compared(shares, count, 1) for count in ERRORS},
        },
    }


def compared(wrong: dict[int, list[float]], count: int, sign: int) -> int:
    """The number of scenes with fewer (-1) or more (1) wrong pixels than without a click."""
    pairs = zip(wrong[count], wrong[0], strict=True)
    return sum(int(np.sign(after - before)) == sign for after, before in pairs)


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def two_cores() -> None:
    """Use two CPU cores from here on."""
    torch.set_num_threads(CORES)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


def measure_seconds() -> dict[str, Any]:
    """Time from a hint to new labels, on a large scene with a prediction."""
    two_cores()
    load = psutil.getloadavg()[0]
    classes = all_classes()[:8]
    scene = make_scene(LARGE, HELD_OUT_SEED, kinds=[one.name for one in classes])
    segmenter = Segmenter(SegmentationConfig(model="demo"))
    embedding = segmenter.embed(scene.image)
    image_affinity(embedding)  # imports and first allocations
    print("measuring: seconds", flush=True)
    prepared = [seconds(lambda: image_affinity(embedding)) for _ in range(ROUNDS)]
    affinity = image_affinity(embedding)
    scores = segmenter.score(embedding, classes)
    chosen = scores.settings.thresholds
    live = LiveLabels(scores, "refined")
    live.labels(chosen)

    def correct(hint_labels: Labels) -> None:
        live.labels(chosen, UserHints(affinity, hint_labels))

    hint_labels = [clicks(scene.labels, count + 1) for count in range(ROUNDS)]
    return {
        "date": date.today().isoformat(),
        "chip": processor(),
        "load": load,
        "labels": [seconds(partial(correct, one)) for one in hint_labels],
        "affinity": prepared,
    }


# ---------------------------------------------------------------------- the report


def rows(found: dict[str, Any]) -> Iterator[Row]:
    """The values with limits."""
    inside, across = found["clicks"], found["images"]
    for way in OURS:
        yield Row(f"one click per class, {way}", inside[way][1], 0.75)
        yield Row(f"three clicks per class, {way}", inside[way][3], 0.90)
        yield Row(f"ten scribbled images and no click, {way}", across[way][10], 0.70)
    for count in (1, 2, 3):
        best = max(inside[way][count] for way in (*baselines.BETAS, FOREST))
        for way in OURS:
            yield Row(f"best baseline, clicks per class: {count}, {way}",
                      inside[way][count], best, "above")  # fmt: skip
    times = found["seconds"]["labels"]
    yield Row("hint to new labels, 1024 x 1024, 8 classes", median(times), 0.2, "at most", " s")


def curve_table(what: str, points: Sequence[int], curves: Curves) -> str:
    """The mIoU of each method."""
    body = (
        [way, *(f"{curve[n]:.3f}" if n in curve else "" for n in points)]
        for way, curve in curves.items()
    )
    return table([what, *map(str, points)], body)


def report(found: dict[str, Any]) -> str:
    """The tables as Markdown."""
    times, mistakes = found["seconds"], found["mistakes"]
    labels, affinity = times["labels"], times["affinity"]
    lines = [
        "# What hints and prototypes improve",
        "",
        f"{found['date']}, {found['chip']}. {found['scenes']} synthetic scenes",
        f"of {MEASURED_SHAPE[0]} x {MEASURED_SHAPE[1]} pixels that",
        f"the demo model was not trained on (seeds from {HELD_OUT_SEED} on), default thresholds,",
        "maps refined with PAMR. Clicks and strokes are simulated from the ground truth.",
        "**Nothing was measured on real images**: the demo model knows synthetic scenes only.",
        *["**A quick run, to test the script only.**"] * found["quick"],
        "",
        "mIoU over nine classes and the background, over the pixels of all scenes.",
        f"Invented names: {', '.join(INVENTED[: len(KINDS)])}.",
        "",
        table(
            ["what", "here", "limit", "reached"],
            (
                [
                    row.what,
                    f"{row.here:.3f}{row.unit}",
                    f"{row.how} {number(row.limit)}{row.unit}",
                    "yes" if row.reached else "**no**",
                ]
                for row in rows(found)
            ),
        ),
        "",
        "## Clicks in the same scene",
        "",
        "The first click of each class in the scene, background included, is at its deepest point;",
        "the next ones are deep inside and far from the others. The random walker is",
        "scikit-image's, with its default beta of 130 and (*tuned*) with 4000, the best of six for",
        "one click on other scenes. The random forest is scikit-learn's on scikit-image's",
        f"multiscale_basic_features, with {baselines.TREES} trees and otherwise default settings.",
        "Both know only the clicked classes; CLIPer looks for all nine.",
        "",
        curve_table("clicks per class", CLICKS, found["clicks"]),
        "",
        "## Strokes in other scenes",
        "",
        "One stroke per class in each of the other scenes (a piece of the class's skeleton, 3",
        f"pixels wide, within {REACH} pixels of its deepest point), none in the measured scenes.",
        "A random walker cannot be applied to another image.",
        "",
        curve_table("scribbled images", IMAGES, found["images"]),
        "",
        "## Clicks on errors",
        "",
        "One click at the deepest point of each of the largest errors of the real words.",
        "",
        table(
            ["clicks per scene", *map(str, ERRORS)],
            [
                ["mIoU", *(f"{mistakes['mIoU'][n]:.3f}" for n in ERRORS)],
                ["wrong pixels, %", *(f"{100 * mistakes['wrong'][n]:.2f}" for n in ERRORS)],
                ["scenes better", *(str(mistakes["better"][n]) for n in ERRORS)],
                ["scenes worse", *(str(mistakes["worse"][n]) for n in ERRORS)],
            ],
        ),
        "",
        "## Time",
        "",
        f"{times['date']}, {times['chip']}; {CORES} cores were used.",
        f"Load of the machine at the start: {number(times['load'])}.",
        f"A scene of {LARGE[0]} x {LARGE[1]} pixels with eight classes and a prediction; each",
        "round has one click per class more.",
        "",
        table(
            [f"seconds of {ROUNDS} rounds", "median", "first", "fastest", "slowest"],
            (
                [what, *(number(one) for one in (median(t), t[0], min(t), max(t)))]
                for what, t in (
                    ("hint to new labels", labels),
                    ("similarity of superpixels, once per image", affinity),
                )
            ),
        ),
        "",
    ]
    return "\n".join(lines)


def plot(found: dict[str, Any], path: Path) -> None:
    """The mIoU against clicks, and against scribbled images."""
    import matplotlib as mpl  # noqa: PLC0415 - it need not be there for --only-time

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    real, invented = OURS
    styles = {real: ("C0", "o-"), invented: ("C1", "s-"), FOREST: ("C3", "v--")}
    styles |= dict(zip(baselines.BETAS, (("C7", "^:"), ("C2", "^--")), strict=True))
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    for axes, part, title, label, ticks, limits in (
        (panels[0], "clicks", "clicks in the same scene", "clicks per class", CLICKS,
         {1: 0.75, 3: 0.90}),
        (panels[1], "images", "strokes in other scenes", "scribbled images", IMAGES, {10: 0.70}),
    ):  # fmt: skip
        for way, curve in found[part].items():
            colour, style = styles[way]
            axes.plot(list(curve), list(curve.values()), style, color=colour, label=way)
        axes.plot(list(limits), list(limits.values()), "k_", ms=16, mew=2, label="limit")
        axes.set(xlabel=label, title=title, xticks=ticks, ylim=(0, 1))
        axes.grid(visible=True, alpha=0.3)
    panels[0].set_ylabel("mIoU, nine classes and background")
    panels[0].legend(loc="lower right")
    figure.savefig(path, dpi=110)


def with_counts(value: Any) -> Any:
    """A value read from JSON, with integer keys again."""
    if not isinstance(value, dict):
        return value
    return {int(name) if name.isdigit() else name: with_counts(one) for name, one in value.items()}


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="3 scenes")
    parser.add_argument("--only-time", action="store_true", help="measure the seconds only")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    request = parser.parse_args()
    base = request.output / ("corrections-quick" if request.quick else "corrections")
    numbers = base.with_suffix(".json")
    if request.only_time:
        if not numbers.exists():
            parser.error(f"There is no {numbers}: measure everything first.")
        found = with_counts(json.loads(numbers.read_text()))
    else:
        found = {"quick": request.quick, **measure(3 if request.quick else request.scenes)}
    found["seconds"] = measure_seconds()
    found["rows"] = [asdict(row) | {"reached": row.reached} for row in rows(found)]
    request.output.mkdir(parents=True, exist_ok=True)
    tables = report(found)
    base.with_suffix(".md").write_text(tables)
    numbers.write_text(json.dumps(found, indent=1) + "\n")
    if not request.only_time:
        plot(found, base.with_suffix(".png"))
        if not request.quick:
            shutil.copy(base.with_suffix(".png"), DOCS)
    print(tables)


if __name__ == "__main__":
    main()
