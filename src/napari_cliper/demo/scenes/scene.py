"""Synthetic microscopy-like scenes with exact labels.

They serve to train, test and demonstrate the demo model, and contain no real images. A scene is
laid out in units of its shorter side, or of a given length, so that a seed gives the same scene at
any resolution. It is drawn as a microscope would record it: a ground, objects painted over each
other, uneven illumination, optical blur, shot noise and read noise.

Only the camera noise depends on the resolution. For everything else, the number of random values
does not depend on the number of pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy
from numpy.typing import NDArray

from .backgrounds import BACKDROPS, Extent
from .colours import Plane, mix
from .layout import lay_out, put
from .objects import DRAWINGS, KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALLEST_SIDE = 16

EXAMPLE_SHAPE = (512, 640)
EXAMPLE_SEED = 1_000_002
"""A scene with several kinds of objects, which the demo model was not trained on."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A synthetic image with its labels.

    Attributes
    ----------
    image : (Y, X, 3) uint8 array
        RGB.
    labels : (Y, X) uint8 array
        0 is the ground, ``i + 1`` is ``KINDS[i]``; the topmost of overlapping objects counts.
    instances : (Y, X) uint16 array
        A number for each object, in the order in which they were drawn; 0 is the ground.
    kinds : tuple of str
        Names of the kinds with at least one visible pixel, in the order of `KINDS`.
    ground : str
        Name of the ground.
    seed : int
        The seed of the scene.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    kinds: tuple[str, ...]
    ground: str
    seed: int


def make_scene(
    shape: tuple[int, int] = (256, 256),
    seed: int = 0,
    *,
    kinds: Sequence[str] | None = None,
    ground: str | None = None,
    unit: int | None = None,
) -> Scene:
    """Make a synthetic scene.

    Parameters
    ----------
    shape : (int, int)
        (Y, X) in pixels, each side at least 16. A longer side shows more objects, not larger ones.
    seed : int
        0 or more. The same seed, kinds, ground and aspect ratio give the same scene at every size,
        except for camera noise.
    kinds : sequence of str, optional
        Names of the kinds to draw, each at least once. Default: one to four kinds, chosen by the
        seed. An empty sequence gives a scene without objects.
    ground : str, optional
        Name of the ground. Default: chosen by the seed.
    unit : int, optional
        Length in pixels of the unit in which the scene is laid out. Default: the shorter side.
        A large scene with a unit of 256 has more objects, as large as those of a scene of 256 x 256
        pixels (about 60 pixels).

    Returns
    -------
    Scene

    Raises
    ------
    ValueError
        For an unknown kind or ground, and for a side or a unit below 16.

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
    extent = Extent(shape, min(shape) if unit is None else unit)
    if extent.unit < SMALLEST_SIDE:
        raise ValueError(f"a unit of {unit} is too small: it must be {SMALLEST_SIDE} or more")
    names = [kind.name for kind in KINDS]
    for name in kinds or ():
        check_known("kind", name, names)
    if ground is not None:
        check_known("ground", ground, list(BACKDROPS))

    layout, texture, camera = np.random.default_rng(seed).spawn(3)
    drawn_ground = list(BACKDROPS)[int(layout.integers(len(BACKDROPS)))]
    drawn_kinds = layout.permutation(names)[: int(layout.integers(1, 5))].tolist()
    ground = drawn_ground if ground is None else ground
    wanted = drawn_kinds if kinds is None else list(dict.fromkeys(kinds))

    backdrop = BACKDROPS[ground]
    image = backdrop.draw(extent, texture)
    labels = np.zeros(shape, np.uint8)
    stains = {name: mix(DRAWINGS[name].stains(backdrop.dark), 0.04, layout) for name in wanted}
    instances = np.zeros(shape, np.uint16)
    for number, thing in enumerate(lay_out(extent, wanted, layout), 1):
        put(
            thing, stains[thing.kind], backdrop, image, labels, instances, number, extent.unit,
            layout,
        )  # fmt: skip
    expose(image, extent.unit, texture, camera)

    present = np.bincount(labels.ravel(), minlength=len(KINDS) + 1)[1:] > 0
    return Scene(
        image=(image * 255.0 + 0.5).astype(np.uint8),
        labels=labels,
        instances=instances,
        kinds=tuple(name for name, seen in zip(names, present, strict=True) if seen),
        ground=ground,
        seed=seed,
    )


def example_scene() -> Scene:
    """Return the scene that the window shows as an example."""
    return make_scene(EXAMPLE_SHAPE, EXAMPLE_SEED)


def check_known(what: str, name: str, known: Sequence[str]) -> None:
    """Raise an error for a name that is not known."""
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}: choose from {', '.join(known)}")


# ------------------------------------------------------------------------ instrument


def expose(image: Plane, unit: int, rng: np.random.Generator, camera: np.random.Generator) -> None:
    """Apply illumination, blur and noise to an image in place; values stay in 0 to 1."""
    height, width, _ = image.shape
    y = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
    x = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
    centre, tilt = rng.uniform(-0.3, 0.3, 2).tolist(), rng.uniform(-0.08, 0.08, 2).tolist()
    fall = rng.uniform(0.06, 0.18)  # decrease of the light from the centre to an edge
    light = 1.0 + tilt[0] * y + tilt[1] * x
    light -= fall * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2)
    image *= light[..., None]
    # Optical blur, in units of the scene, and the width of a pixel.
    sigma = math.hypot(rng.uniform(0.0015, 0.0045) * unit, 0.35)
    scipy.ndimage.gaussian_filter(image, (sigma, sigma, 0.0), output=image, truncate=3.0)
    gain, read = rng.uniform(0.0004, 0.0014), rng.uniform(0.006, 0.014)
    noise = camera.standard_normal(image.shape, dtype=np.float32)
    noise *= np.sqrt(np.maximum(image, 0.0) * gain + read**2)
    image += noise
    np.clip(image, 0.0, 1.0, out=image)
