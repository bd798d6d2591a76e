"""Labels layers with the numbers of objects or masks of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.viewer import Viewer
from numpy.typing import NDArray

from .image_layers import ImageChoice, is_output, labels_shape


def object_layers(viewer: Viewer, choice: ImageChoice) -> list[Labels]:
    """Return the Labels layers of the size of an image or of its planes, but no results."""
    whole = labels_shape(ImageChoice(choice.layer, choice.name))
    return [
        one
        for one in viewer.layers
        if isinstance(one, Labels)
        and not is_output(one)
        and not one.multiscale
        and one.data.shape in (whole, whole[-2:])
    ]


def reader_of(layer: Labels, choice: ImageChoice) -> Callable[[], NDArray[Any]]:
    """Return a function that reads the numbers at the pixels of a choice, (Y, X).

    It accesses no layer, so that a thread may call it.
    """
    data, plane = layer.data, choice.plane if layer.data.ndim > 2 else ()
    rows, columns = choice.region or (slice(None), slice(None))
    return lambda: np.asarray(data[(*plane, rows, columns)]).copy()
