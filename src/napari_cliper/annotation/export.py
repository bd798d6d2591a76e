"""Convert annotations to labelled images for the exporters: large ones piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..io.export import check_memory
from ..io.lazy_images import Reader
from ..labels.axes import UNKNOWN
from ..labels.labelled_image import LabelledImage
from ..labels.pieces import Pieces
from ..labels.units import in_one_unit
from ..objects.labelled import with_objects
from ..segmentation import InvalidInputError
from .edit_mask import OPEN, AnnotationState
from .label_store import LabelStore
from .project.project import Project
from .saved_objects import OBJECTS, objects_of_state
from .stored_state import StoredState


def labelled_of(
    state: AnnotationState,
    name: str,
    image: Any,
    image_file: str = "",
    image_axes: str = "",
) -> LabelledImage:
    """Combine an annotation with its image and metadata for export.

    Parameters
    ----------
    state : AnnotationState
        Its record may have a ``geometry``: ``pixel_size`` and ``units``, one per axis of the
        labels, and ``axes``, one letter per axis.
    name : str
    image : (..., Y, X[, C]) array, optional
        Of any library.
    image_file : str
        File name of the image.
    image_axes : str
        One letter per axis of the image; used if the geometry does not name all axes.

    Returns
    -------
    LabelledImage
        With uint8 labels if they are below 256, otherwise uint16. Open pixels are ignored. Formats
        of objects get the objects that are saved with the annotation, if there are any. If labels
        are on disk, labels, ignored pixels and image are `Pieces`.
    """
    given: Mapping[str, Any] = state.record.get("geometry", {})
    axes = str(given.get("axes", ""))
    if (not axes or UNKNOWN in axes) and len(image_axes) == len(state.shape):
        axes = image_axes
    labelled = LabelledImage(
        name,
        classes=state.classes,
        image_file=image_file,
        pixel_size=tuple(map(float, given.get("pixel_size", ()))),
        units=tuple(map(str, given.get("units", ()))),
        axes=axes,
        record={key: value for key, value in state.record.items() if key != OBJECTS},
        **_arrays(state, image),
    )
    if OBJECTS not in state.record:
        return labelled
    return replace(labelled, separate=cache(partial(_separate, labelled, state)))


def _arrays(state: AnnotationState, image: Any) -> dict[str, Any]:
    store = _store_on_disk(state)
    if store is not None:
        return _in_pieces(store, image)
    labels = state.labels
    fits = int(labels.max(initial=0)) < 256
    return {
        "labels": labels.astype(np.uint8 if fits else np.uint16),
        "ignored": state.edit_mask == OPEN,
        "image": image,
    }


def _store_on_disk(state: AnnotationState) -> LabelStore | None:
    return state.store if isinstance(state, StoredState) and not state.store.in_memory else None


def _in_pieces(store: LabelStore, image: Any) -> dict[str, Any]:
    fits = max(store.counts().labels, default=0) < 256
    dtype = np.uint8 if fits else np.uint16
    return {
        "labels": Pieces(partial(_labels_part, store), store.shape, dtype),
        "ignored": Pieces(partial(_open_part, store), store.shape, bool),
        "image": None if image is None
        else Pieces(partial(_pixels, image), tuple(image.shape), image.dtype),
    }  # fmt: skip


def _labels_part(store: LabelStore, rows: slice, columns: slice) -> NDArray[np.uint16]:
    return store.read_labels((rows, columns))


def _open_part(store: LabelStore, rows: slice, columns: slice) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = store.read_edit_mask((rows, columns)) == OPEN
    return found


def _pixels(image: Any, rows: slice, columns: slice) -> NDArray[Any]:
    return np.asarray(image[rows, columns])


def _separate(labelled: LabelledImage, state: AnnotationState) -> LabelledImage:
    if _store_on_disk(state) is not None:
        check_memory(state.shape, ())
    return with_saved_objects(labelled.loaded(), state)


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


def readers_of(
    project: Project, states: Mapping[str, AnnotationState] = MappingProxyType({})
) -> list[Reader]:
    """Return a reader for each annotated image of a project, in the project's order.

    Parameters
    ----------
    project : Project
    states : mapping of str to AnnotationState
        Annotations by the name of their image, which are used in place of those on disk.
    """
    return [
        partial(
            _read, project, image.name, "" if image.is_group else image.path.name,
            states.get(image.name),
        )
        for image in project.images
        if image.name in states or project.peek(image.name) is not None
    ]  # fmt: skip


def _read(project: Project, name: str, file: str, given: AnnotationState | None) -> LabelledImage:
    state = project.peek(name) if given is None else given
    if state is None:
        raise InvalidInputError(f"The annotation of {name} was removed. Export again.")
    pixels, axes = project.open_image(name)
    return labelled_of(state, name, pixels, image_file=file, image_axes=axes)
