"""A refiner to copy. It works, but it is not in the table.

1. Copy this file to ``refiners/yourrefiner.py`` and say in the first line what it is and which
   paper it is from.
2. Fill in the class. A refiner that needs no network has `refine` alone. One with a network also
   has `read`, and `network_shape` where that network is an image encoder; ``foundation.py`` is an
   example.
3. Add a row to ``refiners/table.py``. The command line, the window and the tests that run every
   refiner follow it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..progress import Monitor
from ..results import ImageEmbedding
from .grid import on_grid
from .protocol import Refiner


class Template(Refiner):
    """The mean over 3 x 3 pixels of the resized image."""

    def refine(self, maps: Tensor, embedding: ImageEmbedding, monitor: Monitor) -> Tensor:
        """On the pixels of the resized image."""
        # Say what goes on; this also stops the run when a person has asked for that.
        monitor.tell("Averaging", 0, 1)

        # The maps come on the grid of CLIP's patches, or of the windows' pixels. `on_grid` takes
        # them to another one; `embedding.resized` is the image that CLIP saw, (H, W, 3) uint8.
        height, width = embedding.resized.shape[:2]
        maps = on_grid(maps, (height, width))

        # Any grid may be returned, but all maps that came in, in their order.
        return F.avg_pool2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
