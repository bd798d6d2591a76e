"""Units of length and time in the spelling of each file format.

Sources: the axis units recommended by OME-Zarr 0.4 and 0.5; the enumerations UnitsLength and
UnitsTime of the OME-XML schema 2016-06; the units of ImageJ's calibration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["space", "time"]


@dataclass(frozen=True)
class Unit:
    """A unit in the spellings of the file formats.

    Parameters
    ----------
    name : str
        Spelling in napari and OME-Zarr.
    kind : "space" or "time"
    ome, imagej : str
        Spelling in OME-XML and in ImageJ.
    size : float
        In metres or seconds.
    """

    name: str
    kind: Kind
    ome: str
    imagej: str
    size: float


_ALL = (
    Unit("angstrom", "space", "Å", "Å", 1e-10),
    Unit("picometer", "space", "pm", "pm", 1e-12),
    Unit("nanometer", "space", "nm", "nm", 1e-9),
    Unit("micrometer", "space", "µm", "um", 1e-6),
    Unit("millimeter", "space", "mm", "mm", 1e-3),
    Unit("centimeter", "space", "cm", "cm", 1e-2),
    Unit("meter", "space", "m", "m", 1.0),
    Unit("kilometer", "space", "km", "km", 1e3),
    Unit("inch", "space", "in", "inch", 0.0254),
    Unit("nanosecond", "time", "ns", "ns", 1e-9),
    Unit("microsecond", "time", "µs", "us", 1e-6),
    Unit("millisecond", "time", "ms", "msec", 1e-3),
    Unit("second", "time", "s", "sec", 1.0),
    Unit("minute", "time", "min", "min", 60.0),
    Unit("hour", "time", "h", "hour", 3600.0),
    Unit("day", "time", "d", "day", 86400.0),
)

# Other spellings: Greek mu instead of the micro sign, and the angstrom sign.
_OTHER = {
    "micron": "micrometer",
    "\u03bcm": "micrometer",
    "\u03bcs": "microsecond",
    "\u212b": "angstrom",
}

UNITS: Mapping[str, Unit] = MappingProxyType(
    {
        **{unit.name: unit for unit in _ALL},
        **{unit.name.replace("meter", "metre"): unit for unit in _ALL},
        **{unit.ome: unit for unit in _ALL},
        **{unit.imagej: unit for unit in _ALL},
        **{word: unit for word, name in _OTHER.items() for unit in _ALL if unit.name == name},
    }
)
"""Units by each of their spellings."""


def known_unit(word: str, kind: Kind) -> Unit | None:
    """Look up a unit by any spelling; None if it is unknown or of another kind."""
    unit = UNITS.get(word.strip())
    return unit if unit is not None and unit.kind == kind else None


def in_one_unit(
    sizes: Sequence[float], units: Sequence[str]
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Convert lengths in several units to that of the last one.

    Parameters
    ----------
    sizes : sequence of float
    units : sequence of str
        In any spelling.

    Returns
    -------
    (tuple of float, tuple of str)
        As given if a unit is not one of length, or if all have one spelling.
    """
    known = [found for word in units if (found := known_unit(word, "space")) is not None]
    if len(known) < len(units) or len(set(units)) < 2:
        return tuple(sizes), tuple(units)
    last = known[-1]
    lengths = (
        size if unit is last else size * unit.size / last.size
        for size, unit in zip(sizes, known, strict=True)
    )
    return tuple(lengths), (last.name,) * len(known)


def micrometres(sizes: Sequence[float], units: Sequence[str]) -> float | None:
    """Return the side of a square of the same area as a pixel, in micrometres.

    Parameters
    ----------
    sizes : sequence of float
        Height and width of the pixel.
    units : sequence of str
        Their units, in any spelling.

    Returns
    -------
    float or None
        None if a unit is not one of length, such as ``"pixel"``, or a size is not above 0.
    """
    lengths = [
        size * unit.size
        for size, word in zip(sizes, units, strict=True)
        if (unit := known_unit(word, "space")) is not None and math.isfinite(size) and size > 0
    ]
    return 1e6 * math.prod(lengths) ** (1 / len(lengths)) if len(lengths) == len(sizes) else None
