"""Annotations with the pixels and the display of their image, as the exporters take them."""

from __future__ import annotations

from dataclasses import replace

from ...annotation.edit_mask import AnnotationState
from ...annotation.export import labelled_of
from ...labels.labelled_image import LabelledImage
from .image_layers import ImageChoice


def labelled_with(state: AnnotationState, choice: ImageChoice) -> LabelledImage:
    """Return an annotation with the pixels of its image, for an export; call it in a thread.

    Parameters
    ----------
    state : AnnotationState
    choice : ImageChoice
        The whole image.
    """
    found = labelled_of(state, choice.name, choice.source)
    return replace(found, contrast=choice.contrast(), gamma=choice.gamma)
