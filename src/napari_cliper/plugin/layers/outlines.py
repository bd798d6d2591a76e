"""Outlines of predictions on planes that are too large for napari to outline. No napari."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ...labels.outlines import drawn_outlines
from ...segmentation import LabelsByChunk

if TYPE_CHECKING:
    from ...labels.labelled_image import LabelArray
    from ...segmentation import Stage

OUTLINED_UP_TO = 1500 * 1500
"""The number of pixels of a plane above which napari takes too long to make the outlines."""
PIXELS_PER_OUTLINE = 750
"""The shorter side of a plane, in pixels, for each pixel of the width of an outline."""


def is_large(shape: Sequence[int]) -> bool:
    """Whether napari would take too long to outline the planes of an array of this shape."""
    return math.prod(shape[-2:]) > OUTLINED_UP_TO


def outlines_of(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the outlines of a large plane, wide enough to be visible; call it in a thread."""
    return drawn_outlines(labels, max(min(labels.shape) // PIXELS_PER_OUTLINE, 1))


def outlines_of_large(
    labels: Mapping[Stage, LabelArray | LabelsByChunk],
) -> dict[Stage, LabelArray]:
    """Return the outlines of each stage with a large plane; call it in a thread.

    napari outlines what is visible of labels that are computed chunk by chunk.
    """
    return {
        stage: outlines_of(one)
        for stage, one in labels.items()
        if not isinstance(one, LabelsByChunk) and is_large(one.shape)
    }
