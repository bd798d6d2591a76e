"""Outlines of predictions on planes that are too large for napari to outline. No napari here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ...labels.outlines import drawn_outlines

if TYPE_CHECKING:
    from ...labels.labelled_image import LabelArray
    from ...segmentation import Stage

OUTLINED_UP_TO = 1500 * 1500
"""Pixels of a plane up to which napari makes the outlines; it takes too long for more."""
PIXELS_PER_OUTLINE = 750
"""An outline of ours is as wide as the shorter side has so many pixels."""


def is_large(shape: Sequence[int]) -> bool:
    """Whether napari would take too long to outline the planes of an array of this shape."""
    return math.prod(shape[-2:]) > OUTLINED_UP_TO


def outlines_of(labels: NDArray[Any]) -> NDArray[Any]:
    """The outlines of a large plane, as wide as they have to be to be seen; for a thread."""
    return drawn_outlines(labels, max(min(labels.shape) // PIXELS_PER_OUTLINE, 1))


def outlines_of_large(labels: Mapping[Stage, LabelArray]) -> dict[Stage, LabelArray]:
    """The outlines of the labels of each stage if their plane is large; for a thread."""
    return {stage: outlines_of(one) for stage, one in labels.items() if is_large(one.shape)}
