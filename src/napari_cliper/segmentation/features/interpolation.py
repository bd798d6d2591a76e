"""Bilinear interpolation, also of a part of an image, and nearest neighbours. Pure functions."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..tiles import Window

Ids = TypeVar("Ids", Tensor, NDArray[np.int32])


def interpolated(planes: Tensor, shape: tuple[int, int]) -> Tensor:
    """Interpolate (C, h, w) planes bilinearly to (C, *shape) float32; not a copy if they fit."""
    planes = planes.float()
    if planes.shape[1:] == shape:
        return planes
    return F.interpolate(planes[None], size=shape, mode="bilinear", align_corners=False)[0]


def needed(window: Window, shape: tuple[int, int], grid: tuple[int, int]) -> Window:
    """Return the cells of a grid that `bilinear_region` reads for a window of an image.

    Parameters
    ----------
    window : Window
        In pixels of the image.
    shape, grid : (int, int)
        Of the whole image and of the whole grid.
    """
    (top, bottom), (left, right) = (
        (int(_positions(start, start + 1, length, cells)[0]),
         min(int(_positions(stop - 1, stop, length, cells)[0]) + 2, cells))
        for start, stop, length, cells in (
            (window.top, window.bottom, shape[0], grid[0]),
            (window.left, window.right, shape[1], grid[1]),
        )
    )  # fmt: skip
    return Window(top, left, bottom, right)


def bilinear_region(
    planes: Tensor,
    shape: tuple[int, int],
    window: Window,
    *,
    grid: tuple[int, int] | None = None,
    origin: tuple[int, int] = (0, 0),
) -> Tensor:
    """Return a window of planes that are interpolated bilinearly to an image.

    The values are those of `torch.nn.functional.interpolate` on whole planes.

    Parameters
    ----------
    planes : (C, h, w) float tensor
        The planes, or a part of them that holds at least the cells that `needed` names.
    shape : (int, int)
        (Y, X) of the whole image.
    window : Window
        In pixels of the image.
    grid : (int, int), optional
        Of the whole planes. Default: that of `planes`.
    origin : (int, int)
        Cell of the whole planes where `planes` starts.

    Returns
    -------
    (C, height, width) tensor
        Of the size of `window`.
    """
    rows, columns = grid or (planes.shape[1], planes.shape[2])
    whole = rows == planes.shape[1] and columns == planes.shape[2]
    if whole and window == Window(0, 0, *shape):
        return F.interpolate(planes[None], size=shape, mode="bilinear", align_corners=False)[0]
    above, below, share = _taps(window.top, window.bottom, shape[0], rows, origin[0])
    over, under = (planes.index_select(1, one) for one in (above, below))  # faster than indexing
    lines = torch.lerp(over, under, share[:, None])  # (C, height, w)
    if whole and (window.left, window.right) == (0, shape[1]):
        each = lines.flatten(0, 1)[None]  # as planes, the same takes longer
        return F.interpolate(each, size=shape[1], mode="linear").view(len(planes), -1, shape[1])
    left, right, share = _taps(window.left, window.right, shape[1], columns, origin[1])
    return torch.lerp(lines[:, :, left], lines[:, :, right], share)


def _positions(start: int, stop: int, length: int, cells: int) -> Tensor:
    """Positions of pixel centres between `start` and `stop`, in cells."""
    return ((torch.arange(start, stop) + 0.5) * (cells / length) - 0.5).clamp(min=0)


def _taps(
    start: int, stop: int, length: int, cells: int, origin: int
) -> tuple[Tensor, Tensor, Tensor]:
    """For each pixel the two cells it lies between, and the share of the second."""
    position = _positions(start, stop, length, cells)
    first = position.long().clamp(max=cells - 1)
    second = (first + 1).clamp(max=cells - 1)
    return first - origin, second - origin, position - first


def nearest(ids: Ids, shape: tuple[int, int]) -> Ids:
    """Resize a (H, W) array or tensor of ids to another shape, by nearest neighbour.

    Of the pixels that become one, the top left one is taken, as in `torch.nn.functional`.
    """
    rows, columns = (
        F.interpolate(torch.arange(old, dtype=torch.float32)[None, None], size=new)[0, 0]
        .long()
        .numpy()
        for old, new in zip(ids.shape, shape, strict=True)
    )
    found: Ids = ids[rows[:, None], columns]
    return found
