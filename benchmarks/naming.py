"""How many objects get the right class from words and from a few named objects.

    python benchmarks/naming.py --images DIR --output OUT [--limit N] [--model NAME] [--part all]

The objects are the connected regions of the true labels of DIR/KIND/labels, for the kinds in
`CLASSES`, and the objects of synthetic scenes. Of each class 0, 1, 3 and 8 objects are named, drawn
at random from all images of the kind; the others are classified by words, network and properties of
the objects (`ours`), or by a random forest on such properties, trained on the same objects. Writes
OUT/naming.json with one row for each kind, method and number of examples: `right` is the share of
the other objects with the right class, averaged over the draws.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from labelled_folders import UNKNOWN, kinds
from numpy.typing import NDArray
from reports import table
from skimage.io import imread
from skimage.measure import label as numbered
from skimage.measure import regionprops_table
from sklearn.ensemble import RandomForestClassifier

from napari_cliper.demo.run import HELD_OUT_SEED, MEASURED_SHAPE
from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.objects.classifying import classify
from napari_cliper.objects.named_examples import probabilities
from napari_cliper.objects.object_features import ObjectFeatures, object_features
from napari_cliper.objects.object_set import Objects, objects_of
from napari_cliper.segmentation import SegmentationConfig, Segmenter

EXAMPLES = (0, 1, 3, 8)
DRAWS = 3
SMALLEST = 50  # pixels of a region
PARTS = {"all": slice(None), "even": slice(None, None, 2), "odd": slice(1, None, 2)}
"""Which images are used, counted from 0; the settings were chosen on the even ones."""
SCENES = 20

CLASSES: Mapping[str, Mapping[int, str]] = {
    "street": dict(
        enumerate(
            ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car",
             "pedestrian", "bicyclist"]
        )
    ),
    "em": dict(
        enumerate(["inside of a cell", "membrane", "mitochondrion", "synapse", "glia"])
    ),
    "smear": dict(enumerate(["surroundings", "cytoplasm", "nucleus"])),
    "objects": {
        0: "surroundings", 1: "object", 5: "bottle", 6: "bus", 7: "car", 9: "chair", 15: "person",
        18: "sofa",
    },
}  # fmt: skip
"""The names of the labels of each kind."""

Labels = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Picture:
    """An image with its objects.

    Parameters
    ----------
    name : str
    objects : Objects
    winners : (N,) int array
        The index of the class of each object by words.
    measured : ObjectFeatures
    truth : (N,) int array
        The index of the class of each object.
    features : (N, F) float array
        For the random forest.
    """

    name: str
    objects: Objects
    winners: NDArray[np.intp]
    measured: ObjectFeatures
    truth: NDArray[np.intp]
    features: NDArray[np.float64]


def properties(image: NDArray[np.uint8], numbers: Labels) -> NDArray[np.float64]:
    """Size, shape and intensity of each object, (N, F)."""
    names = (
        "area", "perimeter", "axis_major_length", "axis_minor_length", "eccentricity", "solidity",
        "extent", "intensity_mean", "intensity_std",
    )  # fmt: skip
    table = regionprops_table(numbers, image, names)
    features = np.stack(list(table.values()), axis=1).astype(np.float64)
    return np.nan_to_num(features)


def regions(kind: Path, names: Sequence[str]) -> Iterator[tuple[str, Any, Labels, Labels]]:
    """Name, image, objects and labels of images of a kind."""
    for name in names:
        labels = imread(kind / "labels" / name).astype(np.uint16)
        numbers = numbered(np.where(labels == UNKNOWN, 0, labels + 1), connectivity=2)
        yield name, imread(kind / "images" / name), _without_small(numbers), labels


def scenes(limit: int | None) -> Iterator[tuple[str, Any, Labels, Labels]]:
    """The same for synthetic scenes that the demo model never saw."""
    for index in range(SCENES if limit is None else limit):
        scene = make_scene(MEASURED_SHAPE, HELD_OUT_SEED + index)
        labels = scene.labels.astype(np.int64) - 1
        yield f"scene {index}", scene.image, _without_small(scene.instances), labels


def _without_small(numbers: Labels) -> Labels:
    return np.where(np.bincount(numbers.ravel())[numbers] >= SMALLEST, numbers, 0)


def pictures(
    segmenter: Segmenter,
    found: Iterator[tuple[str, Any, Labels, Labels]],
    names: Mapping[int, str],
) -> Iterator[Picture]:
    """Images with at least one object, encoded and classified by words."""
    known = list(names)
    for name, image, numbers, labels in found:
        objects = objects_of(numbers, (labels + 1).astype(np.uint16))
        if not len(objects.ids):
            continue
        truth = np.array([known.index(label - 1) for label in objects.labels.tolist()])
        features = properties(image, objects.numbers)
        embedding = segmenter.embed(image)
        by_words = classify(segmenter.score(embedding, list(names.values())), objects)
        winners = by_words.objects.labels.astype(np.intp) - 1
        measured = object_features(embedding, objects)
        yield Picture(name, objects, winners, measured, truth, features)


def drawn(every: Sequence[Picture], count: int, rng: np.random.Generator) -> list[dict[int, int]]:
    """Named objects for each image: `count` of each class, but never all of a class."""
    named: list[dict[int, int]] = [{} for _ in every]
    places = [(at, index) for at, one in enumerate(every) for index in range(len(one.truth))]
    classes = np.array([every[at].truth[index] for at, index in places])
    for label in np.unique(classes).tolist():
        own = rng.permutation(np.flatnonzero(classes == label))
        for place in own[: min(count, len(own) - 1)].tolist():
            at, index = places[place]
            named[at][int(every[at].objects.ids[index])] = label + 1
    return named


def ours(
    every: Sequence[Picture], names: Sequence[str], named: Sequence[Mapping[int, int]]
) -> list[NDArray[np.intp]]:
    """The class of each object of each image by words, network and properties."""
    winners = [one.winners for one in every]
    if not any(named):
        return winners
    given = [
        np.array([examples.get(number, 0) - 1 for number in one.objects.ids.tolist()])
        for one, examples in zip(every, named, strict=True)
    ]
    probable = probabilities(
        np.concatenate(winners),
        np.concatenate([one.measured.properties for one in every]),
        np.concatenate([one.measured.patches for one in every]),
        np.concatenate(given),
        len(names),
    )
    ends = np.cumsum([len(one) for one in winners])[:-1]
    return np.split(probable.argmax(axis=1), ends)


def forest(every: Sequence[Picture], named: Sequence[Mapping[int, int]]) -> list[NDArray[np.intp]]:
    """The same by a random forest on the properties of the objects."""
    known = [
        np.isin(one.objects.ids, list(examples)) for one, examples in zip(every, named, strict=True)
    ]
    features = np.concatenate([one.features[mask] for one, mask in zip(every, known, strict=True)])
    truth = np.concatenate([one.truth[mask] for one, mask in zip(every, known, strict=True)])
    trees = RandomForestClassifier(100, random_state=0).fit(features, truth)
    return [trees.predict(one.features) for one in every]


def right(
    every: Sequence[Picture],
    named: Sequence[Mapping[int, int]],
    found: Sequence[NDArray[np.intp]],
) -> float:
    """The share of the objects that are not examples and have their true class."""
    hits = [
        (classes == one.truth)[~np.isin(one.objects.ids, list(examples))]
        for one, examples, classes in zip(every, named, found, strict=True)
    ]
    return float(np.concatenate(hits).mean())


def rows(folder: Path, limit: int | None, model: str, part: str) -> Iterator[dict[str, Any]]:
    """The rows of naming.json."""
    segmenter = Segmenter(SegmentationConfig(model=model, refiner="none"))
    measured = {
        kind.name: (CLASSES[kind.name], regions(kind, files))
        for kind, files in kinds(folder, "labels", limit)
        if kind.name in CLASSES
    }
    measured["scenes"] = {index: kind.name for index, kind in enumerate(KINDS)}, scenes(limit)
    for kind, (names, images) in measured.items():
        every = list(pictures(segmenter, images, names))[PARTS[part]]
        for count in EXAMPLES:
            shares: dict[str, list[float]] = {"ours": [], "random forest": []}
            for draw in range(DRAWS if count else 1):
                named = drawn(every, count, np.random.default_rng(draw))
                if count and not any(named):  # no class has two objects
                    continue
                found = ours(every, list(names.values()), named)
                shares["ours"].append(right(every, named, found))
                if count:
                    shares["random forest"].append(right(every, named, forest(every, named)))
            for method, values in shares.items():
                if values:
                    share = float(np.mean(values))
                    yield {"kind": kind, "method": method, "examples": count, "right": share}


def cells_of(found: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """The rows of the table: ours, and the random forest after a slash."""
    for kind in dict.fromkeys(row["kind"] for row in found):
        cells = []
        for count in EXAMPLES:
            own = [row for row in found if (row["kind"], row["examples"]) == (kind, count)]
            cells.append(" / ".join(f"{row['right']:.2f}" for row in own))
        yield (kind, *cells)


def main() -> None:
    """Run on the images of a folder, write the rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="images of each kind")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--part", choices=PARTS, default="all", help="which of these images")
    options = parser.parse_args()
    found = list(rows(options.images, options.limit, options.model, options.part))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "naming.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print("share named rightly: ours / random forest")
    print(table(("objects of", *(f"{count} named" for count in EXAMPLES)), cells_of(found)))


if __name__ == "__main__":
    main()
