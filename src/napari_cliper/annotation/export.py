"""Convert annotations to labelled images for the exporters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..io.lazy_images import Reader
from ..labels.axes import UNKNOWN
from ..labels.labelled_image import LabelledImage
from ..segmentation import InvalidInputError
from .edit_mask import OPEN, AnnotationState
from .project.project import Project


def labelled_of(
    state: AnnotationState,
    name: str,
    image: NDArray[Any] | None,
    geometry: Mapping[str, Any] | None = None,
    image_file: str = "",
    image_axes: str = "",
) -> LabelledImage:
    """Combine an annotation with its image and metadata for export.

    Parameters
    ----------
    state : AnnotationState
    name : str
    image : (..., Y, X[, C]) array, optional
    geometry : mapping, optional
        ``pixel_size`` and ``units``, one per axis of the labels, and ``axes``, one letter per axis;
        default: the ``geometry`` of the state's record.
    image_file : str
        File name of the image.
    image_axes : str
        One letter per axis of the image; used if the geometry does not name all axes.

    Returns
    -------
    LabelledImage
        With uint8 labels if they are below 256, otherwise uint16. Open pixels are ignored.
    """
    given = dict(state.record.get("geometry", {}) if geometry is None else geometry)
    axes = str(given.get("axes", ""))
    if (not axes or UNKNOWN in axes) and len(image_axes) == state.labels.ndim:
        axes = image_axes
    fits = int(state.labels.max(initial=0)) < 256
    return LabelledImage(
        name,
        state.labels.astype(np.uint8 if fits else np.uint16),
        state.classes,
        image=image,
        image_file=image_file,
        pixel_size=tuple(map(float, given.get("pixel_size", ()))),
        units=tuple(map(str, given.get("units", ()))),
        axes=axes,
        ignored=state.edit_mask == OPEN,
        record=state.record,
    )


def readers_of(project: Project) -> list[Reader]:
    """Return a reader for each annotated image of a project, in the project's order."""
    return [
        partial(_read, project, image.name, image.path.name)
        for image in project.images
        if project.peek(image.name) is not None
    ]


def _read(project: Project, name: str, file: str) -> LabelledImage:
    state = project.peek(name)
    if state is None:
        raise InvalidInputError(f"The annotation of {name} was removed. Export again.")
    pixels, axes = project.read_image_with_axes(name)
    return labelled_of(state, name, pixels, image_file=file, image_axes=axes)
