"""Moves the windows of large annotations to what the viewer shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QWidget

from ...annotation.label_store import LabelStore, Region
from ...segmentation import Progress
from ..layers.image_view import seen_region
from ..layers.large_annotation_layer import LargeAnnotationLayer
from ..qt.listeners import Listeners
from ..state import DockState
from ..worker import Work
from .base import Controller

REST = 150  # milliseconds without a move of the view after which the window follows

_Window = tuple[LargeAnnotationLayer, Region, NDArray[np.uint16], int]


class AnnotationWindows(Controller):
    """Keeps the window of each large annotation over the middle of the view.

    Parameters
    ----------
    state : DockState
    panel : QWidget
        Parent of this object.
    """

    def __init__(self, state: DockState, panel: QWidget) -> None:
        super().__init__(panel)
        self._viewer = viewer = state.viewer
        self._annotations = state.annotations
        self._moves = self.newest(self._snapshot, REST)
        self._moves.succeeded.connect(self._on_read)
        self._moves.failed.connect(self.say_error)
        self._listeners = Listeners()
        camera = viewer.scene.camera.events
        for emitter in (camera.center, camera.zoom, viewer.canvas.events.size):
            self._listeners.connect("viewer", emitter, self._on_view)
        state.annotations.begun.connect(self._on_view)

    def close(self) -> None:
        """Follow nothing any more; the layers stay."""
        self._listeners.clear()
        super().close()

    def _on_view(self, _event: object = None) -> None:
        if any(isinstance(one, LargeAnnotationLayer) for one in self._annotations.all):
            self._moves.drop()
            self._moves.request()

    def _snapshot(self) -> Work | None:
        """The work that reads the labels for a window that must move; None if none must."""
        for one in self._annotations.all:
            if not isinstance(one, LargeAnnotationLayer) or one.image not in self._viewer.layers:
                continue
            view = seen_region(self._viewer, one.image)
            region = None if view is None else one.wanted_window(view)
            if region is not None:
                return partial(_read, one, one.store, region)
        return None

    def _on_read(self, read: _Window) -> None:
        annotation, region, labels, version = read
        if annotation not in self._annotations.all:
            return
        if annotation.drawing or not annotation.move(region, labels, version):
            self._moves.request()


def _read(
    annotation: LargeAnnotationLayer,
    store: LabelStore,
    region: Region,
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
) -> _Window:
    version = store.version
    return annotation, region, store.read_labels(region), version
