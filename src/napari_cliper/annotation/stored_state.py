"""The annotation of a large image, whose labels and edit mask are on disk."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import psutil

from ..labels.label_class import ClassRow
from ..segmentation import InvalidInputError
from .chunks import Region
from .edit_mask import AnnotationState, EditMask, Labels
from .label_store import LabelStore

WHOLE_BYTES = 6
"""Bytes for each pixel while all labels and the edit mask are read into memory."""


class StoredState(AnnotationState):
    """The annotation of a large image: its labels and edit mask are in a `LabelStore`.

    `labels` and `edit_mask` read all pixels into memory, as copies.

    Parameters
    ----------
    store : LabelStore
        Shared: it changes with the annotation.
    classes, record
        As for `AnnotationState`.
    """

    def __init__(
        self,
        store: LabelStore,
        classes: Mapping[int, ClassRow],
        record: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        for name, value in (("store", store), ("classes", classes), ("record", record)):
            object.__setattr__(self, name, value)

    store: LabelStore

    @property
    def labels(self) -> Labels:
        """All labels, (Y, X) uint16.

        Raises
        ------
        InvalidInputError
            If they do not fit in the free memory.
        """
        return self.store.read_labels(self._whole())

    @property
    def edit_mask(self) -> EditMask:
        """The whole edit mask, (Y, X) uint8; raises as `labels`."""
        return self.store.read_edit_mask(self._whole())

    def _whole(self) -> Region:
        rows, columns = self.store.shape
        needed, free = WHOLE_BYTES * rows * columns, psutil.virtual_memory().available
        if needed > free:
            raise InvalidInputError(
                f"All labels of this image of {rows} x {columns} px need {needed / 1e9:.1f} GB of "
                f"memory at once, and {free / 1e9:.1f} GB are free. Close other programs, or "
                "open this image in napari and export it alone as OME-Zarr, which is written "
                "piece by piece."
            )
        return slice(0, rows), slice(0, columns)

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns of the image."""
        return self.store.shape

    def with_record(self, record: Mapping[str, Any]) -> StoredState:
        """Return the annotation with another record."""
        return StoredState(self.store, self.classes, record)
