"""Keeps windows of large annotations up to date, and over what the viewer shows; overviews."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QWidget

from ...annotation.chunks import OVERVIEW, Region
from ...segmentation import Report, ShouldStop
from .. import ui_text
from ..layers.image_group import in_viewer
from ..layers.image_view import seen_region, view_events
from ..layers.large_annotation_layer import LargeAnnotationLayer
from ..layers.overview_layer import OverviewLayer
from ..layers.quick_layers import SoonShown
from ..qt.listeners import Listeners
from ..state import DockState
from ..worker import Work
from .base import Controller

REST = 150  # milliseconds without a move of the view after which the window follows

NEXT = 10  # milliseconds until a layer shows more of many changes

REDRAWN = 500  # milliseconds after which an overview follows changes

_Window = tuple[LargeAnnotationLayer, Region, NDArray[np.uint16], NDArray[np.uint16], int]


class AnnotationWindows(Controller):
    """Keeps the window of each large annotation up to date, and over the middle of the view.

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
        self._moves = self.newest(self._snapshot, self._on_read, delay=REST)
        self._later = self.timer(REST, self._moves.request)
        self._catching_up = self.timer(NEXT, self._catch_up)
        self._soon = self.own(SoonShown(self, viewer))
        self._overviews: dict[LargeAnnotationLayer, OverviewLayer] = {}
        self._reducing = self.newest(self._overview_snapshot, self._on_reduced, delay=REDRAWN)
        self._listeners = Listeners()
        for emitter in view_events(viewer):
            self._listeners.connect("viewer", emitter, self._on_view)
        state.annotations.begun.connect(self._on_begun)
        state.annotations.changed.connect(self._on_changed)
        state.annotations.leaving.connect(self._on_leaving)

    def close(self) -> None:
        """Disconnect all events and remove the overviews; the layers stay."""
        self._listeners.clear()
        for one in self._overviews.values():
            one.remove()
        self._overviews.clear()
        super().close()

    def _on_begun(self, annotation: object) -> None:
        if isinstance(annotation, LargeAnnotationLayer):
            annotation.gone_to.connect(partial(self._on_gone, annotation))
            annotation.fell_behind.connect(self._catching_up.start)
            self._on_view()

    def _on_gone(self, annotation: LargeAnnotationLayer, region: Region) -> None:
        """Say where a step was undone that is out of sight."""
        for one, view in self._views():
            apart = any(
                part.stop <= seen.start or seen.stop <= part.start
                for part, seen in zip(region, view, strict=True)
            )
            if one is annotation and apart:
                row, column = ((part.start + part.stop) // 2 for part in region)
                self.message.emit(ui_text.changed_out_of_sight(row=row, column=column), False)

    def _views(self) -> Iterator[tuple[LargeAnnotationLayer, Region]]:
        """The large annotations that the viewer shows, and which region of each."""
        for one in self._annotations.all:
            if isinstance(one, LargeAnnotationLayer) and in_viewer(self._viewer, one.image):
                view = seen_region(self._viewer, one.image)
                if view is not None:
                    yield one, view

    def _on_view(self, _event: object = None) -> None:
        if any(isinstance(one, LargeAnnotationLayer) for one in self._annotations.all):
            self._moves.drop()  # the window follows when the view rests
            self._moves.request()
            self._show_overviews()

    def _catch_up(self) -> None:
        """Show some more of many changes; between two parts, the window responds."""
        large = [one for one in self._annotations.all if isinstance(one, LargeAnnotationLayer)]
        if not all(one.catch_up() for one in large):
            self._catching_up.start()

    # ------------------------------------------------------------------ the window

    def _snapshot(self) -> Work | None:
        """The work that reads the labels for a window that must move; None if none must."""
        for annotation, view in self._views():
            region = annotation.wanted_window(view)
            if region is not None and annotation.drawing:
                self._later.start()
            elif region is not None:
                return partial(_read, annotation, region)
        return None

    def _on_read(self, read: _Window) -> None:
        annotation, region, labels, copy, version = read
        if annotation not in self._annotations.all:
            return
        with self.showing_errors():
            if annotation.drawing or not annotation.move(region, labels, copy, version):
                self._later.start()
        self._show_overviews()

    # ------------------------------------------------------------------ overviews

    def _show_overviews(self) -> None:
        """Show an overview where the view reaches beyond the window, and hide the others."""
        for annotation, view in self._views():
            if not annotation.contains(view) and not annotation.store.blank:
                self._reducing.request()
            elif annotation in self._overviews:
                self._overviews[annotation].hide()

    def _on_changed(self, annotation: object) -> None:
        if isinstance(annotation, LargeAnnotationLayer):
            self._show_overviews()

    def _on_leaving(self, annotation: LargeAnnotationLayer) -> None:
        overview = self._overviews.pop(annotation, None)
        if overview is not None:
            overview.remove()

    def _overview_snapshot(self) -> Work | None:
        """The work that makes the overview that is needed; None if none is."""
        for annotation, view in self._views():
            if not annotation.contains(view):
                return partial(_reduced, annotation, annotation.edits.region)
        return None

    def _on_reduced(self, found: tuple[LargeAnnotationLayer, NDArray[np.uint16]]) -> None:
        annotation, labels = found
        if annotation not in self._annotations.all:
            return
        if annotation not in self._overviews:
            self._overviews[annotation] = OverviewLayer(self._viewer, annotation, self._soon)
        self._overviews[annotation].show(labels)
        if all(annotation.contains(view) for one, view in self._views() if one is annotation):
            self._overviews[annotation].hide()


def _read(
    annotation: LargeAnnotationLayer, region: Region, _report: Report, _should_stop: ShouldStop
) -> _Window:
    store = annotation.store
    version = store.version
    labels = store.read_labels(region)
    return annotation, region, labels, labels.copy(), version


def _reduced(
    annotation: LargeAnnotationLayer, region: Region, _report: Report, _should_stop: ShouldStop
) -> tuple[LargeAnnotationLayer, NDArray[np.uint16]]:
    """Return the overview of an annotation, empty where its window is."""
    store = annotation.store
    store.counts()  # reads chunks that were not looked at
    labels = store.overview.copy()
    rows, columns = (slice(part.start // OVERVIEW, part.stop // OVERVIEW) for part in region)
    labels[rows, columns] = 0
    return annotation, labels
