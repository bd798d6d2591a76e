"""Units of length and time, as each file format spells them.

Sources: the units that OME-Zarr 0.4 and 0.5 recommend for axes; the enumerations UnitsLength
and UnitsTime of the OME-XML schema 2016-06; the words that ImageJ's calibration knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["space", "time"]


@dataclass(frozen=True)
class Unit:
    """One unit.

    Parameters
    ----------
    name : str
        As napari and OME-Zarr write it.
    kind : "space" or "time"
    ome, imagej : str
        As OME-XML and ImageJ write it.
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

# Other spellings: Greek mu beside the sign for "micro", and the sign for angstrom.
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
"""Every unit by every spelling of it."""


def known_unit(word: str, kind: Kind) -> Unit | None:
    """The unit of a kind that a word stands for; None where it is not known."""
    unit = UNITS.get(word.strip())
    return unit if unit is not None and unit.kind == kind else None
