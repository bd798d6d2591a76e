"""Work on annotations in a thread: cleaning and counting."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari.viewer import Viewer
from numpy.typing import NDArray

from ...annotation.cleanup import CLEANING
from ...annotation.completion import Done, done, done_on_disk
from ...annotation.edit_mask import CLEANED
from ...annotation.label_store import LabelStore
from ...annotation.merge import region_at
from ...annotation.stored_edits import region_of
from ...annotation.stored_rewrite import Rewritten, rewritten
from ...segmentation import Report, ShouldStop
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_layers import ImageChoice, Region, part_of_choice
from ..layers.image_view import pixel_under, rectangle_of
from ..layers.labels_history import Place
from ..layers.large_annotation_layer import LargeAnnotationLayer
from ..panels.annotation_panel import AnnotationChoice
from ..worker import Work

Tool = Callable[[NDArray[np.uint16]], NDArray[np.uint16]]
"""Returns other labels of a plane; called in a thread."""

Found = tuple[Place, NDArray[np.uint16], NDArray[np.uint16]] | Rewritten
"""Where labels were cleaned, and the labels before and after; or chunks of them."""


def tool_for(
    viewer: Viewer,
    annotation: AnnotationLayer,
    choice: ImageChoice,
    request: AnnotationChoice,
    chosen: set[str] | None,
    world: Any | None,
) -> Tool:
    """Return a cleaning tool for the labels of a plane.

    Parameters
    ----------
    viewer : Viewer
    annotation : AnnotationLayer
    choice : ImageChoice
        The plane, and the region of the labels in it.
    request : AnnotationChoice
        What the panel asks for.
    chosen : set of str, optional
        Names of the classes to clean; default: all.
    world : array of float, optional
        World coordinates of a click: only the region there is cleaned.

    Raises
    ------
    InvalidInputError
        If there is no rectangle; by the tool, if there is no region.
    """
    rectangle, point = None, None
    if request.scope == "rectangle":
        found = rectangle_of(viewer, choice.layer)
        _, rectangle = part_of_choice(choice, found)
    elif world is not None:
        *_, row, column = pixel_under(viewer, annotation.layer, world)
        point = row, column
    return partial(
        cleaned,
        request.tool,
        request.amount,
        wanted=annotation.labels_named(chosen),
        rectangle=rectangle,
        point=point,
    )


def cleaned(
    tool: Any,
    amount: int | None,
    labels: NDArray[np.uint16],
    *,
    wanted: set[int] | None = None,
    rectangle: Region | None = None,
    point: tuple[int, int] | None = None,
) -> NDArray[np.uint16]:
    """The labels after a cleaning tool; it changes the given classes, by default all."""
    where: NDArray[np.bool_] | None = None
    if rectangle is not None:
        where = np.zeros(labels.shape, bool)
        where[rectangle] = True
    elif point is not None:
        region = region_at(labels, *point)
        wanted = {int(labels[point])}
        where = None if tool in ("grow", "fill holes", "smooth") else region
    chosen = set(np.unique(labels).tolist()) - {0} if wanted is None else wanted
    return CLEANING[tool](labels, chosen, amount, where=where).astype(np.uint16, copy=False)


def cleaning(annotation: AnnotationLayer, choice: ImageChoice, tool: Tool) -> Work:
    """Return the work of a tool on the labels of a plane; then call `take_cleaned`."""
    annotation.follow()
    place = annotation.place_of(choice)
    if isinstance(annotation, LargeAnnotationLayer):
        store = annotation.store
        region = region_of(place, store.shape)
        return partial(cleaned_on_disk, store, region, tool, annotation.edits.region)
    return partial(cleaned_in_memory, place, annotation.edits.labels[place].copy(), tool)


def cleaned_in_memory(
    place: Place, labels: NDArray[np.uint16], tool: Tool, _report: Report, _should_stop: ShouldStop
) -> Found:
    """Clean labels of an annotation in memory."""
    return place, labels, tool(labels)


def cleaned_on_disk(
    store: LabelStore,
    region: Region,
    tool: Tool,
    shown: Region,
    _report: Report,
    _should_stop: ShouldStop,
) -> Found:
    """Clean labels of an annotation in chunks."""
    return rewritten(store, region, CLEANED, tool, shown)


def take_cleaned(annotation: AnnotationLayer, found: Found) -> int | None:
    """Take cleaned labels as one undo step.

    Returns
    -------
    int or None
        Number of pixels whose label changed. None if the labels have changed meanwhile.
    """
    if isinstance(found, Rewritten):
        assert isinstance(annotation, LargeAnnotationLayer)  # noqa: S101 - as `cleaning`
        return annotation.take_rewritten(found)
    place, before, labels = found
    if not np.array_equal(annotation.edits.labels[place], before):
        return None
    return annotation.rewrite(place, labels, CLEANED)


def counting(
    annotation: AnnotationLayer,
    choice: ImageChoice,
    predicted: tuple[NDArray[Any], Region] | tuple[()],
) -> Work:
    """Return the work that computes the progress of the annotation of a plane.

    Parameters
    ----------
    annotation : AnnotationLayer
    choice : ImageChoice
        The plane.
    predicted : (array, (slice, slice)) or ()
        The prediction of the plane, and its rows and columns.
    """
    if isinstance(annotation, LargeAnnotationLayer):
        return partial(counted_on_disk, annotation.store, predicted)
    place: Place = (*choice.plane, slice(None), slice(None))
    edits = annotation.edits
    return partial(counted, edits.labels[place].copy(), edits.edit_mask[place].copy(), predicted)


def counted(
    labels: NDArray[np.uint16],
    edit_mask: NDArray[np.uint8],
    predicted: tuple[NDArray[Any], Region] | tuple[()],
    _report: Report,
    _should_stop: ShouldStop,
) -> Done:
    """The progress of an annotation in memory."""
    return done(labels, edit_mask, *predicted)


def counted_on_disk(
    store: LabelStore,
    predicted: tuple[NDArray[Any], Region] | tuple[()],
    _report: Report,
    _should_stop: ShouldStop,
) -> Done:
    """The progress of an annotation on disk."""
    return done_on_disk(store, *predicted)
