"""How well true class masks are split into objects.

    python benchmarks/objects.py --images DIR --output OUT [--limit N]

Reads DIR/KIND/labels/*.png and the files of the same names in DIR/KIND/instances, for every KIND
that has both. The pixels of objects (labels other than 0 and 255) are split, and the objects found
are compared with the true ones. Writes OUT/objects.json with one row for each kind, image and
method: `ap50` is the average precision at IoU 0.5, TP / (TP + FP + FN); `count_error` is the
difference of the counts as a share of the true count.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from labelled_folders import UNKNOWN, kinds
from numpy.typing import NDArray
from reports import table
from scipy import ndimage
from skimage import segmentation
from skimage.io import imread
from skimage.measure import label as numbered
from skimage.morphology import h_maxima

from napari_cliper.objects.object_set import overlaps
from napari_cliper.objects.splitting import SplitSettings, split

MATCHED = 0.5  # IoU

Labels = NDArray[np.integer]


def ours(labels: Labels) -> Labels:
    """The objects of `split`."""
    return split(labels).numbers


def connected_regions(labels: Labels) -> Labels:
    """Connected regions, as one object each."""
    return split(labels, SplitSettings(touching=False)).numbers


def watershed(labels: Labels) -> Labels:
    """The watershed of smoothed distances (Gaussian 1) from their h-maxima (h = 0.75)."""
    numbers = np.zeros(labels.shape, np.int32)
    for label in np.unique(labels[labels > 0]):
        mask = labels == label
        heights = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1)
        markers = numbered(h_maxima(heights, 0.75), connectivity=2)
        found = segmentation.watershed(-heights, markers, mask=mask)
        numbers[mask] = found[mask] + numbers.max() * (found[mask] > 0)
    return numbers


METHODS: dict[str, Callable[[Labels], Labels]] = {
    "ours": ours,
    "connected regions": connected_regions,
    "watershed": watershed,
}


def average_precision(true: Labels, found: Labels) -> float:
    """TP / (TP + FP + FN) of objects that match with an IoU above `MATCHED`; 1 without objects."""
    true, found = _dense(true), _dense(found)
    counts = overlaps(true, found, int(true.max()), int(found.max())).toarray()
    sizes = counts.sum(axis=1, keepdims=True) + counts.sum(axis=0, keepdims=True) - counts
    matched = int((counts[1:, 1:] > MATCHED * sizes[1:, 1:]).sum())
    total = (counts.shape[0] - 1) + (counts.shape[1] - 1) - matched
    return matched / total if total else 1.0


def _dense(numbers: Labels) -> Labels:
    """The numbers from 1 on without gaps."""
    found, dense = np.unique(numbers, return_inverse=True)
    labels: Labels = dense.reshape(numbers.shape) + (found[0] != 0)
    return labels


def count(numbers: Labels) -> int:
    """How many objects there are."""
    return int(np.count_nonzero(np.unique(numbers)))


def images(folder: Path, limit: int | None) -> Iterator[tuple[str, str, Labels, Labels]]:
    """Kind, file name, labels and instances of each image, `limit` of each kind."""
    for kind, names in kinds(folder, "instances", limit):
        for name in names:
            instances = imread(kind / "instances" / name).astype(np.int64)
            yield kind.name, name, imread(kind / "labels" / name), instances


def rows(folder: Path, limit: int | None) -> Iterator[dict[str, Any]]:
    """The rows of objects.json."""
    for kind, name, labels, true in images(folder, limit):
        masks = np.where(labels == UNKNOWN, 0, labels)
        labelled = np.where(labels == UNKNOWN, 0, true)
        for method, function in METHODS.items():
            found = function(masks)
            error = abs(count(found) - count(labelled)) / max(count(labelled), 1)
            yield {
                "kind": kind,
                "image": name,
                "method": method,
                "ap50": average_precision(labelled, found),
                "count_error": error,
            }


def means(found: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Means by kind and method, of all images, of every second one, and of the others.

    Every second image in the order of names, from the first, was used to choose the setting; the
    others were held back.
    """
    names: dict[str, list[str]] = {}
    for row in found:
        known = names.setdefault(row["kind"], [])
        if row["image"] not in known:
            known.append(row["image"])
    halves: dict[str, Callable[[int], bool]] = {
        "all": lambda index: True,
        "tuning half": lambda index: index % 2 == 0,
        "held back": lambda index: index % 2 == 1,
    }
    for half, taken in halves.items():
        of_kinds: dict[str, list[float]] = {method: [] for method in METHODS}
        for kind, known in names.items():
            cells = []
            for method in METHODS:
                own = [
                    row
                    for row in found
                    if row["kind"] == kind
                    and row["method"] == method
                    and taken(known.index(row["image"]))
                ]
                if not own:
                    cells.append("")
                    continue
                ap50 = float(np.mean([row["ap50"] for row in own]))
                error = float(np.mean([row["count_error"] for row in own]))
                of_kinds[method].append(ap50)
                cells.append(f"{ap50:.3f} ({error:.3f})")
            yield (half, kind, *cells)
        cells = [f"{np.mean(values):.3f}" if values else "" for values in of_kinds.values()]
        yield (half, "mean", *cells)


def main() -> None:
    """Run on the images of a folder, write the rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="images of each kind")
    options = parser.parse_args()
    found = list(rows(options.images, options.limit))
    if not found:
        parser.error(f"{options.images} has no folder KIND/instances with PNG files.")
    options.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1)
    (options.output / "objects.json").write_text(text, encoding="utf-8")
    print("AP50 (count error)")
    print(table(("images", "kind", *METHODS), means(found)))


if __name__ == "__main__":
    main()
