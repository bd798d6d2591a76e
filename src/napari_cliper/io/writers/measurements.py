"""Tables of the size, shape, position and intensity of objects, regions and classes.

A region is an object of the image, or else a connected component of one label (see
`labels.regions`). The spatial axes are Y, X
and, if it has several slices, Z. At each index of the other axes (T, C and unnamed ones) a plane
or volume is measured on its own. The values come from scikit-image's `regionprops_table`; lengths
are multiplied by the pixel size of their axis. Background and ignored pixels are in no region.

The perimeter is an estimate (Crofton's formula in four directions). Its error was within 2 per
cent for discs with a radius of 5 pixels or more, and within 6 per cent for squares at any angle.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from ...labels.axes import axis_words
from ...labels.label_names import label_name
from ...labels.labelled_image import PIXEL, LabelledImage
from ...labels.numbers import without_gaps
from ...labels.regions import connected_regions
from ...labels.units import in_one_unit, known_unit
from ..lazy_images import Images

Table = dict[str, list[Any]]
"""Columns by name, all of equal length; None for a missing value."""

DIGITS = 6
"""Significant digits of a measurement; images are less accurate than that."""

SCALED = "scaled pixel"
"""The unit of a pixel size without a unit."""

_LENGTHS = {
    "perimeter": "perimeter_crofton",
    "major axis": "axis_major_length",
    "minor axis": "axis_minor_length",
}
"""Lengths of a region in a plane, by column; as `regionprops_table` calls them."""

# Spreadsheets treat text that starts with these characters as a formula, and may run it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, eq=False)
class _Block:
    """A plane or volume, which is measured on its own.

    Attributes
    ----------
    position : dict of str to int
        Its index along each non-spatial axis, by column name.
    labels : (Y, X) or (Z, Y, X) array
        0 for background and ignored pixels.
    decided : int
        Number of pixels that are not ignored, background included.
    pixels : (Y, X, C) or (Z, Y, X, C) float64 array, optional
        The channels of the image.
    instances : (Y, X) or (Z, Y, X) int32 array, optional
        Objects by number; 0 on ignored pixels.
    """

    position: dict[str, int]
    labels: NDArray[Any]
    decided: int
    pixels: NDArray[np.float64] | None
    instances: NDArray[np.int32] | None

    def regions(self) -> tuple[NDArray[np.integer], NDArray[np.int64] | None, NDArray[Any]]:
        """Regions numbered from 1, their numbers as objects if they are some, and their labels."""
        if self.instances is None:
            found = connected_regions(self.labels)
            return found.numbers, None, found.labels
        dense, ids, _ = without_gaps(self.instances)
        labels = np.zeros(len(ids) + 1, self.labels.dtype)
        labels[dense] = self.labels
        return dense, ids, labels[1:]


@dataclass(frozen=True)
class _Space:
    """The spatial axes with pixel sizes and units.

    Attributes
    ----------
    axes : str
    sizes : tuple of float
    units : tuple of str
    """

    axes: str
    sizes: tuple[float, ...]
    units: tuple[str, ...]

    @property
    def known(self) -> tuple[bool, ...]:
        """Whether each axis has a pixel size: a unit, or a size other than 1."""
        return tuple(
            unit != PIXEL or size != 1 for unit, size in zip(self.units, self.sizes, strict=True)
        )

    @property
    def measured(self) -> bool:
        """Whether the size of a region can be given in other units than pixels."""
        return all(self.known)

    @property
    def extent(self) -> str:
        """Name of the size of a region."""
        return "area" if len(self.axes) == 2 else "volume"

    @property
    def power(self) -> str:
        """Unit of the size of a region."""
        if len(set(self.units)) == 1:
            return f"{self.units[0]}^{len(self.units)}"
        return " ".join(self.units)

    @property
    def density(self) -> str:
        """Name of the column with the number of regions by area or volume."""
        return f"density [1/mm^{len(self.axes)}]"

    @property
    def millimetres(self) -> float | None:
        """Area or volume of a pixel in mm^2 or mm^3; None if a pixel size is no length."""
        units = [known_unit(unit, "space") for unit in self.units]
        if any(unit is None for unit in units):
            return None
        sides = (size * unit.size for size, unit in zip(self.sizes, units, strict=True) if unit)
        return math.prod(side * 1000 for side in sides)

    @property
    def isotropic(self) -> bool:
        """Whether pixels have the same size along all axes."""
        return len(set(self.units)) == 1 and np.allclose(self.sizes, self.sizes[0], rtol=1e-6)


def region_table(image: LabelledImage) -> Table:
    """Measure every connected region of every label, in the order of their first pixels.

    Parameters
    ----------
    image : LabelledImage

    Returns
    -------
    dict of str to list
        One row per region. Columns: ``image``; the index along each non-spatial axis; ``region``
        (from 1; of images with objects, ``object`` with its number), ``label``, ``class``;
        ``area [pixel]`` (``volume`` of a stack); for a plane, ``perimeter [pixel]``, ``major axis
        [pixel]`` and ``minor axis [pixel]`` of the ellipse with the same second moments, and its
        ``eccentricity`` (0 to 1); for each axis ``centroid`` and the bounding box in pixels,
        ``first`` and ``last``, both inclusive; ``mean intensity`` for each channel. If pixels have
        a size, also in the unit given in the name of the column: area, perimeter and axes (None if
        pixels are not square), centroid (from the centre of the first pixel) and ``extent``, the
        side of the bounding box.
    """
    image = _with_depth_last(image)
    space = _space(image)
    columns = _region_columns(image, space)
    table: Table = {name: [] for name in columns}
    count = 0
    for block in _blocks(image):
        found = _regions(block, image, space)
        new = len(found["label"])
        found.setdefault("region", range(count + 1, count + new + 1))
        count += new
        for name in columns:
            table[name].extend(found[name])
    return table


def brief_region_table(image: LabelledImage) -> Table:
    """Measure every connected region or object, each quantity in one unit.

    Returns
    -------
    dict of str to list
        Of `region_table`: ``object`` (``region`` of images without objects), ``class``, area (or
        volume), perimeter, axes and eccentricity, and ``mean intensity`` for each channel.
        Quantities are in the unit of the pixel size, or in pixels if that is not known.
    """
    table = region_table(image)
    brief: Table = {name: table[name] for name in ("object", "region", "class") if name in table}
    for quantity in ("area", "volume", *_LENGTHS, "eccentricity"):
        named = [one for one in table if one == quantity or one.startswith(f"{quantity} [")]
        known = [one for one in named if not one.endswith(f"[{PIXEL}]") and None not in table[one]]
        brief |= {name: table[name] for name in (known or named)[:1]}
    return brief | {name: table[name] for name in _channel_columns(image)}


def class_table(image: LabelledImage) -> Table:
    """Measure every class, also those without a pixel, and every label without a class.

    Parameters
    ----------
    image : LabelledImage

    Returns
    -------
    dict of str to list
        One row per label and index along the non-spatial axes. Columns: ``image``, these indices,
        ``label``, ``class``, ``regions`` (their number; ``objects`` of images with objects),
        ``density [1/mm^2]`` (``[1/mm^3]`` of a stack; their number by the area of the pixels that
        are not ignored, if the pixel size is a length), ``area [pixel]`` and, of a region,
        ``median area [pixel]`` (``volume`` of a stack) and the same in the unit of the pixel size,
        ``share`` of the pixels that are not ignored, and ``mean intensity`` for each channel (None
        without a pixel).
    """
    image = _with_depth_last(image)
    space = _space(image)
    channels = _channel_columns(image)
    table: Table = {name: [] for name in _class_columns(image, space)}
    blocks = list(_blocks(image))
    found = chain.from_iterable(np.unique(block.labels).tolist() for block in blocks)
    labels = sorted({*image.classes, *found} - {0})
    counted = _counted(image)
    pixel = math.prod(space.sizes)
    for block in blocks:
        numbers, _, of_region = block.regions()
        sizes = np.bincount(numbers.ravel(), minlength=1)[1:]
        counts = np.bincount(block.labels.ravel(), minlength=max(labels, default=0) + 1)
        sums = {
            name: np.bincount(
                block.labels.ravel(), block.pixels[..., index].ravel(), minlength=counts.size
            )
            for index, name in enumerate(channels)
            if block.pixels is not None
        }
        for label in labels:
            pixels = int(counts[label])
            own = sizes[of_region == label]
            median = float(np.median(own)) if len(own) else None
            extent = block.decided * (space.millimetres or 0.0)
            row: dict[str, Any] = {
                "image": image.name,
                **block.position,
                "label": label,
                "class": label_name(image, label),
                counted: len(own),
                space.density: len(own) / extent if extent else None,
                f"{space.extent} [{PIXEL}]": pixels,
                f"{space.extent} [{space.power}]": pixels * pixel,
                f"median {space.extent} [{PIXEL}]": median,
                f"median {space.extent} [{space.power}]": median and median * pixel,
                "share": pixels / block.decided if block.decided else None,
                **{name: float(sums[name][label] / pixels) if pixels else None
                   for name in channels},
            }  # fmt: skip
            for name, column in table.items():
                column.append(row[name])
    return table


def measurement_notes(image: LabelledImage) -> list[str]:
    """Remarks on the tables of an image, to show to the user.

    Returns
    -------
    list of str
        Sentences about missing pixel sizes and pixels that are not square.
    """
    image = _with_depth_last(image)
    space = _space(image)
    notes = []
    if not any(space.known):
        notes.append(f"{image.name} has no pixel size. Lengths and areas are in pixels.")
    elif not all(space.known):
        missing = [axis for axis, known in zip(space.axes, space.known, strict=True) if not known]
        notes.append(
            f"{image.name} has no pixel size along {' and '.join(missing)}. Its "
            f"{space.extent}s are in pixels."
        )
    elif not _Space(space.axes[-2:], space.sizes[-2:], space.units[-2:]).isotropic:
        (rows, columns), (unit, other) = space.sizes[-2:], space.units[-2:]
        notes.append(
            f"Pixels of {image.name} are not square: {rows:g} {unit} high and {columns:g} {other} "
            "wide. Perimeters and axes are given in pixels only."
        )
    return notes


def write_measurements(path: Path, image: LabelledImage) -> None:
    """Write `region_table` as CSV (see `write_table`)."""
    write_table(path, region_table(image))


def write_class_measurements(path: Path, image: LabelledImage) -> None:
    """Write `class_table` as CSV (see `write_table`)."""
    write_table(path, class_table(image))


def write_all_measurements(folder: Path, images: Images) -> None:
    """Write the tables of each image, ``NAME_regions.csv`` and ``NAME_classes.csv``."""
    for image in images:
        write_measurements(folder / f"{image.name}_regions.csv", image)
        write_class_measurements(folder / f"{image.name}_classes.csv", image)


def write_table(path: Path, table: Mapping[str, list[Any]]) -> None:
    """Write columns as comma-separated values.

    The encoding is UTF-8 with a byte order mark, which spreadsheets need for non-Latin letters and
    which pandas and R's readr ignore. A text that a spreadsheet would treat as a formula gets a
    leading apostrophe. Floats have `DIGITS` significant digits. A missing value is an empty cell.
    """
    with path.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([_cell(name) for name in table])
        writer.writerows([_cell(value) for value in row]
                         for row in zip(*table.values(), strict=True))  # fmt: skip


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, float):
        return _number(value)
    return "" if value is None else value


def _number(value: float) -> str:
    """At least `DIGITS` significant digits; all before the point; empty for nan and inf."""
    if not math.isfinite(value):
        return ""
    size = math.floor(math.log10(abs(value))) if value else 0
    text = f"{value:.{max(DIGITS - 1 - size, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# ---------------------------------------------------------------------- blocks


def _first_spatial_axis(image: LabelledImage) -> int:
    """Index of the first spatial axis: Z before Y if it has several slices, else Y."""
    deep = image.axes[-3:-2] == "Z" and image.labels.shape[-3] > 1
    return image.labels.ndim - (3 if deep else 2)


def _with_depth_last(image: LabelledImage) -> LabelledImage:
    """The same labels with Z moved directly before Y."""
    if "Z" not in image.axes[:-3]:
        return image
    ndim = image.labels.ndim
    order = [axis for axis in range(ndim - 2) if image.axes[axis] != "Z"]
    order += [image.axes.index("Z"), ndim - 2, ndim - 1]
    pixels = None if image.image is None else np.asarray(image.image)
    return replace(
        image,
        labels=image.labels.transpose(order),
        image=None if pixels is None else pixels.transpose([*order, *range(ndim, pixels.ndim)]),
        ignored=None if image.ignored is None else image.ignored.transpose(order),
        instances=None if image.instances is None else image.instances.transpose(order),
        pixel_size=tuple(image.pixel_size[axis] for axis in order),
        units=tuple(image.units[axis] for axis in order),
        axes="".join(image.axes[axis] for axis in order),
    )


def _space(image: LabelledImage) -> _Space:
    first = _first_spatial_axis(image)
    sizes, units = in_one_unit(image.pixel_size[first:], image.units[first:])
    space = _Space(image.axes[first:], sizes, units)
    units = tuple(
        SCALED if known and unit == PIXEL else unit
        for known, unit in zip(space.known, space.units, strict=True)
    )
    return _Space(space.axes, space.sizes, units)


def _channel_columns(image: LabelledImage) -> list[str]:
    if image.image is None:
        return []
    if image.image.ndim == image.labels.ndim:
        return ["mean intensity"]
    return [f"mean intensity {index + 1}" for index in range(image.image.shape[-1])]


def _blocks(image: LabelledImage) -> Iterator[_Block]:
    first = _first_spatial_axis(image)
    count = len(_channel_columns(image))
    for index in np.ndindex(image.labels.shape[:first]):
        labels = image.labels[index]
        decided = labels.size
        if image.ignored is not None:
            labels = np.where(image.ignored[index], labels.dtype.type(0), labels)
            decided -= int(np.count_nonzero(image.ignored[index]))
        pixels = None
        instances = None if image.instances is None else image.instances[index]
        if instances is not None and image.ignored is not None:
            instances = np.where(image.ignored[index], np.int32(0), instances)
        if image.image is not None:
            read = np.asarray(image.image[index])
            pixels = read.reshape(*labels.shape, count).astype(np.float64)
        indices = (*(at for _, at in image.position), *index)
        position = dict(zip(_position_columns(image), indices, strict=True))
        yield _Block(position, labels, decided, pixels, instances)


def _position_columns(image: LabelledImage) -> list[str]:
    """Names of the columns with the position of a plane or volume in its stack."""
    axes = "".join(letter for letter, _ in image.position) + image.axes
    count = len(image.position) + _first_spatial_axis(image)
    return [f"index {word}" for word in axis_words(axes)[:count]]


# ---------------------------------------------------------------------- rows


def _region_columns(image: LabelledImage, space: _Space) -> list[str]:
    flat = len(space.axes) == 2
    number = "region" if image.instances is None else "object"
    columns = ["image", *_position_columns(image), number, "label", "class"]
    columns += [f"{space.extent} [{PIXEL}]"]
    if flat:
        columns += [f"{what} [{PIXEL}]" for what in _LENGTHS] + ["eccentricity"]
    for axis in space.axes:
        columns += [f"{what} {axis} [{PIXEL}]" for what in ("centroid", "first", "last")]
    if space.measured:
        columns += [f"{space.extent} [{space.power}]"]
        columns += [f"{what} [{space.units[-1]}]" for what in _LENGTHS] if flat else []
    for axis, unit, known in zip(space.axes, space.units, space.known, strict=True):
        if known:
            columns += [f"{what} {axis} [{unit}]" for what in ("centroid", "extent")]
    return columns + _channel_columns(image)


def _class_columns(image: LabelledImage, space: _Space) -> list[str]:
    units = [PIXEL, *([space.power] if space.measured else [])]
    sizes = [f"{what}{space.extent} [{unit}]" for what in ("", "median ") for unit in units]
    density = [] if space.millimetres is None else [space.density]
    return [
        "image", *_position_columns(image), "label", "class", _counted(image), *density, *sizes,
        "share", *_channel_columns(image),
    ]  # fmt: skip


def _counted(image: LabelledImage) -> str:
    """Name of the column with the number of regions of a class."""
    return "regions" if image.instances is None else "objects"


def _regions(block: _Block, image: LabelledImage, space: _Space) -> dict[str, Sequence[Any]]:
    """All columns except the running number, with one entry per region of a plane or volume."""
    numbers, ids, labels = block.regions()
    flat = len(space.axes) == 2
    channels = _channel_columns(image)
    # Without cache, because the mask of a region is as large as its bounding box.
    found = measure.regionprops_table(
        numbers,
        block.pixels,
        ("num_pixels", "bbox", "centroid", *([*_LENGTHS.values(), "eccentricity"] if flat else []),
         *(["intensity_mean"] if channels else [])),
        cache=False,
    )  # fmt: skip
    count = len(labels)
    columns: dict[str, Any] = {
        "image": [image.name] * count,
        **{name: [index] * count for name, index in block.position.items()},
        **({} if ids is None else {"object": ids.tolist(), "region": ids.tolist()}),
        "label": labels.tolist(),
        "class": [label_name(image, label) for label in labels.tolist()],
        f"{space.extent} [{PIXEL}]": found["num_pixels"],
        f"{space.extent} [{space.power}]": found["num_pixels"] * math.prod(space.sizes),
    }
    if flat:
        for name, prop in _LENGTHS.items():
            columns[f"{name} [{space.units[-1]}]"] = (
                found[prop] * space.sizes[-1] if space.isotropic else [None] * count
            )
            columns[f"{name} [{PIXEL}]"] = found[prop]
        columns["eccentricity"] = found["eccentricity"]
    for index, (axis, size, unit) in enumerate(
        zip(space.axes, space.sizes, space.units, strict=True)
    ):
        first, stop = found[f"bbox-{index}"], found[f"bbox-{len(space.axes) + index}"]
        centre = found[f"centroid-{index}"]
        columns[f"centroid {axis} [{unit}]"] = centre * size
        columns[f"extent {axis} [{unit}]"] = (stop - first) * size
        columns[f"centroid {axis} [{PIXEL}]"] = centre
        columns[f"first {axis} [{PIXEL}]"] = first
        columns[f"last {axis} [{PIXEL}]"] = stop - 1
    for index, name in enumerate(channels):
        columns[name] = found[f"intensity_mean-{index}"]
    return {
        name: column.tolist() if isinstance(column, np.ndarray) else column
        for name, column in columns.items()
    }
