"""Axes and pixel sizes of a TIFF, from the metadata of ImageJ, of OME or of our own files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from numpy.typing import NDArray

from ..labels.axes import UNKNOWN, axes_from_names
from ..labels.labelled_image import PIXEL
from ..labels.units import Kind, known_unit
from .decoded_image import DecodedImage
from .image_decoding import tiff_metadata
from .tiff_decoding import TiffMetadata
from .writers.tiff import AXES_KEY, AXES_NAMESPACE

_LETTERS = frozenset("TZCYX" + UNKNOWN)


@dataclass(frozen=True, eq=False)
class TiffAxes:
    """The array of a TIFF with its axes and pixel sizes.

    Parameters
    ----------
    array : (..., Y, X) array
    axes : str
        A letter for each axis (see `labels.axes`).
    pixel_size : tuple of float
        Length of a pixel along each axis; 1 if the file does not give it.
    units : tuple of str
        The unit of each length; ``"pixel"`` if the file does not give it.
    """

    array: NDArray[Any]
    axes: str
    pixel_size: tuple[float, ...]
    units: tuple[str, ...]


def with_axes_of_tiff(decoded: DecodedImage) -> TiffAxes:
    """The array of a TIFF with its axes, rows and columns last.

    Axes of length 1 are dropped, except in our own files, whose axes are restored as written.

    Parameters
    ----------
    decoded : DecodedImage
        Without an axis of samples.
    """
    root = ET.fromstring(decoded.ome) if decoded.ome else None  # noqa: S314 - as for the classes
    axes, array = _arranged(decoded, *_own_axes(decoded, root))
    found = axes_from_names(axes, array.ndim)
    known = _calibration(decoded, root)
    pairs = [known.get(letter, (1.0, PIXEL)) for letter in found]
    return TiffAxes(
        array, found, tuple(size for size, _ in pairs), tuple(unit for _, unit in pairs)
    )


def pixel_sizes_of_tiff(path: Path) -> dict[str, tuple[float, str]]:
    """Return length and unit of a pixel along each axis for which a TIFF gives them.

    Parameters
    ----------
    path : Path
        Formats other than TIFF give none.

    Returns
    -------
    dict of str to (float, str)
        By the letter of the axis; see `labels.axes`.

    Raises
    ------
    FileError
        As `image_decoding.decode_image`.
    """
    found = tiff_metadata(path)
    if found is None:
        return {}
    root = ET.fromstring(found.ome) if found.ome else None  # noqa: S314 - as for the classes
    return _calibration(found, root)


def _own_axes(decoded: DecodedImage, root: ET.Element | None) -> tuple[str, str]:
    """Axes of the labels in a file of ours, and the letters they are stored as; else empty."""
    if root is None:
        names, _, stored = str(decoded.imagej.get(AXES_KEY, "")).partition(" as ")
        return names, stored
    for annotation in root.iterfind(".//{*}MapAnnotation"):
        if annotation.get("Namespace") == AXES_NAMESPACE:
            entries = {one.get("K"): one.text or "" for one in annotation.iterfind("{*}Value/{*}M")}
            return entries.get("axes", ""), entries.get("stored", "")
    return "", ""


def _arranged(decoded: DecodedImage, names: str, stored: str) -> tuple[str, NDArray[Any]]:
    """The axes and the array: as written in our own files, else without axes of length 1."""
    sizes = dict(zip(decoded.axes, decoded.pixels.shape, strict=True))
    ours = (
        len(names) == len(stored) == len(set(stored))
        and set(names + stored) <= _LETTERS
        and stored.endswith("YX")
        and math.prod(sizes.get(letter, 1) for letter in stored) == decoded.pixels.size
    )
    own_order = stored if ours else None
    kept = [
        i for i, letter in enumerate(decoded.axes)
        if letter in "YX" or decoded.pixels.shape[i] > 1
    ]  # fmt: skip
    array = decoded.pixels.reshape([decoded.pixels.shape[i] for i in kept])
    axes = "".join(decoded.axes[i] for i in kept)
    order = [i for i, letter in enumerate(axes) if letter not in "YX"]
    if own_order is not None and len(set(axes)) == len(axes):
        order = [axes.index(letter) for letter in own_order[:-2] if letter in axes]
    order += [axes.index("Y"), axes.index("X")]
    array = array.transpose(order)
    if own_order is None:
        return "".join(axes[i] for i in order), array
    return names, array.reshape([sizes.get(letter, 1) for letter in own_order])


def _calibration(
    decoded: DecodedImage | TiffMetadata, root: ET.Element | None
) -> dict[str, tuple[float, str]]:
    """Size and unit of a pixel along each axis for which the file gives them."""
    found: dict[str, tuple[Any, Any]] = {}
    if root is not None:
        pixels = root.find(".//{*}Pixels")
        given = {} if pixels is None else pixels.attrib
        for axis in "XYZ":  # micrometres and seconds are the defaults of the schema
            unit = given.get(f"PhysicalSize{axis}Unit", "µm")
            found[axis] = given.get(f"PhysicalSize{axis}"), unit
        found["T"] = given.get("TimeIncrement"), given.get("TimeIncrementUnit", "s")
    elif decoded.imagej:
        unit = decoded.imagej.get("unit", PIXEL)
        for axis, length in zip("YX", decoded.pixel_lengths, strict=True):
            found[axis] = length, decoded.imagej.get(f"{axis.lower()}unit", unit)
        found["Z"] = decoded.imagej.get("spacing"), decoded.imagej.get("zunit", unit)
        found["T"] = decoded.imagej.get("finterval"), decoded.imagej.get("tunit", "sec")
    lengths = {axis: _length(size, unit, axis) for axis, (size, unit) in found.items()}
    return {axis: one for axis, one in lengths.items() if one is not None}


def _length(size: Any, word: Any, axis: str) -> tuple[float, str] | None:
    try:
        value = float(size)
    except (TypeError, ValueError):
        return None
    if not (math.isfinite(value) and value > 0):
        return None
    kind: Kind = "time" if axis == "T" else "space"
    unit = known_unit(str(word).replace("\\u00B5", "µ"), kind)
    return value, PIXEL if unit is None else unit.name
