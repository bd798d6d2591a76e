"""The annotation of a large image or a stack; a save writes only what has changed."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from types import MappingProxyType
from typing import Any

import psutil

from ..labels.label_class import ClassRow
from ..segmentation import InvalidInputError
from .chunks import Part
from .edit_mask import AnnotationState, EditMask, Labels
from .label_store import LabelStore
from .memory_store import MemoryStore

WHOLE_BYTES = 6
"""Bytes for each pixel while all labels and the edit mask are read into memory."""


class StoredState(AnnotationState):
    """The annotation of a large image or a stack: labels and edit mask are in a `LabelStore`.

    `labels` and `edit_mask` are copies of all pixels.

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
        """All labels, (..., Y, X) uint16.

        Raises
        ------
        InvalidInputError
            If those of a large image do not fit in the free memory.
        """
        return self.store.read_labels(self._whole())

    @property
    def edit_mask(self) -> EditMask:
        """The whole edit mask, (..., Y, X) uint8; raises as `labels`."""
        return self.store.read_edit_mask(self._whole())

    def _whole(self) -> Part:
        needed, free = WHOLE_BYTES * prod(self.shape), psutil.virtual_memory().available
        if needed > free and not self.store.in_memory:
            sides = " x ".join(map(str, self.shape))
            raise InvalidInputError(
                f"All labels of this image of {sides} px need {needed / 1e9:.1f} GB of "
                f"memory at once, and {free / 1e9:.1f} GB are free. Close other programs, or "
                "export the annotation as OME-Zarr or OME-TIFF, which are written piece by piece."
            )
        return tuple(slice(0, side) for side in self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the labels and of the edit mask."""
        return self.store.shape

    def with_record(self, record: Mapping[str, Any]) -> StoredState:
        """Return the annotation with another record."""
        return StoredState(self.store, self.classes, record)

    def snapshot(self) -> StoredState:
        """Return the annotation as it is now, to be read by a thread."""
        return StoredState(self.store.snapshot(), self.classes, self.record)


def in_chunks(state: AnnotationState) -> StoredState:
    """Return the annotation of a plane with its labels in chunks, none of which is on disk."""
    if isinstance(state, StoredState):
        return state
    store = LabelStore(state.shape)
    whole = tuple(slice(0, side) for side in state.shape)
    store.write(whole, state.labels, state.edit_mask)
    return StoredState(store, state.classes, state.record)


def memory_store_of(state: AnnotationState) -> MemoryStore:
    """Return the store of an annotation in memory; of arrays, a store of copies."""
    if isinstance(state, StoredState) and isinstance(state.store, MemoryStore):
        return state.store
    return MemoryStore(state.labels.copy(order="C"), state.edit_mask.copy(order="C"))
