"""Convert annotations to labelled images for the exporters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from ..io.lazy_images import Reader
from ..labels.axes import UNKNOWN
from ..labels.labelled_image import LabelledImage
from ..labels.units import in_one_unit
from ..objects.labelled import with_objects
from ..segmentation import InvalidInputError
from .edit_mask import OPEN, AnnotationState
from .project.project import Project
from .saved_objects import OBJECTS, objects_of_state


def labelled_of(
    state: AnnotationState,
    name: str,
    image: Any,
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
        Of any library.
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
        With uint8 labels if they are below 256, otherwise uint16. Open pixels are ignored. Formats
        of objects get the objects that are saved with the annotation, if there are any.
    """
    given = dict(state.record.get("geometry", {}) if geometry is None else geometry)
    axes = str(given.get("axes", ""))
    labels = state.labels  # read once: they may be on disk
    if (not axes or UNKNOWN in axes) and len(image_axes) == labels.ndim:
        axes = image_axes
    fits = int(labels.max(initial=0)) < 256
    labelled = LabelledImage(
        name,
        labels.astype(np.uint8 if fits else np.uint16),
        state.classes,
        image=image,
        image_file=image_file,
        pixel_size=tuple(map(float, given.get("pixel_size", ()))),
        units=tuple(map(str, given.get("units", ()))),
        axes=axes,
        ignored=state.edit_mask == OPEN,
        record={key: value for key, value in state.record.items() if key != OBJECTS},
    )
    if OBJECTS not in state.record:
        return labelled
    return replace(labelled, separate=cache(partial(with_saved_objects, labelled, state)))


def with_saved_objects(image: LabelledImage, state: AnnotationState) -> LabelledImage:
    """Return an annotated image with the objects that are saved with its annotation.

    Parameters
    ----------
    image : LabelledImage
        Of the annotation.
    state : AnnotationState

    Returns
    -------
    LabelledImage
        With `LabelledImage.instances`. Pixels of objects have the class of their object; other
        pixels keep their label.
    """
    depth = image.axes.find("Z")
    deep = depth >= 0
    axes = (depth, -2, -1)
    sizes, units = [image.pixel_size[one] for one in axes], [image.units[one] for one in axes]
    spacing = in_one_unit(sizes, units)[0] if deep else None
    found = objects_of_state(state, depth if deep else None, spacing)
    if found is None:
        return image
    objects, labels, classes = found
    labelled = with_objects(replace(image, classes=classes, separate=None), objects, labels)
    there = objects.numbers > 0
    wide = np.promote_types(labelled.labels.dtype, image.labels.dtype)
    decided = (state.edit_mask != OPEN).any(axis=(-2, -1), keepdims=True)
    return replace(
        labelled,
        labels=np.where(there, labelled.labels, image.labels).astype(wide),
        ignored=None if image.ignored is None else image.ignored & ~there & decided,
    )


def readers_of(project: Project) -> list[Reader]:
    """Return a reader for each annotated image of a project, in the project's order."""
    return [
        partial(_read, project, image.name, "" if image.is_group else image.path.name)
        for image in project.images
        if project.peek(image.name) is not None
    ]


def _read(project: Project, name: str, file: str) -> LabelledImage:
    state = project.peek(name)
    if state is None:
        raise InvalidInputError(f"The annotation of {name} was removed. Export again.")
    pixels, axes = project.open_image(name)
    return labelled_of(state, name, pixels, image_file=file, image_axes=axes)
