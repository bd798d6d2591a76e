"""Place the objects of a scene and paint them over the ground."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .backgrounds import Backdrop, Extent
from .colours import Plane, mix
from .objects import DRAWINGS, KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence


class Thing(NamedTuple):
    """One object to draw; lengths are in units of the scene."""

    kind: str
    y: float
    x: float
    radius: float
    angle: float


def lay_out(extent: Extent, kinds: Sequence[str], rng: np.random.Generator) -> list[Thing]:
    """Place 4 to 9 objects per square of the unit, some of them touching.

    The distance of two centres is at least 0.72 of the sum of their radii if there is room, so
    that objects may overlap but none covers another completely.
    """
    if not kinds:
        return []
    high, wide = (side / extent.unit for side in extent.shape)
    per_square = int(rng.integers(4, 10))
    count = max(len(kinds), round(per_square * high * wide))
    names = list(kinds) + [kinds[int(rng.integers(len(kinds)))] for _ in range(count - len(kinds))]
    largest = 0.19 - 0.006 * (max(per_square, min(count, 9)) - 4)
    cluster = rng.uniform(0.0, 0.6)  # probability that an object touches another
    spots = np.empty((0, 3))  # y, x, radius
    things = []
    for index in rng.permutation(count).tolist():
        drawing = DRAWINGS[names[index]]
        radius = drawing.size * largest * rng.uniform(0.65, 1.0)
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
        best = int(np.argmax(np.minimum(slack, 0.0)))  # the first with room, else the nearest to it
        y, x = tries[best].tolist()
        spots = np.vstack([spots, (y, x, radius)])
        things.append(Thing(names[index], y, x, radius, rng.uniform(0.0, math.tau)))
    return things


def put(
    thing: Thing,
    stain: Plane,
    backdrop: Backdrop,
    image: Plane,
    labels: NDArray[np.uint8],
    instances: NDArray[np.uint16],
    number: int,
    unit: int,
    rng: np.random.Generator,
) -> None:
    """Paint one object into `image`, `labels` and, with its number, `instances`, in place."""
    drawing = DRAWINGS[thing.kind]
    height, width = labels.shape
    reach = thing.radius * (drawing.reach + 0.4)  # with the halo around the outline
    top, left = (max(0, math.floor((c - reach) * unit)) for c in (thing.y, thing.x))
    bottom = min(height, math.ceil((thing.y + reach) * unit))
    right = min(width, math.ceil((thing.x + reach) * unit))
    y = ((np.arange(top, bottom, dtype=np.float32) + 0.5) / unit - thing.y) / thing.radius
    x = ((np.arange(left, right, dtype=np.float32) + 0.5) / unit - thing.x) / thing.radius
    cos, sin = math.cos(thing.angle), math.sin(thing.angle)
    u = cos * x[None, :] + sin * y[:, None]  # (h, w), in radii, along the object
    v = cos * y[:, None] - sin * x[None, :]  # (h, w), across it
    depth, shade, opacity = drawing.draw(u, v, rng)

    base = mix((stain,), 0.03, rng)  # staining varies between objects
    cover = np.clip(depth * (thing.radius * unit) + 0.5, 0.0, 1.0)  # covered part of a pixel
    halo = np.exp(np.minimum(depth, 0.0) / 0.13) * backdrop.halo_strength
    box = image[top:bottom, left:right]
    around = np.asarray(base if backdrop.halo is None else backdrop.halo, np.float32)
    box += (halo * (1.0 - cover))[..., None] * (around - box)
    colour = np.minimum(shade, 1.0)[..., None] * base
    colour += np.maximum(shade - 1.0, 0.0)[..., None] * (1.0 - base)
    box += (cover * opacity)[..., None] * (colour - box)
    names = [kind.name for kind in KINDS]
    labels[top:bottom, left:right][depth > 0] = names.index(thing.kind) + 1
    instances[top:bottom, left:right][depth > 0] = number
