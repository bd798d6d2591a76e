"""A template for a new refiner. It works, but it is not in the table.

1. Copy this file to ``refiners/yourrefiner.py``, and name the refiner and its paper in the first
   line.
2. Fill in the class. A refiner without a network implements only `refine`. One with a network also
   implements `read`, and `network_shape` if that network is an image encoder; ``foundation.py`` is
   an example.
3. Add a row to ``refiners/table.py``. The command line, the window and the tests that run every
   refiner then include it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..features.interpolation import interpolated
from ..progress import Monitor
from ..results import ImageEmbedding
from .protocol import Refiner


class Template(Refiner):
    """The mean over 3 x 3 pixels of the resized image."""

    def refine(self, maps: Tensor, embedding: ImageEmbedding, monitor: Monitor) -> Tensor:
        """Refine the maps; the result has the size of the resized image."""
        # Report progress. This also raises `Stopped` if the user cancelled the run.
        monitor.tell("Averaging", 0, 1)

        # The maps are on the grid of CLIP's patches, or of the pixels of sliding windows. Here they
        # are interpolated to `embedding.resized`, the input image of CLIP, (H, W, 3) uint8.
        height, width = embedding.resized.shape[:2]
        maps = interpolated(maps, (height, width))

        # The result may be on any grid, but must have all maps in the same order.
        return F.avg_pool2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
