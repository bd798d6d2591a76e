"""Labels of a large image that are all known, in an array on disk."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..tiles import Window
from .labels_by_chunk import LabelsByChunk, of_cells

if TYPE_CHECKING:
    from .label_rule import LabelArray


class StoredLabels(LabelsByChunk):
    """Labels in an array on disk, read where they are needed.

    Parameters
    ----------
    labels : (Y, X) uint8 or uint16 array
        Of Zarr, or another array that can be sliced.
    reduced : (h, w) array of the same dtype
        The labels of a reduced copy of the image.
    counts : (T + 1,) int64 array
        Pixels of each label.
    """

    def __init__(self, labels: Any, reduced: LabelArray, counts: NDArray[np.int64]) -> None:
        self.shape = labels.shape
        self.dtype = reduced.dtype
        self.reduced = reduced
        self._stored = labels
        self._counts = counts
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the lock, to be sent to another process."""
        return StoredLabels, (self._stored, self.reduced, self.counts)

    @property
    def nbytes(self) -> int:
        """Bytes of memory of what is kept."""
        return self.reduced.nbytes

    def seen(self, region: Window, step: int = 1) -> LabelArray:
        """Every `step`-th label of a region; above `FINE`, the reduced labels are used."""
        if step > self.FINE:
            return of_cells(self.reduced, region, self.shape, step)
        found: LabelArray = np.asarray(self._stored[region.slices])[::step, ::step]
        return found

    def missing(self, region: Window) -> list[Window]:
        """Return the chunks that are not known yet: none."""
        del region
        return []

    def _labels(self, chunk: Window) -> LabelArray:
        found: LabelArray = np.asarray(self._stored[chunk.slices])
        return found
