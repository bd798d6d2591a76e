"""Read and write sessions, in the thread of the autosave; image layers as JSON records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from ...annotation.edit_history import Edits
from ...annotation.edit_mask import AnnotationState
from ...annotation.project.project import Project
from ...annotation.project.sessions import FoundSession, Session, found_sessions
from ...annotation.project.settings import ProjectSettings
from ...annotation.stored_edits import StoredEdits
from ...annotation.stored_state import StoredState, memory_store_of
from ...io.files import FileError
from ...io.find_pixels import is_image_of
from ...segmentation import Report, ShouldStop
from .. import ui_text
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_layers import AXES_KEY, ImageChoice, exceeds_memory, labels_shape
from ..layers.large_annotation_layer import ready
from ..layers.window_region import window_of
from ..panels.offers_panel import Offer

LARGEST_COPY = 2_000_000_000
"""Largest image without a file, in bytes, whose pixels are copied to the session."""

PLACE_KEY = "napari_cliper_session"
"""Key in the metadata of an annotation layer for its session and its name there."""

LAYER = "layer"
"""Key in the record of a session for the properties of the image layer."""

_KEPT = (
    "scale", "translate", "rotate", "shear", "affine", "contrast_limits", "gamma", "opacity",
    "blending", "units", "axis_labels",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class SaveTask:
    """A copy of an annotation, to be written."""

    annotation: AnnotationLayer
    state: AnnotationState
    source: Any
    path: str | None
    axes: str


@dataclass(frozen=True, eq=False)
class FoundAnnotation:
    """An annotation that was read from an earlier session."""

    name: str
    state: AnnotationState
    shown: Mapping[str, Any]  # properties of the image layer
    pixels: NDArray[Any] | None
    layer: Image | None  # the image, if it is already open
    problem: str = ""


def look_for_sessions(_report: Report, _should_stop: ShouldStop) -> list[FoundSession]:
    """Return the sessions of earlier docks."""
    return found_sessions()


def open_session(
    folder: Path,
    held: Session | None,
    placed: set[str],
    open_images: list[tuple[Image, Any, str | None]],
    _report: Report,
    _should_stop: ShouldStop,
) -> tuple[Session, ProjectSettings, list[FoundAnnotation]]:
    """Open a session; read its settings, and the annotations that are not placed yet."""
    session = held or Session.open(folder)
    try:
        project = session.project
        settings = project.settings()
        names = [image.name for image in project.images if image.name not in placed]
        images = [found for name in names if (found := _read(project, name, open_images))]
    except BaseException:
        if held is None:
            session.close()
        raise
    return session, settings, images


def _read(
    project: Project, name: str, open_images: list[tuple[Image, Any, str | None]]
) -> FoundAnnotation | None:
    """An annotation with its image, which may already be open; None if nothing was saved."""
    nothing = AnnotationState(np.zeros((1, 1), np.uint16), np.zeros((1, 1), np.uint8), {})
    try:
        state = ready(project.load(name))
    except FileError as error:
        return FoundAnnotation(name, nothing, {}, None, None, str(error))
    if state is None:
        return None
    record = dict(state.record)
    shown = dict(record.pop(LAYER, {}))
    state = state.with_record(record)
    try:
        pixels, problem = project.read_image(name), ""
    except FileError as error:
        pixels, problem = None, str(error)
    for index, (layer, source, path) in enumerate(open_images):
        called = layer.name == shown.get("name") or (path and path == shown.get("path"))
        fits = called and labels_shape(ImageChoice(layer, layer.name)) == state.shape
        if fits and (pixels is None or np.array_equal(np.asarray(source), pixels)):
            del open_images[index]
            return FoundAnnotation(name, state, shown, None, layer)
    if pixels is None:
        where = shown.get("path") or shown.get("name", name)
        problem = ui_text.open_image_first(problem=problem, where=where)
    return FoundAnnotation(name, state, shown, pixels, None, problem)


def add_image(project: Project, task: SaveTask) -> str:
    """Add the image of a task to a session: its file, or else a copy of its pixels."""
    source, shape = task.source, task.state.shape
    name = task.annotation.name
    size = math.prod(source.shape) * source.dtype.itemsize
    if tuple(source.shape[: len(shape)]) != shape:  # the layer has other data by now
        return project.add_image(
            name, np.broadcast_to(np.uint8(0), shape), axes=task.axes, keep_pixels=False
        ).name
    on_disk = isinstance(task.state, StoredState) and not task.state.store.in_memory
    lazy = on_disk and exceeds_memory(shape) and not isinstance(source, np.ndarray)
    if size <= LARGEST_COPY and not lazy:  # what is read lazily may not fit into the memory
        pixels = np.asarray(source)
        path = None if task.path is None else Path(task.path)
        if path is not None and is_image_of(path, pixels) and not _has(project, path):
            return project.add_files([path])[0].name
        return project.add_image(
            name, pixels, rgb=len(source.shape) > len(shape), axes=task.axes
        ).name
    return project.add_image(name, source, axes=task.axes, keep_pixels=False).name


def _has(project: Project, path: Path) -> bool:
    return any(image.path.samefile(path) for image in project.images if image.path.exists())


def painted_on(state: AnnotationState, orphan: Labels) -> AnnotationState:
    """Return an annotation with what its layer shows, which a closed dock has left there."""
    if isinstance(state, StoredState) and not state.store.in_memory:
        region = window_of(orphan, state.store.shape)
        if region is not None:
            edits = StoredEdits(state.store, region)
            edits.window[...] = orphan.data
            edits.follow()
        return state
    store = memory_store_of(state)
    Edits(np.array(orphan.data, np.uint16, order="C"), store).follow(painted=True)
    return StoredState(store, state.classes, state.record)


def shown_properties(image: Image) -> dict[str, Any]:
    """Properties of an image layer; JSON-safe."""
    state = image.as_layer_data_tuple()[1]
    record = {key: _plain(state[key]) for key in _KEPT if state.get(key) is not None}
    path = image.source.path
    return {
        **record,
        "name": image.name,
        "rgb": bool(image.rgb),
        "colormap": None if image.rgb else image.colormap.name,
        **({} if path is None else {"path": str(path)}),
        **({AXES_KEY: True} if AXES_KEY in image.metadata else {}),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(one) for one in value]
    return float(value) if isinstance(value, int | float | np.number) else str(value)


def image_layer(found: FoundAnnotation, name: str) -> Image:
    """An image layer with its saved properties."""
    given = {key: found.shown[key] for key in _KEPT if key in found.shown}
    rgb = bool(found.shown.get("rgb", False))
    if rgb:
        given.pop("contrast_limits", None)
    assert found.pixels is not None  # noqa: S101 - else `problem` is set
    metadata = {AXES_KEY: True} if AXES_KEY in found.shown else {}
    layer = Image(found.pixels, name=name, rgb=rgb, metadata=metadata, **given)
    colormap = found.shown.get("colormap")
    if not rgb and isinstance(colormap, str):
        try:
            layer.colormap = colormap
        except (KeyError, ValueError, TypeError):
            return layer  # an unknown custom colormap: stay grey
    return layer


def place_of(layer: Any) -> tuple[str, str] | None:
    """The session of an annotation layer and its name there, from its metadata."""
    place = layer.metadata.get(PLACE_KEY)
    return place if isinstance(place, tuple) and len(place) == 2 else None


def offer_of(found: FoundSession) -> Offer:
    """Return the offer of a session."""
    text = ui_text.session_offer(images=found.images, saved=found.saved, problem=found.problem)
    title = ui_text.session_title(found.images, found.problem)
    return Offer(found, title, text, ui_text.CONTINUE)
