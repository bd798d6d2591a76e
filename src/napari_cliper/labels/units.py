"""Units of length and time in the spelling of each file format.

Sources: the axis units recommended by OME-Zarr 0.4 and 0.5; the enumerations UnitsLength and
UnitsTime of the OME-XML schema 2016-06; the units of ImageJ's calibration.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """

    name: str
    kind: Kind
    ome: str
    imagej: str


_ALL = (
    Unit("angstrom", "space", "Å", "Å"),
    Unit("picometer", "space", "pm", "pm"),
    Unit("nanometer", "space", "nm", "nm"),
    Unit("micrometer", "space", "µm", "um"),
    Unit("millimeter", "space", "mm", "mm"),
    Unit("centimeter", "space", "cm", "cm"),
    Unit("meter", "space", "m", "m"),
    Unit("kilometer", "space", "km", "km"),
    Unit("inch", "space", "in", "inch"),
    Unit("nanosecond", "time", "ns", "ns"),
    Unit("microsecond", "time", "µs", "us"),
    Unit("millisecond", "time", "ms", "msec"),
    Unit("second", "time", "s", "sec"),
    Unit("minute", "time", "min", "min"),
    Unit("hour", "time", "h", "hour"),
    Unit("day", "time", "d", "day"),
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
