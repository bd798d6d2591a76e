"""Read objects from label images, OME-Zarr, COCO, GeoJSON and YOLO, with their classes.

Numbers are kept: those of label images up to 2147483647, and those that our own COCO and GeoJSON
files store. Objects of other files are numbered in the order of the file.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from skimage.draw import polygon as polygon_pixels

from ...labels.axes import axes_from_names
from ...labels.numbers import mapped, without_gaps
from ...objects.object_set import HIGHEST
from ...segmentation import InvalidInputError
from ..decoding_errors import explained
from ..files import FileError, cannot
from ..image_decoding import decode_image
from ..ome_zarr_images import is_zarr, open_ome_zarr
from ..record_checks import why_not
from ..tiff_axes import with_axes_of_tiff
from ..writers.coco import OBJECT_KEY
from ..writers.ome_zarr import OBJECTS
from .coco import open_coco
from .coco_masks import pixels_of, runs_of
from .label_files import check_numbers

LABEL_IMAGES = (".tif", ".tiff", ".png")
"""Endings of label images."""


@dataclass(frozen=True, eq=False)
class ImportedObjects:
    """Objects of a file.

    Parameters
    ----------
    source : str
        Description for messages.
    numbers : (..., Y, X) int32 array
        The number of each pixel's object; 0 outside of every object.
    classes : mapping of int to str
        The name of the class of each object, by number; objects without a class are missing.
    axes : str
        One letter per axis (see `labels.axes`).
    labels : mapping of str to int
        The label of each class, from a table that has it.
    """

    source: str
    numbers: NDArray[np.int32]
    classes: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    axes: str = ""
    labels: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Set unknown axes if the file does not name them."""
        axes = self.axes or axes_from_names(None, self.numbers.ndim)
        object.__setattr__(self, "axes", axes)

    def label_array(self, labels: Mapping[str, int]) -> NDArray[np.uint16]:
        """Return the class label of each pixel, by the labels of the classes; 0 without a class."""
        _, ids, _ = without_gaps(self.numbers)
        of_object = [labels.get(self.classes.get(number, ""), 0) for number in ids.tolist()]
        found: NDArray[np.uint16] = mapped(self.numbers, ids, np.array(of_object, np.uint16))
        return found


def read_objects(
    path: str | Path, shape: tuple[int, int] | None = None, image_name: str | None = None
) -> ImportedObjects:
    """Read objects from a file.

    Parameters
    ----------
    path : path-like
        A label image (TIFF or PNG, with the classes in a table NAME.csv beside it if there is
        one), an OME-Zarr folder, COCO JSON, GeoJSON or a YOLO text file (with the names of classes
        in ``data.yaml`` in one of the folders above it, if there is one).
    shape : (int, int), optional
        Rows and columns of the image. Needed for GeoJSON and YOLO, whose files do not have it.
    image_name : str, optional
        The image in a COCO file with several.

    Returns
    -------
    ImportedObjects
        Where objects overlap, the smaller one is on top.

    Raises
    ------
    FileError
        For another file, and one that is missing or damaged.
    InvalidInputError
        For values that are no numbers of objects, and a missing `shape`.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(LABEL_IMAGES):
        return _of_label_image(path)
    if name.endswith(".zarr"):
        return _of_zarr(path)
    if name.endswith(".geojson"):
        return _of_geojson(path, _known(shape, path))
    if name.endswith(".json"):
        return _of_coco(path, image_name)
    if name.endswith(".txt"):
        return _of_yolo(path, _known(shape, path))
    raise FileError(
        f"Cannot read {path}: objects can be read from .tif, .tiff, .png, .zarr, .json (COCO), "
        ".geojson and .txt (YOLO). Convert the file to one of these formats."
    )


def _known(shape: tuple[int, int] | None, path: Path) -> tuple[int, int]:
    if shape is None:
        raise InvalidInputError(f"{path} does not say how large its image is. Give the image too.")
    return shape


def as_numbers(array: NDArray[Any], source: str) -> NDArray[np.int32]:
    """Convert the numbers of objects to int32.

    Raises
    ------
    InvalidInputError
        For fractions, negative numbers and numbers above 2147483647.
    """
    if array.dtype.kind not in "bui":
        whole = array.dtype.kind == "f" and np.isfinite(array).all()
        if not (whole and (array == np.rint(array)).all()):
            raise InvalidInputError(
                f"{source} contains {array.dtype} values that are not integers, so that it does "
                "not hold objects. Export the objects as integers from the program that made them."
            )
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low < 0 or high > HIGHEST:
        raise InvalidInputError(
            f"{source} has objects from {low} to {high}, but only 0 to {HIGHEST} are supported. "
            "Renumber them in the program that made them."
        )
    return array.astype(np.int32)


# ---------------------------------------------------------------------- label images


def _of_label_image(path: Path) -> ImportedObjects:
    decoded = decode_image(path)
    if decoded.format not in ("TIFF", "PNG"):
        raise InvalidInputError(
            f"{path} has the format {decoded.format}, which does not match its name. Save objects "
            "as PNG or TIFF, because lossy formats change numbers at edges."
        )
    check_numbers(decoded, path)
    array, axes = decoded.pixels, ""
    if decoded.format == "TIFF":
        found = with_axes_of_tiff(decoded)
        array, axes = found.array, found.axes
    classes, labels = _table(path) or ({}, {})
    numbers = as_numbers(array, str(path))
    return ImportedObjects(
        str(path), numbers, MappingProxyType(classes), axes, MappingProxyType(labels)
    )


def is_objects(path: Path) -> bool:
    """Return whether a label image has objects: our table of them lies beside it.

    Raises
    ------
    FileError
        For a damaged table.
    """
    return path.suffix.lower() in LABEL_IMAGES and _table(path) is not None


def class_file(path: Path) -> Path | None:
    """Return the file beside objects that names their classes: a table, or the names of YOLO.

    None if there is none, or if the file with the objects has the classes itself.
    """
    ending = path.suffix.lower()
    if ending in LABEL_IMAGES:
        places = [path.with_suffix(".csv")]
    elif ending == ".txt":
        places = [folder / "data.yaml" for folder in path.parents[:3]]
    else:
        places = []
    return next((place for place in places if place.is_file()), None)


def _table(image: Path) -> tuple[dict[int, str], dict[str, int]] | None:
    """The class of each object, and the label of each class; None without a table of ours."""
    path = class_file(image)
    if path is None:
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            # Spreadsheets write semicolons where the comma is the decimal sign.
            delimiter = ";" if ";" in head and "," not in head else ","
            rows = list(csv.DictReader(file, delimiter=delimiter, restval=""))
        if not rows or not {"object", "class"} <= rows[0].keys():
            return None  # another table
        found = _classes_of(rows)
        labels = {found[int(row["object"])]: int(row.get("label") or 0) for row in rows}
    except OSError as error:
        raise cannot("read", path, error) from error
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise FileError(
            f"The table of objects {path} cannot be read: {error}. Correct it, or move it away to "
            "read the objects without classes."
        ) from error
    classes = {number: name for number, name in found.items() if name}
    return classes, {name: label for name, label in labels.items() if name and label > 0}


def _classes_of(rows: Sequence[Mapping[str, str]]) -> dict[int, str]:
    """The class of each object in the rows of a table, "" without one.

    Raises
    ------
    ValueError
        For an object with two classes, or a number that is none.
    """
    found: dict[int, str] = {}
    for row in rows:
        number, name = int(row["object"]), row["class"].strip().removeprefix("'")
        known = found.get(number) or name
        if name and known != name:
            raise ValueError(f"object {number} has two classes, {known!r} and {name!r}")
        found[number] = known
    return found


def _of_zarr(path: Path) -> ImportedObjects:
    """The full-size objects in ``labels/objects`` of OME-Zarr."""
    folder = path / "labels" / OBJECTS
    if not is_zarr(folder):
        raise FileError(
            f"{path} has no labels/{OBJECTS}. Choose an OME-Zarr folder that was exported with "
            "objects."
        )
    stored = open_ome_zarr(folder, maybe_empty=True)
    with explained(folder):
        properties = stored.described.get("image-label", {}).get("properties", [])
        classes = {int(one["label-value"]): str(one["class"]) for one in properties}
    numbers = as_numbers(stored[...], str(path))
    return ImportedObjects(str(path), numbers, MappingProxyType(classes), stored.axes)


# ---------------------------------------------------------------------- outlines


@dataclass(frozen=True, eq=False)
class _Drawn:
    """An object as flat pixel indices of its image."""

    number: int | None
    name: str
    pixels: NDArray[np.intp]


def _painted(
    source: str, shape: tuple[int, int], drawn: Iterable[_Drawn]
) -> tuple[NDArray[np.int32], Mapping[int, str]]:
    """Paint objects, smaller ones over larger ones; those without a number get free ones."""
    objects = list(drawn)
    given = [one.number for one in objects if one.number is not None]
    if any(not 0 < number <= HIGHEST for number in given):
        raise InvalidInputError(
            f"{source} has objects from {min(given)} to {max(given)}, but only 1 to {HIGHEST} are "
            "supported. Renumber them."
        )
    free = max(given, default=0) + 1
    canvas = np.zeros(shape[0] * shape[1], np.int32)
    classes: dict[int, str] = {}
    numbers = []
    for one in objects:
        numbers.append(free if one.number is None else one.number)
        free += one.number is None
        if one.name:
            classes[numbers[-1]] = one.name
    for index in sorted(range(len(objects)), key=lambda at: -objects[at].pixels.size):
        canvas[objects[index].pixels] = numbers[index]
    return canvas.reshape(shape), MappingProxyType(classes)


def _of_coco(path: Path, image_name: str | None) -> ImportedObjects:
    file = open_coco(path)
    image = file.record_of(image_name)
    shape = (image["height"], image["width"])
    names = {one["id"]: one["name"] for one in file.categories}
    source = f"{image['file_name']} in {path}"

    def drawn(one: Mapping[str, Any]) -> _Drawn:
        try:
            flat = pixels_of(runs_of(one.get("segmentation"), shape))  # in column order
            number = one.get(OBJECT_KEY)
            return _Drawn(
                None if number is None else int(number),
                names.get(one["category_id"], ""),
                flat % shape[0] * shape[1] + flat // shape[0],
            )
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise FileError(
                f"Annotation {one.get('id')!r} of {source} cannot be drawn: {error}. Correct its "
                "segmentation, or remove it."
            ) from error

    numbers, classes = _painted(source, shape, map(drawn, file.of_image(image)))
    return ImportedObjects(source, numbers, classes)


def _of_geojson(path: Path, shape: tuple[int, int]) -> ImportedObjects:
    try:
        record = json.loads(path.read_bytes())
        features = record["features"] if isinstance(record, dict) else record
        drawn = [_feature(one, shape) for one in features]
    except OSError as error:
        raise cannot("read", path, error) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise FileError(
            f"{path} is not GeoJSON with polygons: {why_not(error)}. Export the objects again, for "
            "example from QuPath as a FeatureCollection."
        ) from error
    numbers, classes = _painted(str(path), shape, drawn)
    return ImportedObjects(str(path), numbers, classes)


def _feature(feature: Mapping[str, Any], shape: tuple[int, int]) -> _Drawn:
    geometry, properties = feature["geometry"], feature.get("properties") or {}
    kinds: Mapping[str, Callable[[Any], Any]] = {"Polygon": lambda one: [one], "MultiPolygon": list}
    polygons = kinds[geometry["type"]](geometry["coordinates"])
    pixels = [_inside([np.asarray(ring, float) for ring in rings], shape) for rings in polygons]
    name = str(properties.get("name", ""))
    number = int(name) if name.isascii() and name.isdecimal() else None
    classification = properties.get("classification") or {}
    return _Drawn(number, str(classification.get("name", "")), np.concatenate(pixels))


def _of_yolo(path: Path, shape: tuple[int, int]) -> ImportedObjects:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        names = _yolo_names(path)
        drawn = [_outline(line, names, shape) for line in lines if line.strip()]
    except OSError as error:
        raise cannot("read", path, error) from error
    except (ValueError, KeyError, TypeError, IndexError, yaml.YAMLError) as error:
        raise FileError(
            f"{path} is not a YOLO segmentation file: {error}. Each line needs a class and at "
            "least three points, as fractions of the width and height."
        ) from error
    numbers, classes = _painted(str(path), shape, drawn)
    return ImportedObjects(str(path), numbers, classes)


def _yolo_names(path: Path) -> Mapping[int, str]:
    file = class_file(path)
    if file is None:
        return {}
    names = yaml.safe_load(file.read_text(encoding="utf-8"))["names"]
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    return {int(index): str(name) for index, name in pairs}


def _outline(line: str, names: Mapping[int, str], shape: tuple[int, int]) -> _Drawn:
    index, *values = line.split()
    points = np.array(values, float).reshape(-1, 2) * (shape[1], shape[0])
    if len(points) < 3:
        raise ValueError(f"an outline has {len(points)} points")
    # Files have seven decimals: corners are put back onto the edges of the pixels.
    corners = np.where(np.abs(points - np.rint(points)) < 0.01, np.rint(points), points)
    return _Drawn(None, names.get(int(index), f"class {index}"), _inside([corners], shape))


def _inside(rings: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.intp]:
    """The flat indices of the pixels whose centres are inside of a ring and of no hole in it."""
    found = []
    for ring in rings:
        rows, columns = polygon_pixels(ring[:, 1] - 0.5, ring[:, 0] - 0.5, shape)
        found.append(rows * shape[1] + columns)
    outer = found[0]
    return np.setdiff1d(outer, np.concatenate(found[1:])) if len(found) > 1 else outer
