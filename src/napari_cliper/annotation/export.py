"""An annotation as the exporters take it."""

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

GEOMETRY = ("pixel_size", "units", "axes")
"""The keys of a record that say how large pixels are."""


def labelled_of(
    state: AnnotationState,
    name: str,
    image: NDArray[Any] | None,
    geometry: Mapping[str, Any] | None = None,
    image_file: str = "",
    image_axes: str = "",
) -> LabelledImage:
    """The labels with what a format may want to know.

    Parameters
    ----------
    state : AnnotationState
    name : str
    image : (..., Y, X[, C]) array, optional
    geometry : mapping, optional
        ``pixel_size`` and ``units``, one for each axis of the labels, and ``axes``, a letter for
        each; by default what the state's record says under these names.
    image_file : str
        The name of the image's file.
    image_axes : str
        A letter for each axis of the image, where the geometry does not name them all.

    Returns
    -------
    LabelledImage
        Of uint8 labels where they fit; pixels on which nobody has decided are ignored.
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
    """What reads each image of a project that has an annotation, in the project's order."""
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
