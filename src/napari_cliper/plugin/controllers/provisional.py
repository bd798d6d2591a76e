"""Labels of what is visible, while a long run in tiles goes on.

Their maxima and thresholds are those of the visible part alone, so that they are provisional: the
result of the run replaces them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtWidgets import QWidget

from ...labels.label_class import ClassRow
from ...segmentation import InvalidInputError, OutOfMemoryError, Progress, Pyramid, Tiles
from .. import ui_text
from ..engine_requests import Request
from ..engine_session import Session
from ..layers.image_group import in_viewer
from ..layers.image_layers import OUTPUT_KEY, ImageChoice, Region, map_transforms
from ..layers.image_view import seen_region
from ..layers.passing_layers import PASSING
from ..layers.prediction_layers import label_colours
from ..state import DockState
from .base import Controller
from .requests import Requests

FEW = 16
"""Most tiles of a view that is labelled first in tiles; a larger view is labelled reduced."""

PART = 4
"""The view is labelled first if the run has so many times more tiles."""

SMALLEST = 448
"""Shorter side, in pixels, of the reduced image that is labelled first."""

MOST = 1 << 24
"""Most pixels of the level of a pyramid that is read for the reduced image."""

_First = tuple[ImageChoice, NDArray[Any]]

First = Callable[[Callable[[Progress], None], Callable[[], bool]], None]
"""What a job does first."""


class ProvisionalLabels(Controller):
    """Shows labels of what is visible before the result of a run in tiles.

    Parameters
    ----------
    state : DockState
    panel : QWidget
        Parent of this object.
    requests : Requests
    """

    def __init__(self, state: DockState, panel: QWidget, requests: Requests) -> None:
        super().__init__(panel)
        self._state = state
        self._requests = requests
        self._made: SimpleQueue[_First] = SimpleQueue()
        self._rows: Sequence[ClassRow] = ()
        self._layer: Labels | None = None
        state.main_job.progressed.connect(self._show)
        state.main_job.finished.connect(self._on_ended)

    def close(self) -> None:
        """Remove the labels."""
        self._remove()
        super().close()

    def first(
        self, choice: ImageChoice, rows: Sequence[ClassRow], request: Request
    ) -> First | None:
        """Return the work that labels what is visible; None if all is labelled as fast.

        Parameters
        ----------
        choice : ImageChoice
            What is run.
        rows : sequence of ClassRow
            The classes, without the background.
        request : Request
            Of the run.
        """
        self._made = (
            SimpleQueue()
        )  # a job that was abandoned may still put labels into the last one
        tiles, view = request.config.tiles, seen_region(self._state.viewer, choice.layer)
        if tiles is None or view is None or choice.region is not None:
            return None
        self._rows = rows
        view = _at_least(view, tiles.side, choice.shape)
        part = replace(choice, region=view)
        number, total = (_tiles_of(one.shape, tiles) for one in (part, choice))
        if total <= FEW:
            return None
        if number * PART > total:
            part = choice  # nearly all is visible
        if number <= FEW and part is not choice:
            asked = self._requests.of_plane(request, part)
        else:
            levels = _levels_of(part)
            if levels is None:
                return None
            config = replace(request.config, tiles=None)
            asked = replace(
                self._requests.of_plane(request, part),
                config=config,
                read=partial(_reduced, levels),
            )
        return partial(_label, self._state.session, asked, part, self._made)

    # ------------------------------------------------------------------ the layer

    def _show(self, _progress: object = None) -> None:
        while not self._made.empty():
            part, labels = self._made.get()
            layers = self._state.viewer.layers
            if not in_viewer(self._state.viewer, part.layer) or not part.is_current:
                continue
            self._remove()
            self._layer = layer = Labels(
                labels.reshape((1,) * len(part.plane) + labels.shape),
                name=ui_text.provisional_layer(part.name),
                colormap=label_colours(self._rows),
                opacity=0.4,
                metadata={OUTPUT_KEY: {PASSING: True}},
                **map_transforms(part, (labels.shape[0], labels.shape[1])),
            )
            layer.editable = False
            active, chosen = layers.selection.active, set(layers.selection)
            layers.append(layer)
            layers.selection = chosen
            layers.selection.active = active

    def _on_ended(self) -> None:
        while not self._made.empty():
            self._made.get()
        self._remove()

    def _remove(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._state.viewer.layers:
            self._state.viewer.layers.remove(layer)


def _label(
    session: Session,
    asked: Request,
    part: ImageChoice,
    made: SimpleQueue[_First],
    report: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> None:
    """Label a part of an image; one without contrast, or too large, has no provisional labels."""
    try:
        labels = session.predict(asked, report, should_stop).labels
    except (InvalidInputError, OutOfMemoryError):
        return  # the run itself, whose tiles may be smaller, says what is wrong
    made.put((part, labels))
    report(Progress(ui_text.PROVISIONAL_SHOWN, 0, 0))


def _at_least(view: Region, side: int, shape: tuple[int, int]) -> Region:
    """A view that is at least as large as a tile, in an image of a shape."""
    found = []
    for part, length in zip(view, shape, strict=True):
        size = min(max(part.stop - part.start, side), length)
        start = min(max((part.start + part.stop - size) // 2, 0), length - size)
        found.append(slice(start, start + size))
    rows, columns = found
    return rows, columns


def _tiles_of(shape: tuple[int, int], tiles: Tiles) -> int:
    """About how many tiles cover an image of a shape."""
    overlap = tiles.side // 4 if tiles.overlap is None else tiles.overlap
    rows, columns = (max(-(-(side - overlap) // (tiles.side - overlap)), 1) for side in shape)
    return rows * columns


def _levels_of(choice: ImageChoice) -> Any:
    """The pixels of a choice, at several levels or in memory; None if too many would be read."""
    image: Any = choice.source if isinstance(choice.source, np.ndarray) else choice.lazily()
    if isinstance(image, Pyramid):
        return image if math.prod(_small_level(image).shape[:2]) <= MOST else None
    if not isinstance(image, np.ndarray):
        return None
    rows, columns = choice.region or (slice(None), slice(None))
    part: Any = (*choice.plane, rows, columns)
    return image[part]


def _reduced(image: Any) -> NDArray[Any]:
    """The coarsest level that is large enough for the networks, or every n-th pixel."""
    if isinstance(image, Pyramid):
        return np.asarray(_small_level(image)[...])
    step = max(min(image.shape[:2]) // SMALLEST, 1)
    return np.asarray(image[::step, ::step]).copy()


def _small_level(image: Pyramid) -> Any:
    """The coarsest level that is large enough for the networks."""
    fitting = [one for one in image.levels if min(one.shape[:2]) >= SMALLEST]
    return (fitting or image.levels[:1])[-1]
