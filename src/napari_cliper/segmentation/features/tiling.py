"""Sliding windows: their positions, and merging of their results.

Sources: CLIPer (arXiv 2411.13836) and SCLIP (2312.01597): windows of fixed side and stride; the
last window of a row or column is shifted back into the image. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """A rectangle, in pixels or in patches; ends are exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    def in_patches(self, patch: int) -> Window:
        """Convert from pixels to patches; the sides must be aligned to patches."""
        return Window(
            self.top // patch, self.left // patch, self.bottom // patch, self.right // patch
        )

    def indices(self, grid: tuple[int, int]) -> Tensor:
        """Return the flat indices of the window's cells in an (h, w) grid, (n,) int64."""
        rows = torch.arange(self.top, self.bottom)
        columns = torch.arange(self.left, self.right)
        return (rows[:, None] * grid[1] + columns).flatten()


def _starts(length: int, side: int, stride: int) -> list[int]:
    """Return the start positions of windows along an axis; the last is shifted back inside."""
    count = max(length - side + stride - 1, 0) // stride + 1
    return [max(min(index * stride, length - side), 0) for index in range(count)]


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
        for top in _starts(height, side, stride)
        for left in _starts(width, side, stride)
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
        at = window.indices(grid)
        total[at[:, None], at] += part
        seen[at[:, None], at] += 1
    total /= seen.clamp(min=1)
    total /= total.sum(dim=-1, keepdim=True)
    return cast("Tensor", total)
