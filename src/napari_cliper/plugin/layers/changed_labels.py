"""Which labels a hint has changed, and a layer that shows them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...segmentation import LabelsByChunk
from .. import ui_text
from .image_layers import map_transforms
from .prediction_layers import AnyLabels, Prediction

SHOWN = 2048
"""Rows and columns of a layer of changed labels: no screen shows many more."""


@dataclass(frozen=True, eq=False)
class ChangedLabels:
    """What a hint has changed in a plane.

    Parameters
    ----------
    pixels : int
        How many pixels have another label; estimated if labels are computed chunk by chunk.
    labels : (y, x) array of int
        The new labels of changed pixels, 0 for others; of a large plane, every few pixels of it.
    """

    pixels: int
    labels: NDArray[Any]

    @classmethod
    def of(cls, before: AnyLabels, after: AnyLabels) -> ChangedLabels:
        """Compare the labels of a plane before and after a hint; call it in a thread."""
        old, new = _reduced(before), _reduced(after)
        differs = old != new
        pixels = round(np.count_nonzero(differs) * math.prod(after.shape) / new.size)
        rows, columns = (max(side // SHOWN, 1) for side in new.shape)
        few = slice(None, None, rows), slice(None, None, columns)
        return cls(pixels, np.where(differs[few], new[few], 0))

    def layer(self, prediction: Prediction) -> Labels:
        """Return a layer of the changed pixels, in the colours of the classes."""
        choice, labels = prediction.choice, self.labels
        rows, columns = labels.shape
        return Labels(
            labels.reshape((1,) * len(choice.plane) + labels.shape),
            name=ui_text.CHANGED_LAYER,
            colormap=prediction.layer.colormap,
            **map_transforms(choice, (rows, columns)),
        )


def _reduced(labels: AnyLabels) -> NDArray[Any]:
    """Labels, or those on the grid of the score maps, if they are computed chunk by chunk."""
    return labels.reduced if isinstance(labels, LabelsByChunk) else labels
