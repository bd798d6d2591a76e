"""Write labels as ImageJ TIFF, for ImageJ and Fiji, and as OME-TIFF.

The ImageJ metadata (unit, spacing, finterval, Info, a colour table of 256 entries) are those that
its TIFF reader uses. OME-XML follows the schema 2016-06. Neither format stores the mask of ignored
pixels: these pixels keep their label.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import tifffile
from numpy.typing import NDArray

from ...labels.label_names import label_names, palette
from ...labels.labelled_image import PIXEL, LabelledImage
from ...labels.pieces import Pieces
from ...labels.regions import numbers_of
from ...labels.stack_axes import Stack, five_dimensional, ordered
from ...labels.units import known_unit
from ..full_disk_errors import full_disk_errors
from .object_table import smallest_dtype, write_object_table

CLASSES_NAMESPACE = "napari-cliper/classes"
COLOURS_NAMESPACE = "napari-cliper/colours"
"""Namespaces of the map annotations in OME-TIFF with names and colours of classes, by label."""

AXES_NAMESPACE = "napari-cliper/axes"
AXES_KEY = "napari_cliper_axes"
"""Namespace (OME-TIFF) and key (ImageJ) of the axes of the labels and the letters stored."""

_IMAGEJ_COLOURS = 256

_TILE = 1024  # rows and columns of a tile of what is written piece by piece


def write_label_tiff(path: Path, image: LabelledImage) -> None:
    """Write labels as a TIFF that ImageJ opens with pixel size, class names and class colours.

    Parameters
    ----------
    path : Path
    image : LabelledImage
        Leading axes are stored as T, Z and C, in this order (see `stack_axes.ordered`). Class
        names are in ImageJ's "Info" property, one line ``label = name`` each. Its colour table
        ends at label 255: higher uint16 labels are stored unchanged but shown like 255. Because
        of the colour table, ImageJ shows any stack with a single slider.

    Raises
    ------
    InvalidInputError
        For more than three leading axes.
    """
    stack = five_dimensional(ordered(image, "TZC"))
    with full_disk_errors(path):
        tifffile.imwrite(path, stack.array[..., None], **_imagej_options(image, stack))


class LabelPlanes:
    """The planes of a label TIFF, which are written and read one by one.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        (..., Y, X), in the order of the labels.
    dtype : numpy.dtype
        As in the file.
    offset : int
        Of the pixels in the file.
    order : tuple of int
        For each axis in the file, the axis of the labels.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        offset: int,
        order: tuple[int, ...],
    ) -> None:
        self.path = path
        self.shape = shape
        self.dtype = dtype
        self._offset = offset
        self._order = order

    def __setitem__(self, plane: tuple[int, ...], labels: NDArray[Any]) -> None:
        """Write the (Y, X) labels of a plane."""
        with self.path.open("r+b") as file:
            file.seek(self._place(plane))
            file.write(labels.astype(self.dtype, copy=False).tobytes())

    def __getitem__(self, plane: tuple[int, ...]) -> NDArray[Any]:
        """Read the (Y, X) labels of a plane."""
        count = math.prod(self.shape[-2:])
        found = np.fromfile(self.path, self.dtype, count, offset=self._place(plane))
        return found.reshape(self.shape[-2:])

    def _place(self, plane: tuple[int, ...]) -> int:
        number = 0
        for axis in self._order[:-2]:
            number = number * self.shape[axis] + plane[axis]
        return self._offset + number * math.prod(self.shape[-2:]) * self.dtype.itemsize


def create_label_tiff(path: Path, image: LabelledImage) -> LabelPlanes:
    """Create the TIFF of `write_label_tiff`, whose planes are written later.

    Parameters
    ----------
    path : Path
    image : LabelledImage
        Its labels are not read.

    Raises
    ------
    InvalidInputError
        For more than three leading axes.
    """
    stack = five_dimensional(ordered(image, "TZC"), copy=False)
    place = tifffile.imwrite(
        path,
        shape=(*stack.array.shape, 1),
        dtype=stack.array.dtype,
        returnoffset=True,
        **_imagej_options(image, stack),
    )
    assert place is not None  # noqa: S101 - not compressed
    with path.open("rb") as file:
        is_big = file.read(2) == b"MM"
    dtype = image.labels.dtype.newbyteorder(">" if is_big else "<")
    return LabelPlanes(path, image.labels.shape, dtype, place[0], stack.order)


def _imagej_options(image: LabelledImage, stack: Stack) -> dict[str, Any]:
    """The arguments of tifffile for labels that ImageJ opens."""
    metadata = {
        "axes": f"{stack.axes}S",  # without S, an X of length 1 would be read as samples
        "Info": "\n".join(f"{label} = {name}" for label, name in label_names(image).items()),
        # Display range of the colour table, so that each label has its own entry.
        "min": 0.0,
        "max": float(_IMAGEJ_COLOURS - 1),
        AXES_KEY: f"{image.axes} as {stack.letters}",
        **_imagej_calibration(stack),
    }
    return {
        "imagej": True,
        "photometric": "palette" if stack.array.dtype == np.uint8 else "minisblack",
        "colormap": _imagej_table(image),
        "compression": None,
        "resolution": (1 / stack.sizes["X"], 1 / stack.sizes["Y"]),
        "resolutionunit": "NONE",  # ImageJ reads the unit from its own metadata
        "metadata": metadata,
    }


def _imagej_table(image: LabelledImage) -> NDArray[np.uint16]:
    """The colour table, (3, 256), 0 to 65535 as in TIFF."""
    return palette(image, _IMAGEJ_COLOURS).T.astype(np.uint16) * 257


def _imagej_calibration(stack: Stack) -> dict[str, Any]:
    units = {axis: _imagej_unit(stack.units[axis]) for axis in "XYZ"}
    found: dict[str, Any] = {"unit": units["X"]}
    if units["Y"] != units["X"]:
        found["yunit"] = units["Y"]
    if stack.array.shape[stack.axes.index("Z")] > 1:
        found["spacing"] = stack.sizes["Z"]
        if units["Z"] != units["X"]:
            found["zunit"] = units["Z"]
    interval = known_unit(stack.units["T"], "time")
    if interval is not None:
        found |= {"finterval": stack.sizes["T"], "tunit": interval.imagej}
    return found


def _imagej_unit(word: str) -> str:
    """A unit in ASCII, with other letters escaped as ImageJ does."""
    unit = known_unit(word, "space")
    return (unit.imagej if unit else word).encode("ascii", "backslashreplace").decode("ascii")


def write_ome_tiff(path: Path, image: LabelledImage) -> None:
    """Write labels as OME-TIFF with lossless compression.

    Parameters
    ----------
    path : Path
        Programs recognise the format by the ending ``.ome.tif``.
    image : LabelledImage
        Leading axes are stored as T, Z and C (see `stack_axes.ordered`). Names and colours
        (``#rrggbb``) are in map annotations (`CLASSES_NAMESPACE`, `COLOURS_NAMESPACE`), by label.
        A unit of length that OME-XML does not have becomes "reference frame", its term for
        lengths without unit. A time interval with such a unit is left out.

    Raises
    ------
    InvalidInputError
        For more than three leading axes.
    """
    names = {str(label): name for label, name in label_names(image).items()}
    colours = {str(label): "#{:02x}{:02x}{:02x}".format(*colour)
               for label, colour in image.colours.items()}  # fmt: skip
    described = (
        (CLASSES_NAMESPACE, "The class of each label", names),
        (COLOURS_NAMESPACE, "The colour of each label", colours),
    )
    _write_ome(path, image, image.labels, described)


def write_object_tiff(path: Path, image: LabelledImage) -> None:
    """Write the numbers of objects as OME-TIFF, and a table of the objects beside it.

    Parameters
    ----------
    path : Path
        ``NAME.csv`` beside it is the table (`object_table.write_object_table`).
    image : LabelledImage
        Without `LabelledImage.instances`, connected regions are the objects. Numbers are stored in
        16 bits, or in 32 bits if one exceeds 65535.

    Raises
    ------
    InvalidInputError
        For more than three leading axes.
    """
    numbers = numbers_of(image)
    _write_ome(path, image, smallest_dtype(numbers), (), "objects")
    write_object_table(path.with_suffix(".csv"), image, numbers)


def _write_ome(
    path: Path,
    image: LabelledImage,
    array: NDArray[Any],
    described: Sequence[tuple[str, str, Mapping[str, str]]],
    channel: str = "labels",
) -> None:
    """Write an array of the shape of the labels, with maps of texts: namespace, title, values."""
    stack = ordered(image, "TZC", array=array)
    source: Any = stack.array
    pieces = source if isinstance(source, Pieces) else None
    if pieces is not None:  # its axes are complete in the file, where they have length 1
        stack = replace(stack, array=np.broadcast_to(np.zeros((), array.dtype), array.shape))
    stack = five_dimensional(stack, copy=pieces is None)
    annotations = [
        {
            "Namespace": namespace,
            "Description": description,
            "Value": value,
        }
        for namespace, description, value in (
            *described,
            (
                AXES_NAMESPACE,
                "The axes of the labels; Q is one that nobody has named",
                {"axes": image.axes, "stored": stack.letters},
            ),
        )
        if value
    ]
    metadata = {
        "axes": stack.axes,
        "UUID": str(uuid4()),  # tifffile's own UUID would contain the network address
        "Creator": "napari-cliper",
        "Name": image.name,
        "Channel": {"Name": [channel] * stack.array.shape[stack.axes.index("C")]},
        "MapAnnotation": annotations,
        **_ome_calibration(stack),
    }
    with full_disk_errors(path):
        tifffile.imwrite(
            path,
            stack.array if pieces is None else _tiles(pieces),
            shape=stack.array.shape,
            dtype=stack.array.dtype,
            tile=None if pieces is None else (_TILE, _TILE),
            ome=True,
            photometric="minisblack",
            compression="zlib",
            metadata=metadata,
        )


def _tiles(pieces: Pieces) -> Iterator[NDArray[Any]]:
    """Yield the tiles of a file row by row; those at the edges may be smaller."""
    height, width = pieces.shape
    for top in range(0, height, _TILE):
        row = pieces.piece(slice(top, min(top + _TILE, height)), slice(0, width))
        for left in range(0, width, _TILE):
            yield np.ascontiguousarray(row[:, left : left + _TILE])


def _ome_calibration(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for axis in "XYZ":
        if axis == "Z" and stack.array.shape[stack.axes.index("Z")] == 1:
            continue
        unit = known_unit(stack.units[axis], "space")
        other = PIXEL if stack.units[axis] == PIXEL else "reference frame"
        found[f"PhysicalSize{axis}"] = stack.sizes[axis]
        found[f"PhysicalSize{axis}Unit"] = unit.ome if unit else other
    interval = known_unit(stack.units["T"], "time")
    if interval is not None:
        found |= {"TimeIncrement": stack.sizes["T"], "TimeIncrementUnit": interval.ome}
    return found
