"""Pixel sizes in micrometres: how they are written, and which differ too much for prototypes."""

from __future__ import annotations

import math

from .errors import InvalidInputError

FACTOR = 1.5
"""Ratio of two pixel sizes beyond which objects look too different for the same prototypes."""

_UNITS = (("m", 1e6), ("mm", 1e3), ("µm", 1.0), ("nm", 1e-3))


def check_pixel_size(size: float) -> None:
    """Raise an error for a pixel size that is not a finite number above 0.

    Raises
    ------
    InvalidInputError
    """
    if not (math.isfinite(size) and size > 0):
        raise InvalidInputError(f"The pixel size is {size:g} µm; it must be above 0.")


def ratio(one: float, other: float) -> float:
    """Return the larger of two pixel sizes divided by the smaller, at least 1."""
    return max(one, other) / min(one, other)


def length_text(size: float) -> str:
    """Return a length in micrometres as text, in the unit that suits it, such as ``"0.5 µm"``."""
    name, factor = next((unit for unit in _UNITS if size >= 0.1 * unit[1]), _UNITS[-1])
    return f"{size / factor:.3g} {name}"
