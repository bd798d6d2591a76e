"""Labels of an image and its edit mask: for each pixel open, accepted, painted or cleaned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..labels.label_class import ClassRow
from ..segmentation import InvalidInputError

OPEN, ACCEPTED, PAINTED, CLEANED = 0, 1, 2, 3
"""Values of the edit mask: undecided, accepted from a prediction, painted or erased by hand,
changed by a clean-up tool.

Painted pixels are hints. Cleaned ones are not, because a clean-up tool knows shapes only."""

Labels = NDArray[np.uint16]
EditMask = NDArray[np.uint8]


def protected(edit_mask: EditMask) -> NDArray[np.bool_]:
    """Return which pixels only the user changes: painted and cleaned ones."""
    mask: NDArray[np.bool_] = edit_mask >= PAINTED
    return mask


@dataclass(frozen=True, eq=False)
class AnnotationState:
    """Snapshot of the annotation of one image.

    Parameters
    ----------
    labels : (..., Y, X) uint16 array
        0 is background or unlabelled; other labels are keys of `classes`.
    edit_mask : (..., Y, X) uint8 array
        `OPEN`, `ACCEPTED`, `PAINTED` or `CLEANED`.
    classes : mapping of int to ClassRow
        Classes by label. A label is never reused for another class.
    record : mapping
        Provenance; JSON-serialisable.

    Raises
    ------
    InvalidInputError
        If the dtypes are wrong or the shapes differ.
    """

    labels: Labels
    edit_mask: EditMask
    classes: Mapping[int, ClassRow]
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check dtypes and shapes."""
        if self.labels.dtype != np.uint16 or self.edit_mask.dtype != np.uint8:
            raise InvalidInputError(
                f"The labels are {self.labels.dtype} and the edit mask {self.edit_mask.dtype}. "
                "Give uint16 and uint8."
            )
        if self.labels.shape != self.edit_mask.shape or self.labels.ndim < 2:
            raise InvalidInputError(
                f"Labels {self.labels.shape} and edit mask {self.edit_mask.shape} differ in size."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the labels and of the edit mask."""
        return self.labels.shape

    def with_record(self, record: Mapping[str, Any]) -> AnnotationState:
        """Return the annotation with another record."""
        return replace(self, record=record)
