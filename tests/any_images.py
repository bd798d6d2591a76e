"""Image layers of every kind, with transforms of every kind."""

from __future__ import annotations

import numpy as np
from napari.layers import Image

KINDS = {
    "grey": ((20, 30), False),
    "rgb": ((20, 30, 3), True),
    "rgba": ((20, 30, 4), True),
    "stack": ((5, 20, 30), False),
    "rgb stack": ((5, 20, 30, 3), True),
    "time and depth": ((2, 5, 20, 30), False),
}
"""Shape of the array, and whether its last axis is the colour."""


def any_image(kind, seed, **keywords):
    shape, rgb = KINDS[kind]
    pixels = np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)
    return Image(pixels, rgb=rgb, **keywords)


def any_transforms(ndim, seed):
    """Scale, translation, rotation, shear and affine, all of them at once."""
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(ndim, ndim)))
    affine = np.eye(ndim + 1)
    affine[:-1, :-1] += rng.normal(scale=0.3, size=(ndim, ndim))
    affine[:-1, -1] = rng.normal(scale=20, size=ndim)
    shear = rng.normal(scale=0.4, size=ndim * (ndim - 1) // 2)
    if seed % 2:  # a lower triangular matrix is allowed as well
        shear = np.tril(rng.normal(scale=0.4, size=(ndim, ndim)), -1) + np.eye(ndim)
    return {
        "scale": rng.uniform(0.1, 5, ndim) * rng.choice([-1, 1], ndim),
        "translate": rng.normal(scale=50, size=ndim),
        "rotate": rotation,
        "shear": shear,
        "affine": affine,
    }
