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
from ...annotation.label_store import LabelStore
from ...annotation.merge import region_at
from ...segmentation import Progress
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_layers import ImageChoice, Region
from ..layers.image_view import pixel_under, rectangle_mask
from ..layers.labels_history import Place
from ..layers.large_annotation_layer import LargeAnnotationLayer
from ..panels.annotation_panel import AnnotationChoice
from ..worker import Work


def cleaned(
    tool: Any,
    labels: NDArray[np.uint16],
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
    *,
    amount: int | None,
    wanted: set[int] | None = None,
    where: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """The labels after a cleaning tool; it changes the given classes, by default all."""
    chosen = set(np.unique(labels).tolist()) - {0} if wanted is None else wanted
    return CLEANING[tool](labels, chosen, amount, where=where)


def cleaning(
    viewer: Viewer,
    annotation: AnnotationLayer,
    choice: ImageChoice,
    labels: NDArray[np.uint16],
    request: AnnotationChoice,
    chosen: set[str] | None,
    world: Any | None,
) -> Callable[..., NDArray[Any]]:
    """Return the work of a cleaning tool on the labels of a plane.

    Parameters
    ----------
    viewer : Viewer
    annotation : AnnotationLayer
    choice : ImageChoice
        The plane, and the region of the labels in it.
    labels : (Y, X) uint16 array
    request : AnnotationChoice
        What the panel asks for.
    chosen : set of str, optional
        Names of the classes to clean; default: all.
    world : array of float, optional
        World coordinates of a click: only the region there is cleaned.

    Raises
    ------
    InvalidInputError
        If there is no region or rectangle.
    """
    wanted, where = annotation.labels_named(chosen), None
    if request.scope == "rectangle":
        where = rectangle_mask(viewer, choice)
    elif world is not None:
        *_, row, column = pixel_under(viewer, annotation.layer, world)
        region = region_at(labels, row, column)
        wanted = {int(labels[row, column])}
        where = None if request.tool in ("grow", "fill holes", "smooth") else region
    return partial(cleaned, request.tool, amount=request.amount, wanted=wanted, where=where)


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
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
) -> Done:
    """The progress of an annotation in memory."""
    return done(labels, edit_mask, *predicted)


def counted_on_disk(
    store: LabelStore,
    predicted: tuple[NDArray[Any], Region] | tuple[()],
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
) -> Done:
    """The progress of an annotation on disk."""
    return done_on_disk(store, *predicted)
