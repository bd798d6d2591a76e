"""Synthetic stacks of planes: objects that move, grow, appear and vanish, with exact labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .backgrounds import BACKDROPS, Extent
from .colours import mix
from .layout import Thing, lay_out, put
from .objects import DRAWINGS, KINDS
from .scene import SMALLEST_SIDE, check_known, expose

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP = 0.018
"""Mean distance that an object moves from plane to plane, in units of the scene."""
SMALLEST = 0.03
"""Radius below which an object is not drawn, in units of the scene."""
LIFE = (12, 30)
"""Least and most planes in which an object is seen."""


@dataclass(frozen=True, eq=False)
class SceneStack:
    """Synthetic planes with their labels.

    Attributes
    ----------
    images : (Z, Y, X, 3) uint8 array
        RGB.
    labels : (Z, Y, X) uint8 array
        0 is the ground, ``i + 1`` is ``KINDS[i]``; the topmost of overlapping objects counts.
    instances : (Z, Y, X) uint16 array
        A number for each object, the same on all planes; 0 is the ground.
    seed : int
        The seed of the stack.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    seed: int


def make_stack(
    planes: int,
    shape: tuple[int, int] = (256, 256),
    seed: int = 0,
    *,
    kinds: Sequence[str],
    ground: str,
) -> SceneStack:
    """Make a stack of synthetic planes, or a time series.

    Objects move and turn from plane to plane. Their radius grows from their first plane to the
    middle of their life and falls until their last one, so that they appear and vanish. Ground,
    light and the look of an object are the same on all planes; camera noise is not.

    Parameters
    ----------
    planes : int
        1 or more.
    shape : (int, int)
        (Y, X) of a plane in pixels, each side at least 16.
    seed : int
        0 or more. The first planes are the same for any number of planes, except for the objects
        that appear later.
    kinds : sequence of str
        Names of the kinds; at least one object of each is seen on every plane, if none covers it.
    ground : str
        Name of the ground.

    Returns
    -------
    SceneStack

    Raises
    ------
    ValueError
        For no plane, no or an unknown kind, an unknown ground, and for a side below 16.

    Examples
    --------
    >>> stack = make_stack(3, (64, 64), kinds=["nucleus"], ground="agar")
    >>> stack.images.shape, stack.labels.shape
    ((3, 64, 64, 3), (3, 64, 64))
    """
    if planes < 1 or not kinds:
        raise ValueError("a stack has at least one plane and one kind")
    if min(shape) < SMALLEST_SIDE:
        raise ValueError(
            f"planes of shape {shape} are too small: each side must be {SMALLEST_SIDE} or more"
        )
    for name in kinds:
        check_known("kind", name, [kind.name for kind in KINDS])
    check_known("ground", ground, list(BACKDROPS))
    extent = Extent(shape, min(shape))
    layout, camera = np.random.default_rng(seed).spawn(2)
    backdrop = BACKDROPS[ground]
    stains = {name: mix(DRAWINGS[name].stains(backdrop.dark), 0.04, layout) for name in kinds}
    paths = _paths(extent, list(dict.fromkeys(kinds)), planes, layout)

    images = np.empty((planes, *shape, 3), np.uint8)
    labels = np.zeros((planes, *shape), np.uint8)
    instances = np.zeros((planes, *shape), np.uint16)
    for plane in range(planes):
        texture = np.random.default_rng([seed, 1])  # the same on all planes
        image = backdrop.draw(extent, texture)
        for number, path in enumerate(paths, 1):
            thing = path.at(plane)
            if thing is not None:
                look = np.random.default_rng([seed, 2, number])
                put(
                    thing, stains[thing.kind], backdrop, image, labels[plane], instances[plane],
                    number, extent.unit, look,
                )  # fmt: skip
        expose(image, extent.unit, texture, camera)
        images[plane] = (image * 255.0 + 0.5).astype(np.uint8)
    return SceneStack(images, labels, instances, seed)


@dataclass(frozen=True)
class _Path:
    """Where an object is on which plane; lengths are in units of the scene."""

    thing: Thing  # in the middle of its life, where it is largest
    middle: float
    life: float
    step: tuple[float, float]
    turn: float
    extent: tuple[float, float]

    def at(self, plane: int) -> Thing | None:
        """The object on a plane; None where it is not seen."""
        away = plane - self.middle
        part = 2 * away / self.life
        radius = self.thing.radius * math.sqrt(max(1 - part**2, 0))
        if radius < SMALLEST:
            return None
        y = _folded(self.thing.y + away * self.step[0], self.extent[0])
        x = _folded(self.thing.x + away * self.step[1], self.extent[1])
        angle = self.thing.angle + self.turn * away
        return self.thing._replace(y=y, x=x, radius=radius, angle=angle)


def _folded(at: float, length: float) -> float:
    """A coordinate, reflected at the edges of the scene."""
    at %= 2 * length
    return min(at, 2 * length - at)


def _paths(extent: Extent, kinds: list[str], planes: int, rng: np.random.Generator) -> list[_Path]:
    """Objects one after the other in each place of the layout.

    The next one of a kind's first place appears before the one before has vanished.
    """
    size = (extent.shape[0] / extent.unit, extent.shape[1] / extent.unit)
    found: list[_Path] = []
    met: set[str] = set()
    for place in lay_out(extent, kinds, rng):
        least, most = (0.9, 1.3) if place.kind in met else (0.75, 0.75)
        met.add(place.kind)
        thing, begin = place, -float(rng.uniform(0.3, 0.7)) * LIFE[0]
        while begin < planes:
            life, direction = float(rng.uniform(*LIFE)), float(rng.uniform(0, math.tau))
            length, turn = STEP * float(rng.uniform(0.7, 1.3)), float(rng.uniform(-0.08, 0.08))
            step = (length * math.sin(direction), length * math.cos(direction))
            found.append(_Path(thing, begin + life / 2, life, step, turn, size))
            begin += life * float(rng.uniform(least, most))
            y, x = (float(rng.uniform(0.1, 0.9)) * side for side in size)
            thing = thing._replace(y=y, x=x)
    return found
