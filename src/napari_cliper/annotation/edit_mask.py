"""What a person stands behind: labels, and for each pixel who decided on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..labels.label_class import ClassRow
from ..segmentation import InvalidInputError

OPEN, ACCEPTED, PAINTED = 0, 1, 2
"""Marks of a pixel: nobody has decided, taken from a prediction, touched by hand."""

Labels = NDArray[np.uint16]
EditMask = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class AnnotationState:
    """The annotation of one image at a moment.

    Parameters
    ----------
    labels : (..., Y, X) uint16 array
        0 is background or nothing yet; other labels are those of `classes`.
    edit_mask : (..., Y, X) uint8 array
        `OPEN`, `ACCEPTED` or `PAINTED`.
    classes : mapping of int to ClassRow
        By label. A label is given to a class once and never to another one.
    record : mapping
        Where it comes from; JSON-safe.

    Raises
    ------
    InvalidInputError
        For arrays that do not fit each other.
    """

    labels: Labels
    edit_mask: EditMask
    classes: Mapping[int, ClassRow]
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what does not fit."""
        if self.labels.dtype != np.uint16 or self.edit_mask.dtype != np.uint8:
            raise InvalidInputError(
                f"Labels are {self.labels.dtype} and marks {self.edit_mask.dtype}. Give uint16 and "
                "uint8."
            )
        if self.labels.shape != self.edit_mask.shape or self.labels.ndim < 2:
            raise InvalidInputError(
                f"Labels {self.labels.shape} and marks {self.edit_mask.shape} differ in size."
            )
