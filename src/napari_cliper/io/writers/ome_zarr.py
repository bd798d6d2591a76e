"""Write labels and, if given, their image as OME-Zarr.

The layout follows the OME-Zarr specification, versions 0.4 (Zarr 2, which most programs open) and
0.5 (Zarr 3). The image is a multiscale pyramid. The labels are another pyramid under
``labels/classes`` with the same number of levels; names and colours are in its "image-label"
metadata. Objects, if there are any, are a third one under ``labels/objects``. Each level has half
the size in Y and X, so that labels and image match at every level.

The files are written with zarr. The writer of ome-zarr would only save some lines of JSON, but
loads dask and warns on import (0.18). The tests use its reader.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from skimage.transform import downscale_local_mean

from ...labels.axes import UNKNOWN, axis_words
from ...labels.label_names import label_names
from ...labels.labelled_image import LabelledImage
from ...labels.pieces import Pieces, pieces_of
from ...labels.stack_axes import Stack, ordered
from ...labels.units import Kind, known_unit
from ...segmentation import Window
from ..files import FileError
from .measurements import write_table
from .object_table import object_table, smallest_dtype

Version = Literal["0.4", "0.5"]

ZARR_FORMATS: Mapping[Version, Literal[2, 3]] = MappingProxyType({"0.4": 2, "0.5": 3})
"""The Zarr format of each version of OME-Zarr."""

LABELS = "classes"
"""The name of the group under ``labels``."""

OBJECTS = "objects"
"""The name of the group of objects under ``labels``."""

SMALLEST_LEVEL = 256
"""Levels are added until the longer side is at most this many pixels."""

CHUNK = 1024
"""Side of a chunk along Y and X, in pixels."""

_SHARD_SIDE, _SHARD_PLANES = 8, 16  # chunks along Y and X, and planes, in one file of Zarr 3
_ORDER = "TC" + UNKNOWN + "Z"  # time, then a channel or an unnamed axis, then space
_TYPES: Mapping[str, Kind] = {"T": "time", "Z": "space", "Y": "space", "X": "space"}
_CHANNELS = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"), ("alpha", "FFFFFF"))


def write_ome_zarr(path: Path, image: LabelledImage, *, version: Version = "0.4") -> None:
    """Write labels and their image as an OME-Zarr folder.

    Parameters
    ----------
    path : Path
        The folder; it must not exist. Programs recognise the format by the ending ``.ome.zarr``.
    image : LabelledImage
        Leading axes are stored as T, C and Z (see `stack_axes.ordered`), channels of the image as
        C. An axis without a name has no type, which the specification allows for one axis in
        place of C. Further unnamed axes, or one beside C, are stored under free letters, which
        the attribute ``napari_cliper_axes`` of the labels lists. Pixel sizes are always kept,
        but only units of length or time. Without an image, the root is the pyramid of the labels.
        `LabelledImage.instances` are stored in 16 bits, or in 32 bits if a number exceeds 65535;
        their "image-label" properties have the class of each object, and so has the table
        ``NAME_objects.csv`` beside the folder (`object_table.write_object_table`).
    version : "0.4" or "0.5"
        In 0.5, many chunks are stored in one file (sharding).

    Raises
    ------
    InvalidInputError
        For more leading axes than OME-Zarr has names.
    FileError
        If the folder already exists.
    """
    if os.path.lexists(path):
        raise FileError(f"{path} already exists. Choose another name.")
    pixels: Any = image.image
    if pixels is not None and not isinstance(pixels, Pieces):
        pixels = np.asarray(pixels)
    has_channels = pixels is not None and pixels.ndim > image.labels.ndim
    stack = ordered(image, _ORDER, taken="C" if has_channels else "")
    levels = _level_count(stack.array.shape)
    described = _described(image, version)
    root = group = zarr.open_group(str(path), mode="w-", zarr_format=ZARR_FORMATS[version])
    if pixels is not None:
        axes = dict(zip(stack.axes, stack.order, strict=True))
        if has_channels:
            axes["C"] = pixels.ndim - 1
        letters = "".join(letter for letter in _ORDER + "YX" if letter in axes)
        array = pixels.transpose([axes[letter] for letter in letters])
        pyramid = _write_pyramid(root, array, letters, stack, levels, mean=True)
        omero = _omero(array, letters)
        _describe(root, version, multiscales=[{"name": image.name, **pyramid}], **omero)
        group = root.require_group(f"labels/{LABELS}")
        described["source"] = {"image": "../../"}
    pyramid = _write_pyramid(group, stack.array, stack.axes, stack, levels, mean=False)
    name = LABELS if pixels is not None else image.name
    multiscales = [{"name": name, **pyramid}]
    _describe(group, version, multiscales=multiscales, **{"image-label": described})
    found = [LABELS] if pixels is not None else []
    if image.instances is not None:
        found.append(OBJECTS)
        _write_objects(root, path, image, image.instances, stack, levels, version)
    if found:
        _describe(root.require_group("labels"), version, labels=found)
    if UNKNOWN in image.axes:
        group.attrs["napari_cliper_axes"] = {
            "axes": axis_words(image.axes), "stored": [_name(one) for one in stack.letters]
        }  # fmt: skip
    if image.record:
        group.attrs["napari_cliper"] = dict(image.record)


def create_ome_zarr(path: Path, image: LabelledImage) -> None:
    """Create an OME-Zarr folder (0.4) of labels 0, which are written later, part by part.

    Several processes can write different chunks of `CHUNK` x `CHUNK` pixels at the same time. When
    the first level is complete, `halve` fills each of the others.

    Parameters
    ----------
    path : Path
        The folder; it must not exist.
    image : LabelledImage
        Without leading axes; its labels are not read.
    """
    stack, group = ordered(image, _ORDER), zarr.open_group(str(path), mode="w-", zarr_format=2)
    shape, dtype = image.labels.shape, image.labels.dtype
    levels = _create_levels(group, shape, dtype, stack.axes, _level_count(shape))
    multiscales = [{"name": image.name, **_multiscale(stack.axes, stack, len(levels))}]
    described = {"image-label": _described(image, "0.4")}
    _describe(group, "0.4", multiscales=multiscales, **described)


def open_levels(path: Path) -> list[zarr.Array[Any]]:
    """Open the levels of labels from `create_ome_zarr`, the largest first."""
    group = zarr.open_group(str(path), mode="r+")
    levels = dict(group.arrays())
    return [levels[str(level)] for level in range(len(levels))]


def halve(larger: zarr.Array[Any], smaller: zarr.Array[Any], window: Window) -> None:
    """Fill a part of a level, in its pixels, from the level before."""
    (rows, columns) = window.slices
    part = larger[2 * rows.start : 2 * rows.stop : 2, 2 * columns.start : 2 * columns.stop : 2]
    smaller[rows, columns] = part


def write_ome_zarr_05(path: Path, image: LabelledImage) -> None:
    """Write labels and their image as OME-Zarr 0.5 with shards; see `write_ome_zarr`."""
    write_ome_zarr(path, image, version="0.5")


def _write_objects(
    root: zarr.Group,
    path: Path,
    image: LabelledImage,
    instances: NDArray[np.int32],
    stack: Stack,
    levels: int,
    version: Version,
) -> None:
    group = root.require_group(f"labels/{OBJECTS}")
    array = smallest_dtype(instances).transpose(stack.order)
    pyramid = _write_pyramid(group, array, stack.axes, stack, levels, mean=False)
    table = object_table(image, instances)
    described = {
        "version": version,
        "properties": [
            {"label-value": number, "class": name}
            for number, name in zip(table["object"], table["class"], strict=True)
        ],
        "source": {"image": "../../"},
    }
    multiscales = [{"name": OBJECTS, **pyramid}]
    _describe(group, version, multiscales=multiscales, **{"image-label": described})
    name = path.name.removesuffix(".zarr").removesuffix(".ome")
    write_table(path.with_name(f"{name}_objects.csv"), table)


def _describe(group: zarr.Group, version: Version, **metadata: Any) -> None:
    """Write metadata: under the key ``ome`` in version 0.5, directly in version 0.4."""
    if version == "0.5":
        group.attrs["ome"] = {"version": version, **metadata}
        return
    for multiscale in metadata.get("multiscales", ()):
        multiscale["version"] = version
    group.attrs.update(metadata)


def _level_count(shape: tuple[int, ...]) -> int:
    """Number of levels down to `SMALLEST_LEVEL`; at least one."""
    side, levels = max(shape[-2:]), 1
    while side > SMALLEST_LEVEL:
        side, levels = -(-side // 2), levels + 1
    return levels


def _write_pyramid(
    group: zarr.Group,
    array: NDArray[Any] | Pieces,
    letters: str,
    stack: Stack,
    levels: int,
    *,
    mean: bool,
) -> dict[str, Any]:
    """Write an array at all levels; return the metadata of its axes and datasets."""
    dtype = np.dtype(np.uint8) if array.dtype == bool else array.dtype
    stored = _create_levels(group, array.shape, dtype, letters, levels)
    for rows, columns, piece in pieces_of(array):
        reduced = piece.astype(dtype, copy=False)
        for index, level in enumerate(stored):
            if index:
                reduced = _halved_mean(reduced) if mean else reduced[..., ::2, ::2]
            top, left = (part.start // 2**index for part in (rows, columns))
            height, width = reduced.shape[-2:]
            level[..., top : top + height, left : left + width] = reduced
    return _multiscale(letters, stack, levels)


def _create_levels(
    group: zarr.Group, shape: tuple[int, ...], dtype: np.dtype[Any], letters: str, levels: int
) -> list[zarr.Array[Any]]:
    """Create the arrays of all levels."""
    is_third, found = group.metadata.zarr_format == 3, []
    for index in range(levels):
        sides = *shape[:-2], *(-(-side // 2**index) for side in shape[-2:])
        chunks = *(1,) * (len(sides) - 2), *(min(side, CHUNK) for side in sides[-2:])
        level = group.create_array(
            str(index),
            shape=sides,
            chunks=chunks,
            shards=_shards(sides, chunks) if is_third else None,
            dtype=dtype,
            chunk_key_encoding={"name": "default" if is_third else "v2", "separator": "/"},
            dimension_names=[_name(letter) for letter in letters] if is_third else None,
        )
        found.append(level)
    return found


def _multiscale(letters: str, stack: Stack, levels: int) -> dict[str, Any]:
    """The metadata of the axes and levels of an array."""
    sizes = [float(stack.sizes.get(letter, 1.0)) for letter in letters]
    return {
        "axes": [_axis(letter, stack.units.get(letter, "")) for letter in letters],
        "datasets": [
            {"path": str(index), "coordinateTransformations": _places(sizes, index)}
            for index in range(levels)
        ],
    }


def _shards(shape: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[int, ...]:
    """Lengths of a shard: whole chunks, and several planes of the last leading axis."""
    sides = [
        chunk * min(-(-side // chunk), _SHARD_SIDE)
        for side, chunk in zip(shape[-2:], chunks[-2:], strict=True)
    ]
    leading = [1] * (len(shape) - 2)
    if leading:
        leading[-1] = min(shape[-3], _SHARD_PLANES)
    return (*leading, *sides)


def _places(sizes: list[float], level: int) -> list[dict[str, Any]]:
    """Scale and offset of a level, whose first pixel is centred on a block of full-size pixels."""
    block = 2**level
    scale = [*sizes[:-2], *(size * block for size in sizes[-2:])]
    offset = [*(0.0 for _ in sizes[:-2]), *(size * (block - 1) / 2 for size in sizes[-2:])]
    return [
        {"type": "scale", "scale": scale},
        {"type": "translation", "translation": offset},
    ]


def _halved_mean(array: NDArray[Any]) -> NDArray[Any]:
    """Means of blocks of 2 x 2 pixels; an odd last row or column is repeated."""
    odd = [(0, 0)] * (array.ndim - 2) + [(0, side % 2) for side in array.shape[-2:]]
    blocks = (*(1,) * (array.ndim - 2), 2, 2)
    mean = downscale_local_mean(np.pad(array, odd, mode="edge"), blocks)
    return np.asarray(np.rint(mean) if array.dtype.kind in "ui" else mean).astype(array.dtype)


def _name(letter: str) -> str:
    return "plane" if letter == UNKNOWN else letter.lower()


def _axis(letter: str, unit: str) -> dict[str, str]:
    if letter == UNKNOWN:
        return {"name": _name(letter)}
    kind = _TYPES.get(letter)
    if kind is None:
        return {"name": _name(letter), "type": "channel"}
    known = known_unit(unit, kind)
    return {"name": _name(letter), "type": kind, **({"unit": known.name} if known else {})}


def _described(image: LabelledImage, version: Version) -> dict[str, Any]:
    """The names and colours of the labels."""
    return {
        "version": version,
        "colors": _colours(image),
        "properties": [
            {"label-value": label, "class": name} for label, name in label_names(image).items()
        ],
    }


def _colours(image: LabelledImage) -> list[dict[str, Any]]:
    colours = [{"label-value": label, "rgba": [*colour, 255]}
               for label, colour in image.colours.items()]  # fmt: skip
    return [{"label-value": 0, "rgba": [0, 0, 0, 0]}, *colours]


def _omero(array: NDArray[Any], letters: str) -> dict[str, Any]:
    """Rendering metadata that declare three or four 8-bit channels as RGB or RGBA."""
    count = array.shape[letters.index("C")] if "C" in letters else 0
    if array.dtype != np.uint8 or count not in (3, 4):
        return {}
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    channels = [
        {"label": name, "color": colour, "active": name != "alpha", "window": window}
        for name, colour in _CHANNELS[:count]
    ]
    return {"omero": {"channels": channels, "rdefs": {"model": "color"}}}
