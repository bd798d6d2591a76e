"""An image that is read tile by tile, from an array of any library."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..errors import InvalidInputError
from ..tiles import TileLayout, Window
from .composite import Composite
from .contrast import Limits, Stretch, stretch_of
from .interpolation import bilinear_region, needed
from .preprocessing import (
    Resampling,
    RGBPixels,
    as_channels,
    as_rgb,
    check_finite,
    check_shape,
    is_constant,
    no_contrast,
)
from .pyramid import Pyramid
from .sampling import sample_of

READ_PIXELS = 1 << 24
"""Pixels of an image that are averaged at once."""

CONTRAST_PIXELS = 1 << 20
"""Pixels of a level of a pyramid that are enough for its contrast."""


@dataclass(frozen=True, eq=False)
class TiledImage:
    """An 8-bit RGB image that is converted and scaled region by region.

    Takes the place of a `preprocessing.RGBImage` for images that may be too large to be read whole.

    Parameters
    ----------
    source : (Y, X) or (Y, X, C) array
        NumPy, dask, zarr or any other array that can be sliced.
    stretch : Stretch
        How values become 8 bit, the same everywhere.
    notes : tuple of str
        Descriptions of the conversions, for the user.
    masks : (Y, X) int32 array or None
        See `preprocessing.RGBImage`.
    coarser : tuple of arrays
        The same image at lower resolutions, the largest first.
    """

    source: Any
    stretch: Stretch
    notes: tuple[str, ...] = ()
    masks: NDArray[np.int32] | None = None
    coarser: tuple[Any, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X)."""
        return int(self.source.shape[0]), int(self.source.shape[1])

    @property
    def contrast(self) -> dict[str, Any] | None:
        """Contrast limits as JSON, see `contrast.Stretch`; of channels, see `Composite.record`."""
        return self.source.record if isinstance(self.source, Composite) else self.stretch.record

    @cached_property
    def pixels(self) -> RGBPixels:
        """The whole image, (Y, X, 3) uint8; reads all of it."""
        return self.region(Window(0, 0, *self.shape))

    def region(self, window: Window) -> RGBPixels:
        """A part of the image in its own pixels, (height, width, 3) uint8.

        Raises
        ------
        InvalidInputError
            For values that are NaN or infinite.
        """
        values, _ = as_channels(np.asarray(self.source[window.slices]))
        try:
            check_finite(values)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"In the tile at row {window.top}, column {window.left}: {error}"
            ) from None
        return as_rgb(self.stretch.apply(values))

    def scaled(self, window: Window, shape: tuple[int, int], resampling: Resampling) -> RGBPixels:
        """A part of the image after it is resized to `shape`, (height, width, 3) uint8.

        Parameters
        ----------
        window : Window
            In pixels of the resized image.
        shape : (int, int)
            (H, W) of the whole resized image.
        resampling : str
            As in `preprocessing.resized`, which gives the same values for the whole image.

        Notes
        -----
        The coarsest level with at least the pixels of the resized image is read.
        """
        for level in reversed(self.coarser):
            if level.shape[0] >= shape[0] and level.shape[1] >= shape[1]:
                return replace(self, source=level, coarser=()).scaled(window, shape, resampling)
        if resampling == "bilinear":
            read = needed(window, shape, self.shape)
            planes = torch.from_numpy(self.region(read)).permute(2, 0, 1).float()
            found = bilinear_region(
                planes, shape, window, grid=self.shape, origin=(read.top, read.left)
            )
            return found.round().byte().permute(1, 2, 0).numpy()
        ratios = [have / want for have, want in zip(self.shape, shape, strict=True)]
        box = (
            window.left * ratios[1], window.top * ratios[0],
            window.right * ratios[1], window.bottom * ratios[0],
        )  # fmt: skip
        margin = [math.ceil(2 * max(ratio, 1)) + 1 for ratio in ratios]  # reach of bicubic weights
        read = Window(
            max(math.floor(box[1]) - margin[0], 0),
            max(math.floor(box[0]) - margin[1], 0),
            min(math.ceil(box[3]) + margin[0], self.shape[0]),
            min(math.ceil(box[2]) + margin[1], self.shape[1]),
        )
        height, width = read.shape
        inside = (
            box[0] - read.left, box[1] - read.top,
            min(box[2] - read.left, width), min(box[3] - read.top, height),
        )  # fmt: skip
        image = Image.fromarray(self.region(read))
        return np.array(image.resize(window.shape[::-1], Image.Resampling.BICUBIC, box=inside))

    def averaged(self, shape: tuple[int, int]) -> RGBPixels:
        """The whole image reduced to (h, w) by averaging, (h, w, 3) uint8.

        The coarsest level with at least these pixels is read, some rows at a time.
        """
        for level in reversed(self.coarser):
            if level.shape[0] >= shape[0] and level.shape[1] >= shape[1]:
                return replace(self, source=level, coarser=()).averaged(shape)
        height, width = self.shape
        found = np.empty((*shape, 3), np.uint8)
        count = min(-(-height * width // READ_PIXELS), shape[0])
        ends = [shape[0] * index // count for index in range(count + 1)]
        for start, stop in pairwise(ends):
            top, bottom = start * height / shape[0], stop * height / shape[0]
            read = Window(math.floor(top), 0, min(math.ceil(bottom), height), width)
            band = Image.fromarray(self.region(read))
            box = (0, top - read.top, width, bottom - read.top)
            size = (shape[1], stop - start)
            found[start:stop] = np.asarray(band.resize(size, Image.Resampling.BOX, box=box))
        return found


def tiled_image(source: Any, contrast: Limits | None = None, gamma: float = 1.0) -> TiledImage:
    """Prepare an array for reading by tiles; reads a sample of its pixels at most.

    Parameters
    ----------
    source : (Y, X) or (Y, X, C) array, Composite or Pyramid
        Grey, RGB or RGBA of any real dtype. The contrast of a pyramid is that of a coarse level.
    contrast : (float, float), optional
        As in `preprocessing.to_rgb`.
    gamma : float
        As in `preprocessing.to_rgb`.

    Raises
    ------
    InvalidInputError
        For any other shape or dtype, for NaN or infinite values in the sample, and for an image
        whose sampled pixels are all equal.
    """
    check_shape(source)
    levels = tuple(source.levels) if isinstance(source, Pyramid) else (source,)
    source = levels[0]
    enough = [one for one in levels if math.prod(one.shape[:2]) >= CONTRAST_PIXELS]
    sample, notes = as_channels(sample_of((enough or levels)[-1 if enough else 0]))
    if isinstance(source, Composite):
        notes = (source.note,)
    check_finite(sample)
    stretch = stretch_of(sample, contrast, gamma)
    pixels = stretch.apply(sample)
    if is_constant(pixels):
        raise no_contrast(" ".join((*notes, stretch.note)).strip())
    notes = (*notes, stretch.note) if stretch.note else notes
    return TiledImage(source, stretch, notes, coarser=levels[1:])


def tile_window(layout: TileLayout, cells: Window) -> Window:
    """Return the pixels of the image that a tile covers, rounded outwards."""
    ratios = [have / want for have, want in zip(layout.shape, layout.grid, strict=True)]
    return Window(
        math.floor(cells.top * ratios[0]),
        math.floor(cells.left * ratios[1]),
        min(math.ceil(cells.bottom * ratios[0]), layout.shape[0]),
        min(math.ceil(cells.right * ratios[1]), layout.shape[1]),
    )
