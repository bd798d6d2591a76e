"""Last-layer patch features of an embedded image, for any method."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..results import ImageEmbedding
from .tiling import Window, blend


def patch_features(embedding: ImageEmbedding) -> Tensor:
    """Return the normalised patch features of the last layer, (D, h, w) float32.

    From the whole image if it was encoded as a whole, otherwise the mean over the windows.
    """
    whole = embedding.whole
    if whole is not None:
        return F.normalize(whole.features[-1], dim=-1).T.reshape(-1, *whole.grid)
    parts, places = [], []
    first = embedding.windows[0]
    cell = first.padded_shape[0] // first.grid[0]
    height, width = (n // cell for n in embedding.resized.shape[:2])
    for part in embedding.windows:
        planes = F.normalize(part.features[0], dim=-1).T.reshape(1, -1, *part.grid)
        at = part.padding
        full = F.interpolate(planes, size=part.padded_shape, mode="bilinear")[0]
        inside = full[:, at.top : at.bottom, at.left : at.right]
        place = _in_cells(part.window, cell, (height, width))
        parts.append(F.adaptive_avg_pool2d(inside, place.shape))
        places.append(place)
    return F.normalize(blend(parts, places, (height, width)), dim=0)


def _in_cells(window: Window, cell: int, shape: tuple[int, int]) -> Window:
    """Convert a window from pixels to grid cells; windows that cover all pixels cover all cells."""
    bottom, right = (
        min(-(-end // cell), n) for end, n in zip((window.bottom, window.right), shape, strict=True)
    )
    return Window(window.top // cell, window.left // cell, bottom, right)
