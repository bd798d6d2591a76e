"""Last-layer patch features of an embedded image, for any method."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..results import ImageEmbedding, PatchFeatures, TileSet
from ..tile_arrays import stored_features
from ..tiles import Window
from .mosaic import Mosaic
from .tiling import blend


def patch_features(embedding: ImageEmbedding) -> Tensor:
    """Return the normalised patch features of the last layer, (D, h, w) float32.

    From the whole image if it was encoded as a whole, otherwise the mean over the windows or tiles.
    """
    if embedding.tiles is not None:
        return _mosaic(embedding.tiles)
    if embedding.whole is not None:
        return _planes(embedding.whole)
    parts, places = [], []
    first = embedding.windows[0]
    cell = max(first.padded_shape[0] // first.grid[0], 1)
    height, width = (n // cell for n in embedding.resized.shape[:2])
    for part in embedding.windows:
        place = _in_cells(part.window, cell, (height, width))
        parts.append(F.adaptive_avg_pool2d(_inside(part), place.shape))
        places.append(place)
    return F.normalize(blend(parts, places, (height, width)), dim=0)


def _mosaic(tiles: TileSet) -> Tensor:
    """Blend the features of all tiles; 0 where the image has no contrast."""
    mosaic, count = Mosaic(tiles.layout), 0
    for cells, part in stored_features(tiles):
        if part is None:
            mosaic.add(None, cells)
            continue
        planes = tile_features(part)
        count = len(planes)
        mosaic.add(planes, cells)
    return F.normalize(mosaic.result(count), dim=0)


def tile_features(part: PatchFeatures) -> Tensor:
    """Return the features of a tile without those of its padding, (D, height, width) float32.

    On the grid of its patches, or at its pixels if it was padded.
    """
    return _planes(part) if part.padded_shape == part.window.shape else _inside(part)


def _planes(part: PatchFeatures) -> Tensor:
    """The normalised features of the last layer on their grid, (D, h, w)."""
    return F.normalize(part.features[-1], dim=-1).T.reshape(-1, *part.grid)


def _inside(part: PatchFeatures) -> Tensor:
    """The features of a window at its pixels, without those of the padding, (D, height, width)."""
    full = F.interpolate(_planes(part)[None], size=part.padded_shape, mode="bilinear")[0]
    at = part.padding
    return full[:, at.top : at.bottom, at.left : at.right]


def _in_cells(window: Window, cell: int, shape: tuple[int, int]) -> Window:
    """Convert a window from pixels to grid cells; windows that cover all pixels cover all cells."""
    bottom, right = (
        min(-(-end // cell), n) for end, n in zip((window.bottom, window.right), shape, strict=True)
    )
    return Window(window.top // cell, window.left // cell, bottom, right)
