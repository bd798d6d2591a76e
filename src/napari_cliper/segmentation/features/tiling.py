"""Sliding windows: their positions, and merging of their results.

Sources: CLIPer (arXiv 2411.13836) and SCLIP (2312.01597): windows of fixed side and stride; the
last window of a row or column is shifted back into the image. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor

from ..tiles import Window, starts


def sliding_windows(shape: tuple[int, int], side: int, stride: int) -> list[Window]:
    """Return sliding windows that cover an image, row by row.

    Parameters
    ----------
    shape : (int, int)
        Height and width in pixels.
    side, stride : int
        Side of the square windows and distance between them, in pixels. A side of 0, or one that
        covers the image, gives a single window.
    """
    height, width = shape
    if side <= 0:
        return [Window(0, 0, height, width)]
    return [
        Window(top, left, min(top + side, height), min(left + side, width))
        for top in starts(height, side, stride)
        for left in starts(width, side, stride)
    ]


def blend(parts: Iterable[Tensor], windows: Sequence[Window], shape: tuple[int, int]) -> Tensor:
    """Return the mean of overlapping windows.

    Parameters
    ----------
    parts : iterable of (C, height, width) tensors
        One per window, in the same order.
    windows : sequence of Window
        Together they cover `shape`.
    shape : (int, int)

    Returns
    -------
    (C, Y, X) tensor
    """
    total: Tensor | None = None
    seen = torch.zeros(shape)
    for part, window in zip(parts, windows, strict=True):
        if total is None:
            total = part.new_zeros((len(part), *shape))
            seen = part.new_zeros(shape)
        where = (slice(window.top, window.bottom), slice(window.left, window.right))
        total[:, *where] += part
        seen[where] += 1
    if total is None:
        raise ValueError("There is no window to blend.")
    return total / seen


def stitch_attention(
    parts: Iterable[Tensor], windows: Sequence[Window], grid: tuple[int, int]
) -> Tensor:
    """Merge the attention maps of windows into one of the whole grid (CLIPer).

    Each pair of patches gets the mean over the windows that contain both, 0 if there are none; rows
    are then normalised.

    Parameters
    ----------
    parts : iterable of (n, n) tensors
        One per window: query, key.
    windows : sequence of Window
        In patches of `grid`.
    grid : (int, int)
        (h, w) of the whole image.

    Returns
    -------
    (h * w, h * w) tensor
    """
    patches = grid[0] * grid[1]
    total, seen = torch.zeros(2, patches, patches)
    for part, window in zip(parts, windows, strict=True):
        at = _indices(window, grid)
        total[at[:, None], at] += part
        seen[at[:, None], at] += 1
    total /= seen.clamp(min=1)
    total /= total.sum(dim=-1, keepdim=True)
    return cast("Tensor", total)


def _indices(window: Window, grid: tuple[int, int]) -> Tensor:
    """Return the flat indices of the window's cells in an (h, w) grid, (n,) int64."""
    rows = torch.arange(window.top, window.bottom)
    columns = torch.arange(window.left, window.right)
    return (rows[:, None] * grid[1] + columns).flatten()
