"""Drawn objects whose number is known."""

from __future__ import annotations

import numpy as np


def ball(shape, centre, radius, spacing=None):
    """A disc or ball; `centre` in pixels, `radius` in the unit of `spacing`."""
    spacing = spacing or (1,) * len(shape)
    grid = np.ogrid[tuple(slice(side) for side in shape)]
    squares = ((at - c) * step for at, c, step in zip(grid, centre, spacing, strict=True))
    return sum(one**2 for one in squares) <= radius**2


def ellipse(shape, centre, axes, angle):
    y, x = np.ogrid[: shape[0], : shape[1]]
    y, x = y - centre[0], x - centre[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return (along / axes[0]) ** 2 + (across / axes[1]) ** 2 <= 1


def pair(radius, overlap, angle):
    """Two touching discs; `overlap` is the width of the neck as a share of the diameter."""
    apart = 2 * radius * np.sqrt(1 - overlap**2)
    side = int(5 * radius + 8)
    middle = side / 2
    step = np.array([np.sin(angle), np.cos(angle)]) * apart / 2
    return ball((side, side), middle - step, radius) | ball((side, side), middle + step, radius)
