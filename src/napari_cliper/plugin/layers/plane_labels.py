"""Read the annotation of a plane of a stack, in a thread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .annotation_layer import AnnotationLayer
from .image_layers import ImageChoice, labels_shape


def annotated_on(
    annotation: AnnotationLayer | None, choice: ImageChoice
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Return copies of the labels and the edit mask of a choice, both (Y, X); threads may call it.

    They are the newest that the annotation knows. Zeros without an annotation.
    """
    shape = labels_shape(choice)[-2:]
    if annotation is None:
        return np.zeros(shape, np.uint16), np.zeros(shape, np.uint8)
    plane = tuple(slice(index, index + 1) for index in choice.plane)
    store = annotation.edits.store
    whole = tuple(slice(0, side) for side in store.shape[-2:])
    labels, edit_mask = store.read((*plane, *(choice.region or whole)))
    return labels.reshape(shape), edit_mask.reshape(shape)
