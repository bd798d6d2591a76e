"""Computes the labels of a large prediction where the viewer shows them."""

from __future__ import annotations

from functools import partial

from qtpy.QtWidgets import QWidget

from ...segmentation import LabelsByChunk, Report, ShouldStop, Window
from ..layers.image_group import in_viewer
from ..layers.image_view import seen_region, view_events
from ..layers.prediction_layers import LargePrediction
from ..qt.listeners import Listeners
from ..state import DockState
from ..worker import Work
from .base import Controller

REST = 100  # milliseconds without a move of the view after which chunks are computed

AT_ONCE = 4
"""Chunks that are computed before they are shown."""


class ChunksInView(Controller):
    """Computes what is visible of a prediction, the middle of the view first.

    Until then, and zoomed out, the layer shows the labels of the score maps' grid.

    Parameters
    ----------
    state : DockState
    panel : QWidget
        Parent of this object.
    """

    def __init__(self, state: DockState, panel: QWidget) -> None:
        super().__init__(panel)
        self._viewer = viewer = state.viewer
        self._result = state.result
        self._computing = self.newest(self._snapshot, self._on_computed, delay=REST)
        self._listeners = Listeners()
        for emitter in view_events(viewer):
            self._listeners.connect("viewer", emitter, self._on_view)
        state.result.relabelled.connect(self._on_view)

    def close(self) -> None:
        """Disconnect all events."""
        self._listeners.clear()
        super().close()

    def _on_view(self, _event: object = None) -> None:
        if isinstance(self._result.seen(), LargePrediction):
            self._computing.drop()
            self._computing.request()

    def _snapshot(self) -> Work | None:
        """The work that computes what is missing; None if nothing is, or the view is too wide."""
        seen = self._result.seen()
        if not isinstance(seen, LargePrediction) or not in_viewer(self._viewer, seen.choice.layer):
            return None
        view = seen_region(self._viewer, seen.choice.layer)
        if view is None:
            return None
        corner = (0, 0) if seen.choice.region is None else (one.start for one in seen.choice.region)
        (top, bottom), (left, right) = (
            (max(part.start - start, 0), min(part.stop - start, side))
            for part, start, side in zip(view, corner, seen.choice.shape, strict=True)
        )
        enlarged = self._viewer.scene.camera.zoom * min(seen.choice.layer.extent.step[-2:])
        if min(bottom - top, right - left) <= 0 or enlarged < 1 / (2 * LabelsByChunk.FINE):
            return None
        labels = seen.snapshot()
        missing = labels.missing(Window(top, left, bottom, right))[:AT_ONCE]
        return partial(_computed, seen, labels, missing) if missing else None

    def _on_computed(self, found: tuple[LargePrediction, LabelsByChunk, bool]) -> None:
        prediction, labels, first = found
        if prediction.snapshot() is labels:
            prediction.layer.refresh()
            if first:
                self._result.relabelled.emit()
        self._computing.request()


def _computed(
    prediction: LargePrediction,
    labels: LabelsByChunk,
    chunks: list[Window],
    _report: Report,
    should_stop: ShouldStop,
) -> tuple[LargePrediction, LabelsByChunk, bool]:
    """Also returns whether a class is found for the first time, or none is found in the end."""
    before = labels.any(), labels.complete
    for chunk in chunks:
        if should_stop():
            break
        labels.compute(chunk)
    return prediction, labels, before != (labels.any(), labels.complete)
