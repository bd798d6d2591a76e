"""Procedurally made microscopy-like scenes with their exact label map.

Made for training, testing and showing the demo model; no image of anyone's is used.
A scene is laid out in units of its shorter side, so that one seed is one scene at any
resolution. The steps are those of an instrument: a ground (lattice noise: Perlin, "An
image synthesizer", SIGGRAPH 1985, here with cubic B-spline weights), objects painted one
over the other, then uneven light, the blur of the optics, and shot and read noise.

Only the camera's noise depends on the resolution: everything else is drawn from a
generator whose number of draws does not depend on the pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Plane = NDArray[np.floating[Any]]  # float32 throughout; numpy's own types say less
Colour = tuple[float, float, float]

SMALLEST_SIDE = 16


@dataclass(frozen=True)
class Kind:
    """What can stand in a scene: its name, and other words for it, plurals included."""

    name: str
    synonyms: tuple[str, ...]


@dataclass(frozen=True)
class Ground:
    """What the objects lie on: its name, and other words for it."""

    name: str
    synonyms: tuple[str, ...]


@dataclass(frozen=True, eq=False)  # arrays have no single truth value to compare by
class Scene:
    """An image and what is in it.

    Attributes
    ----------
    image : uint8 array of shape (Y, X, 3)
        RGB, 0 to 255.
    labels : uint8 array of shape (Y, X)
        0 is the ground, ``i + 1`` is ``KINDS[i]``; of overlapping objects the topmost.
    kinds : tuple of str
        Names of the kinds with at least one visible pixel, in the order of `KINDS`.
    ground : str
        Name of the ground.
    seed : int
        The seed it was made from.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    kinds: tuple[str, ...]
    ground: str
    seed: int


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

GROUNDS: tuple[Ground, ...] = (
    Ground("dark fluorescence field", ("dark field", "fluorescence background")),
    Ground("bright field", ("bright background", "clear slide")),
    Ground("stained tissue", ("tissue", "pink tissue section")),
    Ground("agar", ("agar plate", "culture medium")),
    Ground("phase contrast field", ("phase contrast", "grey background")),
)


def make_scene(
    shape: tuple[int, int] = (256, 256),
    seed: int = 0,
    *,
    kinds: Sequence[str] | None = None,
    ground: str | None = None,
) -> Scene:
    """Make the scene that belongs to a seed.

    Parameters
    ----------
    shape : (Y, X)
        Size in pixels, each side at least 16. A longer side shows more objects, not
        larger ones.
    seed : int
        Not negative. The same seed, words and proportions give the same scene at every
        size, but for the noise of the camera.
    kinds : sequence of str, optional
        Names of the kinds to draw; every one of them is placed at least once. One to
        four kinds are chosen where none are named; an empty sequence gives bare ground.
    ground : str, optional
        Name of the ground; chosen by the seed where none is named.

    Returns
    -------
    Scene

    Raises
    ------
    ValueError
        For an unknown kind or ground, and for a side below 16.

    Examples
    --------
    >>> scene = make_scene((64, 64), seed=3, kinds=["nucleus"], ground="agar")
    >>> scene.image.shape, scene.kinds, scene.labels.max().item()
    ((64, 64, 3), ('nucleus',), 1)
    """
    if min(shape) < SMALLEST_SIDE:
        raise ValueError(
            f"a scene of shape {shape} is too small: each side must be {SMALLEST_SIDE} or more"
        )
    names = [kind.name for kind in KINDS]
    for name in kinds or ():
        _check_known("kind", name, names)
    if ground is not None:
        _check_known("ground", ground, list(_BACKDROPS))

    layout, texture, camera = np.random.default_rng(seed).spawn(3)
    drawn_ground = list(_BACKDROPS)[int(layout.integers(len(_BACKDROPS)))]
    drawn_kinds = layout.permutation(names)[: int(layout.integers(1, 5))].tolist()
    ground = drawn_ground if ground is None else ground
    wanted = drawn_kinds if kinds is None else list(dict.fromkeys(kinds))

    backdrop = _BACKDROPS[ground]
    image = backdrop.draw(shape, texture)
    labels = np.zeros(shape, np.uint8)
    stains = {name: _mix(_PROTOTYPES[name].stains(backdrop.dark), 0.04, layout) for name in wanted}
    for thing in _lay_out(shape, wanted, layout):
        _put(thing, stains[thing.kind], backdrop, image, labels, layout)
    _expose(image, texture, camera)

    present = np.bincount(labels.ravel(), minlength=len(KINDS) + 1)[1:] > 0
    return Scene(
        image=(image * 255.0 + 0.5).astype(np.uint8),
        labels=labels,
        kinds=tuple(name for name, seen in zip(names, present, strict=True) if seen),
        ground=ground,
        seed=seed,
    )


def _check_known(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}: choose from {', '.join(known)}")


# ---------------------------------------------------------------------------- layout


class _Thing(NamedTuple):
    """One object to be drawn; lengths in shorter sides of the image."""

    kind: str
    y: float
    x: float
    radius: float
    angle: float


def _lay_out(
    shape: tuple[int, int], kinds: Sequence[str], rng: np.random.Generator
) -> list[_Thing]:
    """Place 4 to 9 objects per square of the shorter side, some of them touching.

    Centres keep 0.72 of the sum of the radii between them where there is room, so that
    objects overlap but none hides another wholly.
    """
    if not kinds:
        return []
    high, wide = (side / min(shape) for side in shape)
    per_square = int(rng.integers(4, 10))
    count = max(len(kinds), round(per_square * min(high * wide, 40.0)))
    names = list(kinds) + [kinds[int(rng.integers(len(kinds)))] for _ in range(count - len(kinds))]
    largest = 0.19 - 0.006 * (max(per_square, min(count, 9)) - 4)
    cluster = rng.uniform(0.0, 0.6)  # how readily this scene's objects touch
    spots = np.empty((0, 3))  # y, x, radius
    things = []
    for index in rng.permutation(count).tolist():
        look = _PROTOTYPES[names[index]]
        radius = look.size * largest * rng.uniform(0.65, 1.0)
        edge = 0.6 * radius
        tries = rng.uniform((edge, edge), (high - edge, wide - edge), (24, 2))
        around, gap, near = rng.uniform(0.0, math.tau, 24), rng.uniform(0.75, 1.0), rng.random()
        if len(spots) and near < cluster:
            parent = spots[int(near / cluster * len(spots))]
            tries[:12] = parent[:2] + (
                gap * (parent[2] + radius) * np.stack([np.sin(around), np.cos(around)], 1)[:12]
            )
            tries = np.clip(tries, edge, (high - edge, wide - edge))
        far = np.hypot(*(tries[:, None, :2] - spots[None, :, :2]).transpose(2, 0, 1))
        slack = np.min(far - 0.72 * (spots[:, 2] + radius), axis=1, initial=1.0)
        best = int(np.argmax(np.minimum(slack, 0.0)))  # the first with room, else the least bad
        y, x = tries[best].tolist()
        spots = np.vstack([spots, (y, x, radius)])
        things.append(_Thing(names[index], y, x, radius, rng.uniform(0.0, math.tau)))
    return things


def _put(
    thing: _Thing,
    stain: Plane,
    backdrop: _Backdrop,
    image: Plane,
    labels: NDArray[np.uint8],
    rng: np.random.Generator,
) -> None:
    """Paint one object into `image` and `labels`, within its bounding box."""
    look = _PROTOTYPES[thing.kind]
    height, width = labels.shape
    short = min(height, width)
    reach = thing.radius * (look.reach + 0.4)  # the halo lies around the outline
    top, left = (max(0, math.floor((c - reach) * short)) for c in (thing.y, thing.x))
    bottom = min(height, math.ceil((thing.y + reach) * short))
    right = min(width, math.ceil((thing.x + reach) * short))
    y = ((np.arange(top, bottom, dtype=np.float32) + 0.5) / short - thing.y) / thing.radius
    x = ((np.arange(left, right, dtype=np.float32) + 0.5) / short - thing.x) / thing.radius
    cos, sin = math.cos(thing.angle), math.sin(thing.angle)
    u = cos * x[None, :] + sin * y[:, None]  # (h, w), in radii, along the object
    v = cos * y[:, None] - sin * x[None, :]  # (h, w), across it
    depth, shade, opacity = look.draw(u, v, rng)

    base = _mix((stain,), 0.03, rng)  # each object takes the stain a little differently
    cover = np.clip(depth * (thing.radius * short) + 0.5, 0.0, 1.0)  # share of the pixel
    halo = np.exp(np.minimum(depth, 0.0) / 0.13) * backdrop.halo_strength
    box = image[top:bottom, left:right]
    around = np.asarray(base if backdrop.halo is None else backdrop.halo, np.float32)
    box += (halo * (1.0 - cover))[..., None] * (around - box)
    colour = np.minimum(shade, 1.0)[..., None] * base
    colour += np.maximum(shade - 1.0, 0.0)[..., None] * (1.0 - base)
    box += (cover * opacity)[..., None] * (colour - box)
    names = [kind.name for kind in KINDS]
    labels[top:bottom, left:right][depth > 0] = names.index(thing.kind) + 1


def _mix(colours: Sequence[Colour | Plane], jitter: float, rng: np.random.Generator) -> Plane:
    """Pick a colour between the given ones, a little off and lighter or darker."""
    share = rng.dirichlet([0.8] * len(colours))
    mixed = share @ np.asarray(colours) * rng.uniform(0.9, 1.1)
    return np.asarray(np.clip(mixed + rng.normal(0.0, jitter, 3), 0.0, 1.0), np.float32)


# --------------------------------------------------------------------------- objects
# Each takes the coordinates (h, w) in radii along and across the object, and the
# generator, from which it draws a number of values that depends on no pixel.


class _Paint(NamedTuple):
    depth: Plane  # about the distance to the outline, in radii; > 0 inside
    shade: Plane  # 0 black, 1 the colour of the object, 2 white
    opacity: Plane | float


def _waves(u: Plane, v: Plane, frequency: float, rng: np.random.Generator) -> Plane:
    """Draw an irregular mottle in about [-1, 1]: three crossed waves."""
    total = np.zeros_like(u)
    for turn in (0.0, 1.05, 2.1):
        way, phase = turn + rng.uniform(-0.4, 0.4), rng.uniform(0.0, math.tau)
        k = frequency * rng.uniform(0.7, 1.3)
        total += np.sin(k * math.cos(way) * u + k * math.sin(way) * v + phase)
    return total * 0.45


def _spot(u: Plane, v: Plane, at: tuple[float, float], size: float) -> Plane:
    squared = (u - at[0]) ** 2 + (v - at[1]) ** 2
    return np.exp(squared * (-1.0 / size**2))


def _nucleus(u: Plane, v: Plane, rng: np.random.Generator) -> _Paint:
    """Draw a rounded body with an uneven outline, mottled chromatin, nucleoli."""
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
    return _Paint(depth, np.maximum(shade, 0.2), 0.92)


def _bacterium(u: Plane, v: Plane, rng: np.random.Generator) -> _Paint:
    """Draw a bent rod with round ends, at times pinched in the middle by division."""
    long, wide, bend = rng.uniform(1.15, 1.4), rng.uniform(0.46, 0.56), rng.uniform(-0.18, 0.18)
    pinch = 0.3 * float(rng.random() < 0.4)
    across = v - bend * u * u
    radius = wide * (1.0 - pinch * np.exp(-((u / 0.18) ** 2)))
    depth = radius - np.hypot(np.maximum(np.abs(u) - (long - wide), 0.0), across)
    shade = 0.72 + 0.45 * np.clip(depth / wide, 0.0, 1.0) + 0.06 * _waves(u, v, 5.0, rng)
    return _Paint(depth, shade, 0.95)


def _fibre(u: Plane, v: Plane, rng: np.random.Generator) -> _Paint:
    """Draw a long wavy thread, round in section, with twisted strands."""
    long, wide = rng.uniform(2.3, 3.0), rng.uniform(0.31, 0.36)
    swing, k, phase = rng.uniform(0.15, 0.6), rng.uniform(0.6, 1.3), rng.uniform(0, math.tau)
    slope = swing * k * np.cos(k * u + phase)
    across = (v - swing * np.sin(k * u + phase)) / np.sqrt(1.0 + slope**2)
    depth = np.minimum(wide - np.abs(across), long - np.abs(u))
    strands = np.sin(rng.uniform(6.0, 9.0) * u + across * (5.0 / wide))
    shade = 1.12 - 0.45 * (across / wide) ** 2 + 0.16 * strands
    return _Paint(depth, np.clip(shade, 0.3, 1.4), 0.96)


def _bubble(u: Plane, v: Plane, rng: np.random.Generator) -> _Paint:
    """Draw a clear disc with a dark rim, a bright ring within it and a glint."""
    rho = np.hypot(u, v)
    rim, ring = rng.uniform(0.1, 0.15), rng.uniform(0.62, 0.7)
    dark = np.exp(-(((rho - 0.9) / rim) ** 2))
    bright = np.exp(-(((rho - ring) / 0.1) ** 2))
    turn = rng.uniform(0, math.tau)
    glint = _spot(u, v, (0.35 * math.cos(turn), 0.35 * math.sin(turn)), 0.17)
    lens = np.clip(1.0 - rho * rho, 0.0, 1.0)  # it gathers light towards its middle
    shade = 1.0 - 0.95 * dark + 0.8 * bright + 0.95 * glint + 0.35 * lens
    opacity = 0.55 + 0.43 * np.maximum(np.maximum(dark, bright), glint)
    return _Paint(1.0 - rho, np.clip(shade, 0.0, 2.0), np.minimum(opacity, 1.0))


def _crystal(u: Plane, v: Plane, rng: np.random.Generator) -> _Paint:
    """Draw a convex polygon cut into facets around a flat table, each with its own light."""
    sides = int(rng.integers(4, 7))
    light, table = rng.uniform(0, math.tau), rng.uniform(0.3, 0.42)
    planes, lights = [], []
    for side in range(sides):
        way = math.tau * (side + rng.uniform(-0.12, 0.12)) / sides
        planes.append(rng.uniform(0.78, 0.95) - math.cos(way) * u - math.sin(way) * v)
        lights.append(0.9 + 0.45 * math.cos(way - light))
    stack = np.stack(planes)  # (sides, h, w)
    first, second = np.partition(stack, 1, axis=0)[:2]
    shade = np.asarray(lights, np.float32)[np.argmin(stack, axis=0)]
    on_table = first > table
    shade[on_table] = 1.3
    crease = np.minimum(np.where(on_table, 1.0, second - first), np.abs(first - table))
    shade -= 0.35 * np.exp(-crease / 0.05) + 0.5 * np.exp(-np.abs(first) / 0.06)
    return _Paint(first, np.maximum(shade, 0.1), 0.93)


def _pollen(u: Plane, v: Plane, rng: np.random.Generator) -> _Paint:
    """Draw a ball set with spines, its wall pitted."""
    rho, theta = np.hypot(u, v), np.arctan2(v, u)
    spines = int(rng.integers(10, 15))
    saw = np.abs((theta * (spines / math.tau)) % 1.0 - 0.5) * 2.0  # 1 at a tip
    depth = (0.82 + 0.24 * saw - rho) * 0.8
    ball = np.sqrt(np.maximum(1.0 - rho * rho, 0.0))
    steep = 1.5 - 0.5 * ball  # the pattern crowds toward the limb of the ball
    pits = _waves(u * steep, v * steep, 9.0, rng)
    shade = 0.55 + 0.6 * ball + 0.3 * pits - 0.3 * np.exp(-(((rho - 0.82) / 0.09) ** 2))
    return _Paint(depth, np.clip(shade, 0.25, 1.5), 0.97)


def _diatom(u: Plane, v: Plane, rng: np.random.Generator) -> _Paint:
    """Draw a glassy boat with striae across it and a raphe along it."""
    long, wide = rng.uniform(1.25, 1.45), rng.uniform(0.54, 0.64)
    profile = wide * np.maximum(1.0 - (u / long) ** 2, 0.0) ** 0.75
    past = np.maximum(np.abs(u) - long, 0.0)
    depth = (profile - np.abs(v) - past) * 0.85
    striae = np.sin(u * (math.tau / rng.uniform(0.3, 0.42)) + rng.uniform(0, math.tau))
    raphe = np.exp(-((v / 0.07) ** 2)) * (1.0 - _spot(u, v, (0.0, 0.0), 0.2))
    shade = 1.1 + 0.4 * striae + 0.55 * raphe - 0.7 * np.exp(-np.abs(depth) / 0.07)
    return _Paint(depth, np.clip(shade, 0.15, 1.7), 0.88)


def _red_blood_cell(u: Plane, v: Plane, rng: np.random.Generator) -> _Paint:
    """Draw a disc, thin and so pale in its middle."""
    narrow = rng.uniform(0.86, 1.0)
    rho = np.hypot(u, v / narrow)
    hollow = np.exp(-((rho / rng.uniform(0.4, 0.55)) ** 2))
    shade = 1.0 + 0.75 * hollow - 0.25 * np.exp(-(((rho - 0.97) / 0.1) ** 2))
    return _Paint((1.0 - rho) * narrow, shade, 0.9 - 0.25 * hollow)


def _yeast(u: Plane, v: Plane, rng: np.random.Generator) -> _Paint:
    """Draw a refractile oval and its bud, dark of outline, with a vacuole and granules."""
    bud, narrow = rng.uniform(0.42, 0.55), rng.uniform(0.82, 0.95)
    mother = (1.0 - np.hypot((u + 0.3) / 0.82, v / (0.82 * narrow))) * 0.75
    depth = np.maximum(mother, bud - np.hypot(u - 0.78, v - rng.uniform(-0.2, 0.2)))
    vacuole = _spot(u, v, (rng.uniform(-0.5, -0.2), rng.uniform(-0.2, 0.2)), 0.3)
    shade = 1.15 - 0.45 * vacuole + 0.1 * _waves(u, v, 8.0, rng)
    shade -= 0.95 * np.exp(-(((depth - 0.04) / 0.08) ** 2))
    return _Paint(depth, np.clip(shade, 0.1, 1.6), 0.94)


class _Look(NamedTuple):
    draw: Callable[[Plane, Plane, np.random.Generator], _Paint]
    reach: float  # no part lies farther from the centre, in radii
    size: float  # relative to the other kinds
    stained: tuple[Colour, ...]  # colours on light ground; every mixture is met
    glowing: tuple[Colour, ...]  # colours on dark ground

    def stains(self, dark: bool) -> tuple[Colour, ...]:
        return self.glowing if dark else self.stained


# fmt: off
_PROTOTYPES: dict[str, _Look] = {
    "nucleus": _Look(_nucleus, 1.1, 1.0,
        ((0.38, 0.20, 0.58), (0.24, 0.22, 0.56), (0.50, 0.24, 0.54)),
        ((0.22, 0.36, 1.00), (0.18, 0.60, 1.00), (0.45, 0.35, 0.98))),
    "bacterium": _Look(_bacterium, 1.5, 1.0,
        ((0.04, 0.45, 0.42), (0.10, 0.55, 0.30), (0.05, 0.38, 0.28)),
        ((0.22, 0.95, 0.35), (0.50, 0.95, 0.22), (0.15, 0.90, 0.60))),
    "fibre": _Look(_fibre, 3.1, 0.95,
        ((0.22, 0.24, 0.30), (0.20, 0.32, 0.52), (0.42, 0.33, 0.28)),
        ((0.95, 0.32, 0.20), (0.95, 0.50, 0.38), (0.90, 0.22, 0.42))),
    "bubble": _Look(_bubble, 1.0, 0.95,
        ((0.72, 0.74, 0.75), (0.80, 0.80, 0.76), (0.66, 0.72, 0.78)),
        ((0.30, 0.32, 0.36), (0.22, 0.28, 0.34), (0.38, 0.36, 0.34))),
    "crystal": _Look(_crystal, 1.6, 0.95,
        ((0.62, 0.84, 0.94), (0.62, 0.70, 0.95), (0.86, 0.74, 0.92)),
        ((0.55, 0.82, 0.92), (0.60, 0.68, 0.92), (0.84, 0.66, 0.90))),
    "pollen grain": _Look(_pollen, 1.1, 1.0,
        ((0.92, 0.66, 0.10), (0.82, 0.50, 0.08), (0.95, 0.80, 0.22)),
        ((0.95, 0.72, 0.10), (0.90, 0.52, 0.08), (0.98, 0.88, 0.25))),
    "diatom": _Look(_diatom, 1.5, 1.1,
        ((0.58, 0.46, 0.18), (0.48, 0.48, 0.20), (0.62, 0.50, 0.32)),
        ((0.68, 0.58, 0.28), (0.58, 0.62, 0.30), (0.72, 0.62, 0.42))),
    "red blood cell": _Look(_red_blood_cell, 1.0, 0.95,
        ((0.86, 0.30, 0.26), (0.76, 0.20, 0.22), (0.90, 0.44, 0.34)),
        ((0.72, 0.12, 0.10), (0.60, 0.06, 0.10), (0.80, 0.24, 0.14))),
    "yeast": _Look(_yeast, 1.35, 1.05,
        ((0.90, 0.90, 0.70), (0.78, 0.84, 0.66), (0.92, 0.86, 0.76)),
        ((0.72, 0.78, 0.62), (0.64, 0.74, 0.66), (0.80, 0.76, 0.64))),
}
# fmt: on


# --------------------------------------------------------------------------- grounds


def _field(shape: tuple[int, int], cells: float, rng: np.random.Generator) -> Plane:
    """Draw smooth noise of about unit spread, `cells` knots to the shorter side: (Y, X)."""
    taps, knots = [], []
    for side in shape:
        at = (np.arange(side, dtype=np.float32) + 0.5) * (cells / min(shape))
        start = at.astype(np.intp)
        t = at - start
        s = 1.0 - t
        bumps = (s**3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * s**2 + 3 * s**3, t**3)
        taps.append([(start + i, bump / 6.0) for i, bump in enumerate(bumps)])
        knots.append(math.ceil(cells * side / min(shape)) + 4)
    lattice = rng.standard_normal(knots, dtype=np.float32)
    rows = np.add.reduce([lattice[i] * w[:, None] for i, w in taps[0]])  # (Y, knots)
    field = np.add.reduce([rows[:, i] * w for i, w in taps[1]])  # (Y, X)
    return np.asarray(field * 2.0, np.float32)


def _tinted(colour: Plane, light: Plane) -> Plane:
    return np.asarray(np.clip(light[..., None] * colour, 0.0, 1.0))  # (Y, X, 3)


def _dark_field(shape: tuple[int, int], rng: np.random.Generator) -> Plane:
    """Draw near black, with a haze of light from other planes of focus."""
    colour = _mix(((0.05, 0.06, 0.14), (0.04, 0.10, 0.09), (0.09, 0.06, 0.09)), 0.01, rng)
    haze = 0.9 + 0.4 * _field(shape, 3.0, rng) + 0.18 * _field(shape, 14.0, rng)
    return _tinted(colour, np.maximum(haze, 0.25))


def _bright_field(shape: tuple[int, int], rng: np.random.Generator) -> Plane:
    """Draw lamp light through a clean slide, with some dust out of focus."""
    colour = _mix(((0.93, 0.92, 0.88), (0.88, 0.91, 0.93), (0.95, 0.90, 0.80)), 0.01, rng)
    dust = np.maximum(_field(shape, 20.0, rng) - 1.9, 0.0)
    return _tinted(colour, 0.97 + 0.02 * _field(shape, 4.0, rng) - 0.16 * dust)


def _tissue(shape: tuple[int, int], rng: np.random.Generator) -> Plane:
    """Draw bundles of eosin-stained stroma, paler where the section has gaps."""
    colour = _mix(((0.92, 0.66, 0.78), (0.86, 0.58, 0.72), (0.94, 0.72, 0.76)), 0.02, rng)
    way = rng.uniform(0, math.tau)
    y, x = (np.arange(side, dtype=np.float32) / min(shape) for side in shape)
    along = math.cos(way) * x[None, :] + math.sin(way) * y[:, None]
    bend = _field(shape, 3.5, rng)
    bundles = np.sin(rng.uniform(40.0, 60.0) * along + 4.0 * bend + 1.2 * _field(shape, 9.0, rng))
    stroma = _tinted(colour, 0.96 + 0.07 * bundles + 0.035 * _field(shape, 40.0, rng))
    gap = np.clip(_field(shape, 5.0, rng) - 0.9, 0.0, 1.0)[..., None]
    return np.asarray(stroma + gap * 0.7 * (0.94 - stroma))


def _agar(shape: tuple[int, int], rng: np.random.Generator) -> Plane:
    """Draw an amber jelly, cloudy and grainy."""
    colour = _mix(((0.80, 0.66, 0.42), (0.74, 0.66, 0.48), (0.84, 0.70, 0.50)), 0.02, rng)
    cloud = 0.06 * _field(shape, 6.0, rng) + 0.05 * _field(shape, 24.0, rng)
    return _tinted(colour, 0.94 + cloud + 0.05 * _field(shape, 64.0, rng))


def _phase_contrast(shape: tuple[int, int], rng: np.random.Generator) -> Plane:
    """Draw middle grey with the ripples that phase rings leave."""
    colour = _mix(((0.50, 0.52, 0.52), (0.46, 0.52, 0.48), (0.52, 0.52, 0.56)), 0.01, rng)
    ripple = np.sin(3.0 * _field(shape, 8.0, rng))
    return _tinted(colour, 1.0 + 0.06 * ripple + 0.06 * _field(shape, 48.0, rng))


class _Backdrop(NamedTuple):
    draw: Callable[[tuple[int, int], np.random.Generator], Plane]
    halo: Colour | None  # colour of the light around an object; None: the object's own
    halo_strength: float
    dark: bool = False  # objects glow


_BACKDROPS: dict[str, _Backdrop] = {
    "dark fluorescence field": _Backdrop(_dark_field, None, 0.22, dark=True),
    "bright field": _Backdrop(_bright_field, (0.45, 0.45, 0.45), 0.25),
    "stained tissue": _Backdrop(_tissue, (0.95, 0.90, 0.93), 0.55),
    "agar": _Backdrop(_agar, (0.40, 0.30, 0.15), 0.35),
    "phase contrast field": _Backdrop(_phase_contrast, (0.95, 0.96, 0.95), 0.60),
}


# ------------------------------------------------------------------------ instrument


def _expose(image: Plane, rng: np.random.Generator, camera: np.random.Generator) -> None:
    """Light, blur and record an image in place; it stays within [0, 1]."""
    height, width, _ = image.shape
    short = min(height, width)
    y = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
    x = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
    centre, tilt = rng.uniform(-0.3, 0.3, 2).tolist(), rng.uniform(-0.08, 0.08, 2).tolist()
    fall = rng.uniform(0.06, 0.18)  # of the light, from the centre to an edge
    light = 1.0 + tilt[0] * y + tilt[1] * x
    light -= fall * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2)
    image *= light[..., None]
    # An optical blur relative to the scene, and the pixel's own width.
    sigma = math.hypot(rng.uniform(0.0015, 0.0045) * short, 0.35)
    scipy.ndimage.gaussian_filter(image, (sigma, sigma, 0.0), output=image, truncate=3.0)
    gain, read = rng.uniform(0.0004, 0.0014), rng.uniform(0.006, 0.014)
    noise = camera.standard_normal(image.shape, dtype=np.float32)
    noise *= np.sqrt(np.maximum(image, 0.0) * gain + read**2)
    image += noise
    np.clip(image, 0.0, 1.0, out=image)
