"""How long 10,000 objects of an image of 4096 x 4096 pixels take: splitting, a slider, exports.

    python benchmarks/objects_speed.py --output OUT [--side 4096] [--formats coco,geojson]

Touching discs are split; then the threshold moves, and the objects of the visible part are made
again, as the page Objects does it; then the objects are exported to each format of objects, beside
the library of the format alone, which writes the same numbers, outlines or pixels. Prints and
writes OUT/objects_speed.json with seconds, and seconds of all processor cores (`cpu`), which tell
more than seconds where other programs run.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from ome_zarr.writer import write_image, write_labels
from PIL import Image
from pycocotools import mask as coco_mask
from scipy import ndimage
from skimage.measure import find_contours, regionprops_table

from napari_cliper.io.export import export_images
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.objects.labelled import with_objects
from napari_cliper.objects.object_set import Objects
from napari_cliper.objects.plane_objects import ObjectsChoice, PlaneObjects
from napari_cliper.objects.splitting import split

SPACE = 40  # pixels between the centres of discs
SEEN = (500, 800)  # pixels: as much as a window shows at 100 per cent
CLASSES = {1: ClassRow("cell"), 2: ClassRow("debris")}


def discs(side: int, grown: float = 0.0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Labels of discs, of which many touch; all radii can be larger by some pixels."""
    rng = np.random.default_rng(0)
    labels = np.zeros((side, side), np.uint8)
    y, x = np.mgrid[-30:31, -30:31]
    for row in range(SPACE // 2, side - SPACE // 2, SPACE):
        for column in range(SPACE // 2, side - SPACE // 2, SPACE):
            radius, label = rng.uniform(12, 21), rng.integers(1, 3)
            top, left = max(row - 30, 0), max(column - 30, 0)
            inside = y**2 + x**2 <= (radius + grown) ** 2
            part = labels[top : row + 31, left : column + 31]
            inside = inside[top - row + 30 :, left - column + 30 :]
            part[inside[: part.shape[0], : part.shape[1]]] = label
    return labels


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[dict[str, float], Any]:
    """The seconds of the fastest of some calls, and the result of the last."""
    best: dict[str, float] = {}
    for _ in range(repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        found = work()
        now = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        best = min(best or now, now, key=lambda one: one["cpu"])
    return best, found


# ---------------------------------------------------------------------- the libraries alone


def outlines(objects: Objects) -> Iterator[tuple[int, list[Any]]]:
    """The outlines of each object by scikit-image."""
    boxes = ndimage.find_objects(objects.numbers)
    for number, box in enumerate(boxes, 1):
        part = np.pad(objects.numbers[box] == number, 1).astype(np.uint8)
        shift = np.array([box[0].start - 1, box[1].start - 1])
        yield number, [(line + shift)[:, ::-1] for line in find_contours(part, 0.5)]


def coco(folder: Path, objects: Objects, _image: Any) -> None:
    """Outlines by scikit-image; sizes by pycocotools."""
    height, width = objects.numbers.shape
    annotations = []
    for number, lines in outlines(objects):
        polygons = [line.ravel().tolist() for line in lines]
        code = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
        annotations.append(
            {
                "id": number,
                "image_id": 1,
                "category_id": 1,
                "segmentation": polygons,
                "area": float(coco_mask.area(code)),
                "bbox": coco_mask.toBbox(code).tolist(),
                "iscrowd": 0,
            }
        )
    (folder / "coco.json").write_text(json.dumps({"annotations": annotations}))


def geojson(folder: Path, objects: Objects, _image: Any) -> None:
    """Outlines by scikit-image."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [line.tolist() for line in lines]},
            "properties": {"name": str(number)},
        }
        for number, lines in outlines(objects)
    ]
    (folder / "out.geojson").write_text(json.dumps({"features": features}))


def yolo(folder: Path, objects: Objects, image: Any) -> None:
    """Outlines by scikit-image; the image by Pillow."""
    side = objects.numbers.shape[0]
    with (folder / "out.txt").open("w") as file:
        for _, lines in outlines(objects):
            file.write("0 " + " ".join(f"{one:.6f}" for one in (lines[0] / side).ravel()) + "\n")
    Image.fromarray(image).save(folder / "out.png")


def table(folder: Path, objects: Objects) -> None:
    """Number, class and area of each object."""
    with (folder / "out.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(zip(objects.ids, objects.labels, objects.areas, strict=True))


def object_tiff(folder: Path, objects: Objects, _image: Any) -> None:
    """The numbers by tifffile."""
    numbers = objects.numbers.astype(np.uint16)
    tifffile.imwrite(folder / "out.tif", numbers, compression="zlib")
    table(folder, objects)


def object_png(folder: Path, objects: Objects, _image: Any) -> None:
    """The numbers by Pillow."""
    Image.fromarray(objects.numbers.astype(np.uint16)).save(folder / "out.png")
    table(folder, objects)


def ome_zarr(folder: Path, objects: Objects, image: Any) -> None:
    """The image, the labels and the numbers by ome-zarr."""
    group = zarr.open_group(folder / "out.zarr", mode="w", zarr_format=2)
    write_image(image, group, axes="yx")
    write_labels(objects.label_array(), group, name="labels", axes="yx")
    write_labels(objects.numbers.astype(np.uint16), group, name="objects", axes="yx")


def measurements(folder: Path, objects: Objects, image: Any) -> None:
    """The same measurements by scikit-image."""
    names = ("label", "area", "perimeter_crofton", "axis_major_length", "axis_minor_length")
    more = ("eccentricity", "centroid", "intensity_mean", "solidity")
    found = regionprops_table(objects.numbers, image, properties=(*names, *more))
    with (folder / "out.csv").open("w", newline="") as file:
        csv.writer(file).writerows(zip(*found.values(), strict=True))


ALONE: dict[str, Callable[[Path, Objects, Any], None]] = {
    "coco": coco,
    "geojson": geojson,
    "yolo": yolo,
    "object-tiff": object_tiff,
    "object-png": object_png,
    "ome-zarr": ome_zarr,
    "csv": measurements,
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--formats", default=",".join(ALONE))
    given = parser.parse_args()
    labels, moved = discs(given.side), discs(given.side, 0.7)
    rows: dict[str, Any] = {}
    rows["splitting"], found = timed(lambda: split(labels))
    rows["objects"] = len(found.ids)
    choice = ObjectsChoice()
    first = PlaneObjects.empty(labels.shape, CLASSES).split_again(labels, CLASSES, choice)
    rows["all of a changed plane"], _ = timed(lambda: first.split_again(moved, CLASSES, choice))
    height, width = (
        slice(max((given.side - seen) // 2, 0), (given.side + seen) // 2) for seen in SEEN
    )
    part = (height, width)
    rows["visible part"], _ = timed(lambda: first.split_part(moved, CLASSES, choice, part), 3)
    objects = first.objects
    image = np.random.default_rng(1).integers(0, 255, labels.shape, np.uint8)
    whole = with_objects(LabelledImage("scene", labels, CLASSES, image=image), objects)
    for name in given.formats.split(","):
        with tempfile.TemporaryDirectory() as folder:
            ours, _ = timed(partial(export_images, Path(folder), [whole], [name]))
        with tempfile.TemporaryDirectory() as folder:
            alone, _ = timed(partial(ALONE[name], Path(folder), objects, image))
        rows[name] = {"ours": ours, "alone": alone, "ratio": ours["cpu"] / alone["cpu"]}
        print(name, rows[name], flush=True)
    given.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rows, indent=1)
    (given.output / "objects_speed.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
