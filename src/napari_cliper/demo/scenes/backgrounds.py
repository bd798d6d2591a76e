"""The grounds, on which the objects of a scene lie, and the functions that draw them.

Noise is Perlin's lattice noise ("An image synthesizer", SIGGRAPH 1985) with cubic B-spline weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .colours import Colour, Plane, mix

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Ground:
    """A ground: its name and synonyms."""

    name: str
    synonyms: tuple[str, ...]


GROUNDS: tuple[Ground, ...] = (
    Ground("dark fluorescence field", ("dark field", "fluorescence background")),
    Ground("bright field", ("bright background", "clear slide")),
    Ground("stained tissue", ("tissue", "pink tissue section")),
    Ground("agar", ("agar plate", "culture medium")),
    Ground("phase contrast field", ("phase contrast", "grey background")),
)


class Extent(NamedTuple):
    """The size of a scene.

    Attributes
    ----------
    shape : (int, int)
        (Y, X) in pixels.
    unit : int
        The length of the layout's unit, in pixels.
    """

    shape: tuple[int, int]
    unit: int


def _field(extent: Extent, cells: float, rng: np.random.Generator) -> Plane:
    """Draw smooth noise, (Y, X), of about unit spread with `cells` knots along the unit."""
    taps, knots = [], []
    for side in extent.shape:
        position = (np.arange(side, dtype=np.float32) + 0.5) * (cells / extent.unit)
        start = position.astype(np.intp)
        t = position - start
        s = 1.0 - t
        bumps = (s**3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * s**2 + 3 * s**3, t**3)
        taps.append([(start + i, bump / 6.0) for i, bump in enumerate(bumps)])
        knots.append(math.ceil(cells * side / extent.unit) + 4)
    lattice = rng.standard_normal(knots, dtype=np.float32)
    rows = np.add.reduce([lattice[i] * w[:, None] for i, w in taps[0]])  # (Y, knots)
    field = np.add.reduce([rows[:, i] * w for i, w in taps[1]])  # (Y, X)
    return np.asarray(field * 2.0, np.float32)


def _tinted(colour: Plane, light: Plane) -> Plane:
    return np.asarray(np.clip(light[..., None] * colour, 0.0, 1.0))  # (Y, X, 3)


def _dark_field(extent: Extent, rng: np.random.Generator) -> Plane:
    """Draw near black with a haze of out-of-focus light."""
    colour = mix(((0.05, 0.06, 0.14), (0.04, 0.10, 0.09), (0.09, 0.06, 0.09)), 0.01, rng)
    haze = 0.9 + 0.4 * _field(extent, 3.0, rng) + 0.18 * _field(extent, 14.0, rng)
    return _tinted(colour, np.maximum(haze, 0.25))


def _bright_field(extent: Extent, rng: np.random.Generator) -> Plane:
    """Draw light through a clean slide with some out-of-focus dust."""
    colour = mix(((0.93, 0.92, 0.88), (0.88, 0.91, 0.93), (0.95, 0.90, 0.80)), 0.01, rng)
    dust = np.maximum(_field(extent, 20.0, rng) - 1.9, 0.0)
    return _tinted(colour, 0.97 + 0.02 * _field(extent, 4.0, rng) - 0.16 * dust)


def _tissue(extent: Extent, rng: np.random.Generator) -> Plane:
    """Draw bundles of eosin-stained stroma, paler where the section has gaps."""
    colour = mix(((0.92, 0.66, 0.78), (0.86, 0.58, 0.72), (0.94, 0.72, 0.76)), 0.02, rng)
    angle = rng.uniform(0, math.tau)
    y, x = (np.arange(side, dtype=np.float32) / extent.unit for side in extent.shape)
    along = math.cos(angle) * x[None, :] + math.sin(angle) * y[:, None]
    bend = _field(extent, 3.5, rng)
    bundles = np.sin(rng.uniform(40.0, 60.0) * along + 4.0 * bend + 1.2 * _field(extent, 9.0, rng))
    stroma = _tinted(colour, 0.96 + 0.07 * bundles + 0.035 * _field(extent, 40.0, rng))
    gap = np.clip(_field(extent, 5.0, rng) - 0.9, 0.0, 1.0)[..., None]
    return np.asarray(stroma + gap * 0.7 * (0.94 - stroma))


def _agar(extent: Extent, rng: np.random.Generator) -> Plane:
    """Draw cloudy, grainy amber gel."""
    colour = mix(((0.80, 0.66, 0.42), (0.74, 0.66, 0.48), (0.84, 0.70, 0.50)), 0.02, rng)
    cloud = 0.06 * _field(extent, 6.0, rng) + 0.05 * _field(extent, 24.0, rng)
    return _tinted(colour, 0.94 + cloud + 0.05 * _field(extent, 64.0, rng))


def _phase_contrast(extent: Extent, rng: np.random.Generator) -> Plane:
    """Draw medium grey with the ripples of phase rings."""
    colour = mix(((0.50, 0.52, 0.52), (0.46, 0.52, 0.48), (0.52, 0.52, 0.56)), 0.01, rng)
    ripple = np.sin(3.0 * _field(extent, 8.0, rng))
    return _tinted(colour, 1.0 + 0.06 * ripple + 0.06 * _field(extent, 48.0, rng))


class Backdrop(NamedTuple):
    """The function that draws a ground, and the halos of objects on it."""

    draw: Callable[[Extent, np.random.Generator], Plane]
    halo: Colour | None  # colour of the halo around an object; None for that of the object
    halo_strength: float
    dark: bool = False  # objects are fluorescent


BACKDROPS: dict[str, Backdrop] = {
    "dark fluorescence field": Backdrop(_dark_field, None, 0.22, dark=True),
    "bright field": Backdrop(_bright_field, (0.45, 0.45, 0.45), 0.25),
    "stained tissue": Backdrop(_tissue, (0.95, 0.90, 0.93), 0.55),
    "agar": Backdrop(_agar, (0.40, 0.30, 0.15), 0.35),
    "phase contrast field": Backdrop(_phase_contrast, (0.95, 0.96, 0.95), 0.60),
}
