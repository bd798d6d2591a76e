"""Read images in OME-Zarr, versions 0.4 and 0.5, part by part."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ..labels.axes import UNKNOWN, axes_from_names
from ..labels.labelled_image import PIXEL
from ..labels.units import known_unit
from ..segmentation import LazyArray
from .bounded_zarr import bounded
from .decoding_errors import check_memory, explained
from .files import FileError
from .tiff_structure import StructureError

VERSIONS = ("0.4", "0.5")
"""Versions of OME-Zarr that are read."""

_METADATA = ("zarr.json", ".zgroup", ".zarray")
_TYPES: Mapping[str, str] = {"time": "T", "channel": "C", "space": "Z"}
_COLOURS = ("FF0000", "00FF00", "0000FF", "FFFFFF")
_ADVICE = "Give the folder of an image in OME-Zarr 0.4 or 0.5"


@dataclass(frozen=True, eq=False)
class OmeZarr(LazyArray):
    """The full-size pixels of an OME-Zarr image; a part is read when it is indexed.

    Parameters
    ----------
    path : Path
    array : zarr.Array
    order : tuple of int
        For each axis of the image, the axis of `array`; the axes of length 1 that are missing here
        are dropped.
    axes : str
        A letter for each axis of the image: leading axes, Y, X, and S for the samples of a colour.
    pixel_sizes : mapping of str to (float, str)
        Length and unit of a pixel by the letter of its axis, where the store gives them.
    described : mapping
        The metadata of OME-Zarr.
    """

    path: Path
    array: zarr.Array[Any]
    order: tuple[int, ...]
    axes: str
    pixel_sizes: Mapping[str, tuple[float, str]]
    described: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """(..., Y, X), or (..., Y, X, 3 or 4) for colours."""
        return tuple(int(self.array.shape[axis]) for axis in self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the pixels."""
        return np.dtype(self.array.dtype)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read a part of the image; the index has integers and slices.

        Raises
        ------
        FileError
            For damaged pixels, and more of them than fit into the free memory.
        """
        stored: list[Any] = [0] * self.array.ndim
        for axis, part in zip(self.order, self._parts(index), strict=True):
            stored[axis] = part
        kept = [axis for axis in self.order if not isinstance(stored[axis], (int, np.integer))]
        sides = (len(range(*stored[axis].indices(self.array.shape[axis]))) for axis in kept)
        with explained(self.path):
            values = max(math.prod(sides), math.prod(self.array.chunks))
            check_memory(values * self.dtype.itemsize)
            found = np.asarray(self.array[tuple(stored)])
        return found.transpose([sorted(kept).index(axis) for axis in kept])


def is_zarr(path: Path) -> bool:
    """Return whether a path is a folder with a Zarr group or array."""
    try:
        return path.is_dir() and any((path / name).is_file() for name in _METADATA)
    except OSError:
        return False


def open_ome_zarr(path: Path, *, maybe_empty: bool = False) -> OmeZarr:
    """Open an OME-Zarr image without reading its pixels.

    Parameters
    ----------
    path : Path
        The folder of the image: a group with ``multiscales``.
    maybe_empty : bool
        Whether all pixels may be 0 and therefore without data, as those of labels.

    Raises
    ------
    FileError
        For another kind of Zarr, another version, several images, codecs that are not supported,
        and a damaged store.
    """
    with explained(path):
        group = zarr.open(str(path), mode="r")
        if not isinstance(group, zarr.Group):
            raise FileError(f"{path} is an array without the metadata of OME-Zarr. {_ADVICE}.")
        described = _described(path, dict(group.attrs))
        multiscale = described["multiscales"][0]
        dataset = multiscale["datasets"][0]
        name = str(dataset["path"])
        array = group.get(name)
        if not isinstance(array, zarr.Array):
            raise StructureError(f"its pixels, {name!r}, are missing")
        if array.dtype.kind not in "buif" or 0 in array.shape:
            raise StructureError(f"its pixels are {array.dtype} of the shape {array.shape}")
        if not maybe_empty and not _has_chunks(path / name):
            raise StructureError(f"the folder of its pixels, {name!r}, has no data")
        axes = multiscale["axes"]
        if len(axes) != array.ndim:
            raise StructureError(f"it names {len(axes)} axes for {array.ndim} of its pixels")
        letters = _letters(axes)
        order, shown = _arranged(letters, array, described)
        sizes = _pixel_sizes(letters, axes, multiscale, dataset)
        return OmeZarr(path, bounded(array), order, shown, sizes, described)


def stored_bytes(path: Path) -> int:
    """Return the size of an image file, or of all files of a Zarr folder."""
    return sum(file.stat().st_size for file in files_of(path))


def files_of(path: Path) -> list[Path]:
    """Return all files of a Zarr folder, sorted; of a file, only itself."""
    if not path.is_dir():
        return [path]
    return sorted(Path(folder) / name for folder, _, names in os.walk(path) for name in names)


# ---------------------------------------------------------------------- metadata


def _described(path: Path, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata of an image, in 0.5 below the key ``ome``.

    Raises
    ------
    FileError
        If it is no single image in a version that is read.
    """
    described = attributes.get("ome", attributes)
    if "plate" in described or "well" in described:
        what = "plate" if "plate" in described else "well"
        raise FileError(f"{path} is a {what}. Give the folder of one of its images, such as A/1/0.")
    multiscales = described.get("multiscales")
    if not multiscales:
        if any((path / one).is_dir() and is_zarr(path / one) for one in ("0", "OME")):
            raise FileError(
                f"{path} has its images in folders of their own. Give one of them, such as "
                f"{path / '0'}."
            )
        raise FileError(f"{path} is Zarr without an image of OME-Zarr. {_ADVICE}.")
    version = str(described.get("version", multiscales[0].get("version", "0.4")))
    if version not in VERSIONS:
        raise FileError(
            f"{path} has version {version} of OME-Zarr; {' and '.join(VERSIONS)} are read. Save "
            "it in one of them."
        )
    return dict(described)


def _letters(axes: Sequence[Mapping[str, Any]]) -> list[str]:
    """The letter of each axis; Y and X anywhere, the others by name, or else by type."""
    names = [str(axis["name"]).strip().lower() for axis in axes]
    if names.count("y") != 1 or names.count("x") != 1:
        raise StructureError(f"its axes {names} do not have one Y and one X")
    letters: list[str] = []
    for name, axis in zip(names, axes, strict=True):
        letter = name.upper() if name in ("y", "x") else axes_from_names([name, "y", "x"], 3)[0]
        if letter == UNKNOWN:
            letter = _TYPES.get(str(axis.get("type", "")), UNKNOWN)
        letters.append(UNKNOWN if letter in letters else letter)
    return letters


def _arranged(
    letters: Sequence[str], array: zarr.Array[Any], described: Mapping[str, Any]
) -> tuple[tuple[int, ...], str]:
    """The axes of the image as axes of the array, and their letters."""
    last = [letters.index("Y"), letters.index("X")]
    leading = [
        axis
        for axis, letter in enumerate(letters)
        if letter not in "YX" and (array.shape[axis] > 1)
    ]
    shown = [letters[axis] for axis in leading] + ["Y", "X"]
    if "C" in letters and _is_colour(array, array.shape[letters.index("C")], described):
        leading.remove(letters.index("C"))
        shown.remove("C")
        return (*leading, *last, letters.index("C")), "".join(shown) + "S"
    return (*leading, *last), "".join(shown)


def _is_colour(array: zarr.Array[Any], count: int, described: Mapping[str, Any]) -> bool:
    """Whether the channels are red, green, blue and perhaps alpha in 8 bits, as exports write."""
    omero = described.get("omero")
    channels = omero.get("channels", []) if isinstance(omero, Mapping) else []
    colours = tuple(str(one.get("color", "")).upper() for one in channels)
    fits = array.dtype == np.uint8 and count in (3, 4)
    return fits and colours == _COLOURS[:count]


def _pixel_sizes(
    letters: Sequence[str],
    axes: Sequence[Mapping[str, Any]],
    multiscale: Mapping[str, Any],
    dataset: Mapping[str, Any],
) -> dict[str, tuple[float, str]]:
    """Length and unit of a pixel along each axis that has a unit."""
    scale = np.ones(len(letters))
    for one in (dataset, multiscale):
        for transformation in one.get("coordinateTransformations", ()):
            if transformation.get("type") == "scale":
                scale = scale * np.asarray(transformation["scale"], float)
    if scale.shape != (len(letters),):
        raise StructureError(f"its scale {scale.tolist()} does not fit its {len(letters)} axes")
    found = {}
    for letter, axis, size in zip(letters, axes, scale.tolist(), strict=True):
        if letter in ("C", UNKNOWN) or not (math.isfinite(size) and size > 0):
            continue
        unit = known_unit(str(axis.get("unit", "")), "time" if letter == "T" else "space")
        if unit is not None or size != 1:
            found[letter] = size, PIXEL if unit is None else unit.name
    return found


def _has_chunks(folder: Path) -> bool:
    """Whether the folder of an array has anything but metadata."""
    metadata = (*_METADATA, ".zattrs")
    return any(one.name not in metadata for one in folder.iterdir())
