"""Label maps that are hard to outline, and a rasteriser that is not the project's."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.draw import polygon2mask

from napari_cliper.demo.scenes import make_scene


def drawn(*rows):
    """A label map from its rows, a digit a pixel."""
    return np.array([[int(digit) for digit in row] for row in rows], np.uint8)


def blobs(seed, shape, levels=3, width=1.5):
    rough = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), width)
    cuts = np.quantile(rough, np.linspace(0.3, 0.8, levels))
    return np.digitize(rough, cuts).astype(np.uint8)


HARD = {
    "empty": np.zeros((4, 5), np.uint8),
    "full": np.full((4, 5), 3, np.uint8),
    "one pixel": drawn("1"),
    "one pixel in the last corner": drawn("000", "002"),
    "one row": drawn("110220011"),
    "one column": drawn(*"1102200"),
    "touching": drawn("1122", "1122", "3344"),
    "diagonal": drawn("1000", "0100", "0010", "0001"),
    "two diagonals cross": drawn("12", "21"),
    "checkerboard": drawn("10101", "01010", "10101"),
    "hole": drawn("00000", "01110", "01010", "01110", "00000"),
    "hole filled by another": drawn("111", "121", "111"),
    "island in hole": drawn("1111111", "1000001", "1011101", "1010101", "1011101", "1000001",
                            "1111111"),
    "island of another in hole": drawn("11111", "10001", "10201", "10001", "11111"),
    "island at the hole's corner": drawn("11111", "10001", "10101", "10011", "11111"),
    "holes meet at a corner": drawn("1111", "1011", "1101", "1111"),
    "closed by a corner": drawn("01110", "11010", "10001", "11011", "01100"),
    "ring of corners": drawn("010", "101", "010"),
    "hole beside hole": drawn("1111111", "1010101", "1111111", "1001011", "1111111"),
    "stairs of holes": drawn("111111", "101111", "110111", "111011", "111101", "111111"),
    "border": drawn("1111", "1001", "1001", "1111"),
    "many numbers": np.array([[0, 65535, 65535], [256, 65535, 1]], np.uint16),
    "scene": make_scene((96, 128), seed=5).labels,
    **{f"blobs {seed}": blobs(seed, (23 + seed, 40 - seed)) for seed in range(6)},
    **{
        f"noise {seed}": np.random.default_rng(seed).integers(0, 3, (9, 11), np.uint8)
        for seed in range(6)
    },
}  # fmt: skip


def filled(rings, shape):
    """The pixels whose centre is inside of an odd number of rings of (x, y) corners.

    The rasteriser is skimage's, which has the centres of pixels at whole numbers.
    """
    mask = np.zeros(shape, bool)
    for ring in rings:
        mask ^= polygon2mask(shape, np.asarray(ring, float)[:, ::-1] - 0.5)
    return mask
