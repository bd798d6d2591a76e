"""What hints improve on real labelled images, compared with other tools that get the same hints.

    python benchmarks/corrections_real.py --images DIR --output OUT [--clicks 1,3,8] [--limit N]
                                          [--seeds 3] [--sam FOLDER] [--methods ours,...]
                                          [--mode clicks|iterated|field|prototypes]

Reads ``DIR/KIND/images/*.png`` and ``DIR/KIND/labels/*.png`` (uint8; 255 is not labelled). In the
kinds of `NO_BACKGROUND`, label 0 is a class; in others, it is the background. Names of classes mean
nothing to the model. Writes ``corrections.json``, a list of rows, with a table and a plot.

Half of the images of each kind, the first, third, ... by name, are for choosing constants; the
other half is for reporting. The table shows both.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import baselines
import matplotlib as mpl
import numpy as np
from hints import INVENTED, Labels, clicks, corrections, kept
from labelled_folders import UNKNOWN, kinds
from reports import table
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from napari_cliper.evaluation.metrics import class_iou, confusion_matrix
from napari_cliper.io.images import read_image_file
from napari_cliper.segmentation import (
    OPEN,
    ImageAffinity,
    ImageEmbedding,
    LiveLabels,
    ObjectSegmenter,
    Prototypes,
    ScoreMaps,
    SegmentationConfig,
    Segmenter,
    UserHints,
    image_affinity,
)

NO_BACKGROUND = ("street", "em")
"""Kinds of images in which every pixel belongs to a class."""
OURS, SAM = "ours", "ours with SAM"
FOREST, LOGISTIC, WALKER = "random forest", "logistic regression", "random walker"
BETA = 4000
ROUNDS = (0, 1, 2, 3, 4, 5, 6, 7, 8)
"""Corrections of the largest error."""
LEARNED = (1, 2, 5)
"""Images that prototypes and forests learn from."""
FIELD_KIND, FIELD_SIDE = "histology", 1024
MODES = ("clicks", "iterated", "field", "prototypes")

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Case:
    """An image with labels.

    Parameters
    ----------
    kind, name : str
    image : (Y, X) or (Y, X, 3) uint8 array
    truth : (Y, X) array of int
        0 is background, `UNKNOWN` not labelled, the others 1, 2, ... without gaps.
    """

    kind: str
    name: str
    image: np.ndarray[Any, np.dtype[Any]]
    truth: Labels

    @property
    def names(self) -> list[str]:
        """Names of the classes 1, 2, ..."""
        return list(INVENTED[: max(int(self.truth[self.truth != UNKNOWN].max()), 1)])


def cases(folder: Path, limit: int | None) -> Iterator[tuple[str, list[Path]]]:
    """The kinds in a folder, and the first images of each."""
    for kind, names in kinds(folder, "images", limit):
        yield kind.name, [kind / "images" / name for name in names]


def read_case(path: Path, *, gapless: bool = True) -> Case:
    """Read an image and its labels."""
    kind = path.parent.parent.name
    truth = read_image_file(path.parent.parent / "labels" / path.name).astype(int)
    if kind in NO_BACKGROUND:
        truth = np.where(truth == UNKNOWN, UNKNOWN, truth + 1)
    if gapless:
        present = np.setdiff1d(truth, [0, UNKNOWN])
        inside = np.isin(truth, present)
        truth = np.where(inside, np.searchsorted(present, truth) + 1, truth)
    return Case(kind, path.stem, read_image_file(path), truth)


def miou(truth: Labels, labels: Labels) -> float:
    """Mean IoU of the labels that are in the truth, over labelled pixels."""
    count = int(max(truth[truth != UNKNOWN].max(), labels.max())) + 1
    confusion = confusion_matrix(truth, labels, count, ignore=(UNKNOWN,))
    return float(np.mean(class_iou(confusion)[confusion.sum(axis=1) > 0]))


# ---------------------------------------------------------------------- methods


class Ours:
    """The engine with the demo model, or with features of SAM too."""

    def __init__(self, sam: Path | None = None) -> None:
        self.segmenter = Segmenter(SegmentationConfig(model="demo", refiner="none"))
        self.sam = None if sam is None else ObjectSegmenter(str(sam))

    def prepared(self, case: Case) -> tuple[ScoreMaps, ImageAffinity]:
        """What is computed once for an image."""
        embedding = self.segmenter.embed(case.image)
        return self.segmenter.score(embedding, case.names), self.affinity(embedding)

    def affinity(self, embedding: ImageEmbedding) -> ImageAffinity:
        """The affinity of an image."""
        if self.sam is None:
            return image_affinity(embedding)
        return image_affinity(embedding, patches=self.sam.embed(embedding.image.pixels).features)

    def __call__(self, case: Case) -> Callable[[Labels], Labels]:
        """Return the function from hints to labels."""
        scores, affinity = self.prepared(case)
        live = LiveLabels(scores, scores.stages[-1])
        return lambda hint_labels: live.labels(
            scores.settings.thresholds, UserHints(affinity, hint_labels)
        )


def forest(case: Case) -> Callable[[Labels], Labels]:
    """A random forest on scikit-image's features."""
    features = skimage_features(case)
    return lambda hint_labels: kept(
        baselines.classified(baselines.forest([features], [hint_labels]), features), hint_labels
    )


def logistic(case: Case) -> Callable[[Labels], Labels]:
    """Logistic regression on the same features."""
    features = skimage_features(case)
    points = StandardScaler().fit_transform(features.reshape(-1, features.shape[-1]))

    def labels(hint_labels: Labels) -> Labels:
        known = (hint_labels != OPEN).ravel()
        model = LogisticRegression(C=10, class_weight="balanced", max_iter=1000)
        model.fit(points[known], hint_labels.ravel()[known])
        return kept(model.predict(points).reshape(hint_labels.shape), hint_labels)

    return labels


def walker(case: Case) -> Callable[[Labels], Labels]:
    """scikit-image's random walker."""
    return lambda hint_labels: baselines.walked(in_colour(case.image), hint_labels, BETA)


def skimage_features(case: Case) -> Any:
    """Return scikit-image's pixel features, (Y, X, F)."""
    image = case.image if case.image.ndim == 3 else case.image[..., None]
    return baselines.pixel_features(image).astype(np.float32)


def in_colour(image: Any) -> Any:
    """Return a (Y, X, 3) image."""
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


Method = Callable[[Case], Callable[[Labels], Labels]]


def methods_of(names: Sequence[str], sam: Path | None) -> dict[str, Method]:
    """The methods by name."""
    known: dict[str, Callable[[], Method]] = {
        OURS: Ours,
        FOREST: lambda: forest,
        LOGISTIC: lambda: logistic,
        WALKER: lambda: walker,
    }
    if sam is not None:
        known[SAM] = lambda: Ours(sam)
    unknown = sorted({*names} - {*known})
    if unknown:
        raise SystemExit(f"Unknown methods: {', '.join(unknown)}. Choose from {', '.join(known)}.")
    return {name: make() for name, make in known.items() if not names or name in names}


# ---------------------------------------------------------------------- measuring


def row_of(case: Case, half: str, seed: int, count: int, method: str, value: float) -> Row:
    """One row of the result."""
    return {
        "kind": case.kind, "image": case.name, "seed": seed, "clicks": count, "method": method,
        "miou": value, "half": half,
    }  # fmt: skip


def halves(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Each image and the half that it belongs to."""
    for index, path in enumerate(paths):
        yield ("reporting" if index % 2 else "choosing"), path


def measure_clicks(
    folder: Path, limit: int | None, methods: dict[str, Method], counts: Sequence[int], seeds: int
) -> Iterator[Row]:
    """Clicks on each class of an image."""
    for kind, paths in cases(folder, limit):
        for half, path in halves(paths):
            start = time.perf_counter()
            case = read_case(path)
            for name, method in methods.items():
                predict = method(case)
                for seed in range(seeds):
                    for count in counts:
                        found = predict(clicks(case.truth, count, seed))
                        yield row_of(case, half, seed, count, name, miou(case.truth, found))
            print(f"{kind} {case.name}: {time.perf_counter() - start:.1f} s", flush=True)


def measure_iterated(
    folder: Path, limit: int | None, methods: dict[str, Method], seeds: int
) -> Iterator[Row]:
    """One click for each class, then clicks on the largest error, one after the other."""
    for kind, paths in cases(folder, limit):
        for half, path in halves(paths):
            case = read_case(path)
            for name, method in methods.items():
                predict = method(case)
                for seed in range(seeds):
                    hint_labels = clicks(case.truth, 1, seed)
                    for count in ROUNDS:
                        found = predict(hint_labels)
                        yield row_of(case, half, seed, count, name, miou(case.truth, found))
                        given = np.where(case.truth == UNKNOWN, UNKNOWN, found)
                        more = corrections(case.truth, given, 1)
                        hint_labels = np.where(more == OPEN, hint_labels, more)
            print(f"{kind} {case.name}", flush=True)


def measure_field(
    folder: Path, methods: dict[str, Method], counts: Sequence[int], seeds: int
) -> Iterator[Row]:
    """A field of 1024 x 1024 pixels, mirrored and joined from four images."""
    images = [
        read_case(path) for path in sorted((folder / FIELD_KIND / "images").glob("TCGA*.png"))
    ]
    parts = images[:4]
    side = FIELD_SIDE // 2

    def filled(array: Any) -> Any:
        margins = [(0, side - n) for n in array.shape[:2]] + [(0, 0)] * (array.ndim - 2)
        return np.pad(array, margins, mode="symmetric")

    def joined(arrays: list[Any]) -> Any:
        rows = [np.concatenate([filled(one) for one in arrays[i : i + 2]], axis=1) for i in (0, 2)]
        return np.concatenate(rows, axis=0)

    case = Case(
        "field",
        FIELD_KIND,
        joined([one.image for one in parts]),
        joined([one.truth for one in parts]),
    )
    for name, method in methods.items():
        predict = method(case)
        for seed in range(seeds):
            for count in counts:
                start = time.perf_counter()
                found = predict(clicks(case.truth, count, seed))
                seconds = time.perf_counter() - start
                print(f"{name}: {count} clicks, {seconds:.2f} s", flush=True)
                yield row_of(case, "choosing", seed, count, name, miou(case.truth, found))


def measure_prototypes(folder: Path, limit: int | None) -> Iterator[Row]:
    """Prototypes and a forest from labelled images; the others without a click."""
    segmenter = Segmenter(SegmentationConfig(model="demo"))
    for kind, paths in cases(folder, limit):
        every = [(half, read_case(path, gapless=False)) for half, path in halves(paths)]
        learned, measured = every[: max(LEARNED)], every[max(LEARNED) :]
        classes = sorted({*np.concatenate([np.unique(one.truth) for _, one in every])})
        named = [label for label in classes if label not in (0, UNKNOWN)]
        names = dict(zip(named, INVENTED, strict=False))
        labels = np.array([0, *names])
        features = [skimage_features(one) for _, one in learned]
        prototypes: Prototypes | None = None
        for count, (_, case) in enumerate(learned, 1):
            known = case.truth != UNKNOWN
            prototypes = segmenter.learn(
                segmenter.embed(case.image), np.where(known, case.truth, 0), known, names,
                case.name, prototypes,
            )  # fmt: skip
            if count not in LEARNED:
                continue
            random = np.random.default_rng(0)
            hint_labels = []
            for _, seen in learned[:count]:
                sparse = np.where(random.random(seen.truth.shape) < 0.02, seen.truth, OPEN)
                hint_labels.append(np.where(sparse == UNKNOWN, OPEN, sparse))
            trees = baselines.forest(features[:count], hint_labels)
            for half, test in measured:
                embedding = segmenter.embed(test.image)
                scores = segmenter.score(embedding, list(names.values()), prototypes=prototypes)
                found = {
                    OURS: labels[scores.to_labels()],
                    FOREST: baselines.classified(trees, skimage_features(test)),
                }
                for name, given in found.items():
                    yield row_of(test, half, 0, count, name, miou(test.truth, given))
        print(kind, flush=True)


# ---------------------------------------------------------------------- the report


def means(rows: Sequence[Row], half: str | None) -> dict[str, dict[int, dict[str, float]]]:
    """Mean mIoU by method, number of clicks and kind."""
    values: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for row in rows:
        if half is None or row["half"] == half:
            values[row["method"], row["clicks"], row["kind"]].append(row["miou"])
    found: dict[str, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for (method, count, kind), numbers in values.items():
        found[method][count][kind] = float(np.mean(numbers))
    return found


def miou_table(rows: Sequence[Row], half: str | None) -> str:
    """A Markdown table: mIoU of each kind by number of clicks, and the mean of kinds."""
    found = means(rows, half)
    counts = sorted({row["clicks"] for row in rows})
    measured = sorted({row["kind"] for row in rows if half is None or row["half"] == half})
    lines = []
    for method, by_count in found.items():
        cells = [
            " / ".join(f"{by_count[count].get(kind, np.nan):.2f}" for count in counts)
            for kind in measured
        ]
        mean = " / ".join(f"{np.mean(list(by_count[count].values())):.3f}" for count in counts)
        lines.append((method, *cells, mean))
    return table((" / ".join(map(str, counts)), *measured, "mean"), lines)


def largest_losses(rows: Sequence[Row]) -> str:
    """The largest drop of the mIoU after one click, by method."""
    lines = []
    for method in sorted({row["method"] for row in rows}):
        runs: dict[tuple[Any, ...], dict[int, float]] = defaultdict(dict)
        for row in rows:
            if row["method"] == method:
                runs[row["kind"], row["image"], row["seed"]][row["clicks"]] = row["miou"]
        losses = [run[n - 1] - run[n] for run in runs.values() for n in ROUNDS[1:]]
        count = sum(loss > 0.05 for loss in losses)
        lines.append(
            f"- {method}: largest loss by one click {max(losses):.3f}; "
            f"more than 0.05 in {count} of {len(losses)} clicks."
        )
    return "\n".join(lines)


def plot(rows: Sequence[Row], path: Path, what: str) -> None:
    """Draw the mean of kinds against the number of clicks."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    figure, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
    for method, by_count in means(rows, None).items():
        counts = sorted(by_count)
        curve = [float(np.mean(list(by_count[count].values()))) for count in counts]
        axes.plot(counts, curve, marker="o", label=method)
    axes.set(xlabel=what, ylabel="mIoU, mean of kinds", ylim=(0, 1))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


WHAT = {
    "clicks": "clicks for each class",
    "iterated": "corrections of the largest error",
    "field": "clicks for each class",
    "prototypes": "labelled images",
}


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="folder with one folder a kind")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--clicks", default="1,3,8", help="numbers of clicks for each class")
    parser.add_argument("--limit", type=int, help="most images of each kind")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sam", type=Path, help="folder with weights of SAM")
    parser.add_argument("--methods", default="", help="only these, separated by commas")
    parser.add_argument("--mode", choices=MODES, default="clicks")
    options = parser.parse_args()
    if not options.images.is_dir() or not list(cases(options.images, 1)):
        parser.error(f"{options.images} has no folder KIND/images. Give the folder of the kinds.")
    return options


def main() -> None:
    """Measure, and write rows, table and plot."""
    options = parsed()
    chosen = [name.strip() for name in options.methods.split(",") if name.strip()]
    counts = [int(count) for count in options.clicks.split(",")]
    folder, limit, seeds = options.images, options.limit, options.seeds
    if options.mode == "prototypes":
        measured = measure_prototypes(folder, limit)
    else:
        methods = methods_of(chosen, options.sam)
        measured = {
            "clicks": measure_clicks(folder, limit, methods, counts, seeds),
            "iterated": measure_iterated(folder, limit, methods, seeds),
            "field": measure_field(folder, methods, counts, seeds),
        }[options.mode]
    options.output.mkdir(parents=True, exist_ok=True)
    rows = list(measured)
    (options.output / "corrections.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    halves_measured = [None, *sorted({row["half"] for row in rows})]
    parts = [f"## {half or 'all images'}\n\n{miou_table(rows, half)}\n" for half in halves_measured]
    if options.mode == "iterated":
        parts.append(largest_losses(rows) + "\n")
    text = f"# {WHAT[options.mode]}\n\n" + "\n".join(parts)
    (options.output / "corrections.md").write_text(text, encoding="utf-8")
    plot(rows, options.output / "corrections.png", WHAT[options.mode])
    print(text)


if __name__ == "__main__":
    main()
