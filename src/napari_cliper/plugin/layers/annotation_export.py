"""Annotations as the exporters take them: large ones piece by piece, where the format allows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...annotation.edit_mask import AnnotationState
from ...annotation.export import labelled_of
from ...annotation.label_store import LabelStore
from ...annotation.saved_objects import OBJECTS
from ...annotation.stored_state import StoredState
from ...io.export import check_memory
from ...io.formats import FORMATS
from ...labels.labelled_image import LabelledImage
from ...labels.pieces import Pieces
from .image_layers import ImageChoice


def labelled_with(
    state: AnnotationState, choice: ImageChoice, formats: Sequence[str]
) -> LabelledImage:
    """Return an annotation with the pixels of its image, for an export; call it in a thread.

    Parameters
    ----------
    state : AnnotationState
    choice : ImageChoice
        The whole image.
    formats : sequence of str
        Keys of `FORMATS`. If all are written piece by piece, a large image is read in pieces.

    Raises
    ------
    InvalidInputError
        If a large image does not fit in the free memory, for another format.
    """
    on_disk = isinstance(state, StoredState) and not state.store.in_memory
    if isinstance(state, StoredState) and on_disk and _in_pieces(state, formats):
        found = _piecewise(state, choice)
    else:
        if isinstance(state, StoredState) and on_disk:
            check_memory(state.shape, formats)
        found = labelled_of(state, choice.name, choice.source)
    return replace(found, contrast=choice.contrast(), gamma=choice.gamma)


def _in_pieces(state: StoredState, formats: Sequence[str]) -> bool:
    return OBJECTS not in state.record and all(FORMATS[name].pieces for name in formats)


def _piecewise(state: StoredState, choice: ImageChoice) -> LabelledImage:
    empty = StoredState(LabelStore((1, 1)), state.classes, state.record)
    labels = state.store
    dtype = np.uint8 if max(labels.counts().labels, default=0) < 256 else np.uint16
    source = choice.source
    arrays: dict[str, Any] = {
        "labels": Pieces(partial(_labels, labels), labels.shape, dtype),
        "image": Pieces(partial(_pixels, source), tuple(source.shape), source.dtype),
    }
    return replace(labelled_of(empty, choice.name, None), ignored=None, **arrays)


def _pixels(source: Any, rows: slice, columns: slice) -> NDArray[Any]:
    return np.asarray(source[rows, columns])


def _labels(store: LabelStore, rows: slice, columns: slice) -> NDArray[np.uint16]:
    return store.read_labels((rows, columns))
