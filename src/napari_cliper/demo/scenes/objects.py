"""The kinds of objects in a scene, and the functions that draw them.

Each function takes the coordinates (h, w) along and across the object, in radii, and the random
generator. The number of values it draws does not depend on the number of pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .colours import Colour, Plane

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Kind:
    """A kind of object: its name and synonyms, plurals included."""

    name: str
    synonyms: tuple[str, ...]


KINDS: tuple[Kind, ...] = (
    Kind("nucleus", ("nuclei", "cell nucleus", "cell nuclei")),
    Kind("bacterium", ("bacteria", "bacillus", "rod-shaped bacteria")),
    Kind("fibre", ("fibres", "fiber", "fibers", "filament")),
    Kind("bubble", ("bubbles", "air bubble", "air bubbles")),
    Kind("crystal", ("crystals", "mineral crystal", "salt crystal")),
    Kind("pollen grain", ("pollen", "pollen grains", "spiky pollen")),
    Kind("diatom", ("diatoms", "diatom frustule", "pennate diatom")),
    Kind("red blood cell", ("red blood cells", "erythrocyte", "erythrocytes")),
    Kind("yeast", ("yeast cell", "yeast cells", "budding yeast")),
)


class Paint(NamedTuple):
    """A drawn object: three arrays (h, w)."""

    depth: Plane  # approximate distance to the outline, in radii; > 0 inside
    shade: Plane  # 0 black, 1 the colour of the object, 2 white
    opacity: Plane | float


def _waves(u: Plane, v: Plane, frequency: float, rng: np.random.Generator) -> Plane:
    """Draw an irregular pattern of three crossed waves, about -1 to 1."""
    total = np.zeros_like(u)
    for turn in (0.0, 1.05, 2.1):
        angle, phase = turn + rng.uniform(-0.4, 0.4), rng.uniform(0.0, math.tau)
        k = frequency * rng.uniform(0.7, 1.3)
        total += np.sin(k * math.cos(angle) * u + k * math.sin(angle) * v + phase)
    return total * 0.45


def _spot(u: Plane, v: Plane, at: tuple[float, float], size: float) -> Plane:
    squared = (u - at[0]) ** 2 + (v - at[1]) ** 2
    return np.exp(squared * (-1.0 / size**2))


def _nucleus(u: Plane, v: Plane, rng: np.random.Generator) -> Paint:
    """Draw a round body with an uneven outline, mottled chromatin and nucleoli."""
    narrow = rng.uniform(0.78, 1.0)
    rho, theta = np.hypot(u, v / narrow), np.arctan2(v, u)
    edge = 0.98 + 0.05 * np.sin(2 * theta + rng.uniform(0, math.tau))
    edge += 0.04 * np.sin(3 * theta + rng.uniform(0, math.tau))
    depth = (edge - rho) * narrow
    shade = 0.95 + 0.2 * _waves(u, v, 6.5, rng) - 0.25 * np.exp(-np.abs(depth) / 0.08)
    spots = int(rng.integers(1, 4))
    for _ in range(spots):
        at = (rng.uniform(-0.5, 0.5), rng.uniform(-0.4, 0.4))
        shade -= 0.5 * _spot(u, v, at, rng.uniform(0.16, 0.24))
    return Paint(depth, np.maximum(shade, 0.2), 0.92)


def _bacterium(u: Plane, v: Plane, rng: np.random.Generator) -> Paint:
    """Draw a bent rod with round ends, sometimes constricted in the middle by division."""
    long, wide, bend = rng.uniform(1.15, 1.4), rng.uniform(0.46, 0.56), rng.uniform(-0.18, 0.18)
    pinch = 0.3 * float(rng.random() < 0.4)
    across = v - bend * u * u
    radius = wide * (1.0 - pinch * np.exp(-((u / 0.18) ** 2)))
    depth = radius - np.hypot(np.maximum(np.abs(u) - (long - wide), 0.0), across)
    shade = 0.72 + 0.45 * np.clip(depth / wide, 0.0, 1.0) + 0.06 * _waves(u, v, 5.0, rng)
    return Paint(depth, shade, 0.95)


def _fibre(u: Plane, v: Plane, rng: np.random.Generator) -> Paint:
    """Draw a long wavy fibre with a round cross section and twisted strands."""
    long, wide = rng.uniform(2.3, 3.0), rng.uniform(0.31, 0.36)
    swing, k, phase = rng.uniform(0.15, 0.6), rng.uniform(0.6, 1.3), rng.uniform(0, math.tau)
    slope = swing * k * np.cos(k * u + phase)
    across = (v - swing * np.sin(k * u + phase)) / np.sqrt(1.0 + slope**2)
    depth = np.minimum(wide - np.abs(across), long - np.abs(u))
    strands = np.sin(rng.uniform(6.0, 9.0) * u + across * (5.0 / wide))
    shade = 1.12 - 0.45 * (across / wide) ** 2 + 0.16 * strands
    return Paint(depth, np.clip(shade, 0.3, 1.4), 0.96)


def _bubble(u: Plane, v: Plane, rng: np.random.Generator) -> Paint:
    """Draw a clear disc with a dark rim, a bright ring inside and a highlight."""
    rho = np.hypot(u, v)
    rim, ring = rng.uniform(0.1, 0.15), rng.uniform(0.62, 0.7)
    dark = np.exp(-(((rho - 0.9) / rim) ** 2))
    bright = np.exp(-(((rho - ring) / 0.1) ** 2))
    turn = rng.uniform(0, math.tau)
    glint = _spot(u, v, (0.35 * math.cos(turn), 0.35 * math.sin(turn)), 0.17)
    lens = np.clip(1.0 - rho * rho, 0.0, 1.0)  # brighter towards the centre
    shade = 1.0 - 0.95 * dark + 0.8 * bright + 0.95 * glint + 0.35 * lens
    opacity = 0.55 + 0.43 * np.maximum(np.maximum(dark, bright), glint)
    return Paint(1.0 - rho, np.clip(shade, 0.0, 2.0), np.minimum(opacity, 1.0))


def _crystal(u: Plane, v: Plane, rng: np.random.Generator) -> Paint:
    """Draw a convex polygon with facets of different brightness around a flat top."""
    sides = int(rng.integers(4, 7))
    light, table = rng.uniform(0, math.tau), rng.uniform(0.3, 0.42)
    planes, lights = [], []
    for side in range(sides):
        angle = math.tau * (side + rng.uniform(-0.12, 0.12)) / sides
        planes.append(rng.uniform(0.78, 0.95) - math.cos(angle) * u - math.sin(angle) * v)
        lights.append(0.9 + 0.45 * math.cos(angle - light))
    stack = np.stack(planes)  # (sides, h, w)
    first, second = np.partition(stack, 1, axis=0)[:2]
    shade = np.asarray(lights, np.float32)[np.argmin(stack, axis=0)]
    on_table = first > table
    shade[on_table] = 1.3
    crease = np.minimum(np.where(on_table, 1.0, second - first), np.abs(first - table))
    shade -= 0.35 * np.exp(-crease / 0.05) + 0.5 * np.exp(-np.abs(first) / 0.06)
    return Paint(first, np.maximum(shade, 0.1), 0.93)


def _pollen(u: Plane, v: Plane, rng: np.random.Generator) -> Paint:
    """Draw a ball with spines and a pitted wall."""
    rho, theta = np.hypot(u, v), np.arctan2(v, u)
    spines = int(rng.integers(10, 15))
    saw = np.abs((theta * (spines / math.tau)) % 1.0 - 0.5) * 2.0  # 1 at a tip
    depth = (0.82 + 0.24 * saw - rho) * 0.8
    ball = np.sqrt(np.maximum(1.0 - rho * rho, 0.0))
    steep = 1.5 - 0.5 * ball  # the pattern is denser towards the edge of the ball
    pits = _waves(u * steep, v * steep, 9.0, rng)
    shade = 0.55 + 0.6 * ball + 0.3 * pits - 0.3 * np.exp(-(((rho - 0.82) / 0.09) ** 2))
    return Paint(depth, np.clip(shade, 0.25, 1.5), 0.97)


def _diatom(u: Plane, v: Plane, rng: np.random.Generator) -> Paint:
    """Draw a glassy boat shape with striae across it and a raphe along it."""
    long, wide = rng.uniform(1.25, 1.45), rng.uniform(0.54, 0.64)
    profile = wide * np.maximum(1.0 - (u / long) ** 2, 0.0) ** 0.75
    past = np.maximum(np.abs(u) - long, 0.0)
    depth = (profile - np.abs(v) - past) * 0.85
    striae = np.sin(u * (math.tau / rng.uniform(0.3, 0.42)) + rng.uniform(0, math.tau))
    raphe = np.exp(-((v / 0.07) ** 2)) * (1.0 - _spot(u, v, (0.0, 0.0), 0.2))
    shade = 1.1 + 0.4 * striae + 0.55 * raphe - 0.7 * np.exp(-np.abs(depth) / 0.07)
    return Paint(depth, np.clip(shade, 0.15, 1.7), 0.88)


def _red_blood_cell(u: Plane, v: Plane, rng: np.random.Generator) -> Paint:
    """Draw a disc that is thinner, and therefore paler, in the middle."""
    narrow = rng.uniform(0.86, 1.0)
    rho = np.hypot(u, v / narrow)
    hollow = np.exp(-((rho / rng.uniform(0.4, 0.55)) ** 2))
    shade = 1.0 + 0.75 * hollow - 0.25 * np.exp(-(((rho - 0.97) / 0.1) ** 2))
    return Paint((1.0 - rho) * narrow, shade, 0.9 - 0.25 * hollow)


def _yeast(u: Plane, v: Plane, rng: np.random.Generator) -> Paint:
    """Draw a refractile oval with a bud, a dark outline, a vacuole and granules."""
    bud, narrow = rng.uniform(0.42, 0.55), rng.uniform(0.82, 0.95)
    mother = (1.0 - np.hypot((u + 0.3) / 0.82, v / (0.82 * narrow))) * 0.75
    depth = np.maximum(mother, bud - np.hypot(u - 0.78, v - rng.uniform(-0.2, 0.2)))
    vacuole = _spot(u, v, (rng.uniform(-0.5, -0.2), rng.uniform(-0.2, 0.2)), 0.3)
    shade = 1.15 - 0.45 * vacuole + 0.1 * _waves(u, v, 8.0, rng)
    shade -= 0.95 * np.exp(-(((depth - 0.04) / 0.08) ** 2))
    return Paint(depth, np.clip(shade, 0.1, 1.6), 0.94)


class Drawing(NamedTuple):
    """The function that draws a kind of object, with its size and colours."""

    draw: Callable[[Plane, Plane, np.random.Generator], Paint]
    reach: float  # largest distance from the centre, in radii
    size: float  # relative to the other kinds
    stained: tuple[Colour, ...]  # colours on light ground; mixtures of them are drawn
    glowing: tuple[Colour, ...]  # colours on dark ground

    def stains(self, dark: bool) -> tuple[Colour, ...]:
        """Colours on dark or light ground."""
        return self.glowing if dark else self.stained


# fmt: off
DRAWINGS: dict[str, Drawing] = {
    "nucleus": Drawing(_nucleus, 1.1, 1.0,
        ((0.38, 0.20, 0.58), (0.24, 0.22, 0.56), (0.50, 0.24, 0.54)),
        ((0.22, 0.36, 1.00), (0.18, 0.60, 1.00), (0.45, 0.35, 0.98))),
    "bacterium": Drawing(_bacterium, 1.5, 1.0,
        ((0.04, 0.45, 0.42), (0.10, 0.55, 0.30), (0.05, 0.38, 0.28)),
        ((0.22, 0.95, 0.35), (0.50, 0.95, 0.22), (0.15, 0.90, 0.60))),
    "fibre": Drawing(_fibre, 3.1, 0.95,
        ((0.22, 0.24, 0.30), (0.20, 0.32, 0.52), (0.42, 0.33, 0.28)),
        ((0.95, 0.32, 0.20), (0.95, 0.50, 0.38), (0.90, 0.22, 0.42))),
    "bubble": Drawing(_bubble, 1.0, 0.95,
        ((0.72, 0.74, 0.75), (0.80, 0.80, 0.76), (0.66, 0.72, 0.78)),
        ((0.30, 0.32, 0.36), (0.22, 0.28, 0.34), (0.38, 0.36, 0.34))),
    "crystal": Drawing(_crystal, 1.6, 0.95,
        ((0.62, 0.84, 0.94), (0.62, 0.70, 0.95), (0.86, 0.74, 0.92)),
        ((0.55, 0.82, 0.92), (0.60, 0.68, 0.92), (0.84, 0.66, 0.90))),
    "pollen grain": Drawing(_pollen, 1.1, 1.0,
        ((0.92, 0.66, 0.10), (0.82, 0.50, 0.08), (0.95, 0.80, 0.22)),
        ((0.95, 0.72, 0.10), (0.90, 0.52, 0.08), (0.98, 0.88, 0.25))),
    "diatom": Drawing(_diatom, 1.5, 1.1,
        ((0.58, 0.46, 0.18), (0.48, 0.48, 0.20), (0.62, 0.50, 0.32)),
        ((0.68, 0.58, 0.28), (0.58, 0.62, 0.30), (0.72, 0.62, 0.42))),
    "red blood cell": Drawing(_red_blood_cell, 1.0, 0.95,
        ((0.86, 0.30, 0.26), (0.76, 0.20, 0.22), (0.90, 0.44, 0.34)),
        ((0.72, 0.12, 0.10), (0.60, 0.06, 0.10), (0.80, 0.24, 0.14))),
    "yeast": Drawing(_yeast, 1.35, 1.05,
        ((0.90, 0.90, 0.70), (0.78, 0.84, 0.66), (0.92, 0.86, 0.76)),
        ((0.72, 0.78, 0.62), (0.64, 0.74, 0.66), (0.80, 0.76, 0.64))),
}
# fmt: on
