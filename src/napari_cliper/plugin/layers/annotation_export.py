"""Annotations with the pixels and the display of their image, as the exporters take them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ...annotation.edit_mask import AnnotationState
from ...annotation.export import labelled_of
from ...annotation.stored_state import StoredState
from ...labels.labelled_image import LabelledImage
from .image_layers import ImageChoice


def gathering(state: AnnotationState, choice: ImageChoice) -> Callable[[], LabelledImage]:
    """Return a function that returns an annotation as it is now, with its image, for an export.

    Call the function in a thread.

    Parameters
    ----------
    state : AnnotationState
    choice : ImageChoice
        The whole image.
    """
    now = state.snapshot() if isinstance(state, StoredState) else state
    return partial(_labelled_with, now, choice)


def _labelled_with(state: AnnotationState, choice: ImageChoice) -> LabelledImage:
    found = labelled_of(state, choice.name, choice.source)
    return replace(found, contrast=choice.contrast(), gamma=choice.gamma)
