"""Labels of what is visible, while a long run in tiles goes on.

Their maxima are those of the tiles that are encoded so far, so that they are provisional: the
result of the run replaces them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtWidgets import QWidget

from ...labels.label_class import ClassRow
from ...segmentation import (
    InvalidInputError,
    Monitor,
    OutOfMemoryError,
    Progress,
    Report,
    ShouldStop,
    Window,
)
from .. import ui_text
from ..engine_requests import Request, usable_prototypes
from ..engine_session import Session
from ..layers.image_group import in_viewer
from ..layers.image_layers import OUTPUT_KEY, ImageChoice, Region, map_transforms
from ..layers.image_view import seen_region
from ..layers.label_colours import label_colours
from ..layers.quick_layers import add_unselected, drawn_when_used
from ..layers.temporary_layers import TEMPORARY, take_away
from ..state import DockState
from .base import Controller

if TYPE_CHECKING:
    from ...segmentation import Segmenter, VisibleLabels

_First = tuple[ImageChoice, NDArray[Any]]

First = Callable[[Report, ShouldStop], None]
"""What a job does first."""


class ProvisionalLabels(Controller):
    """Shows labels of what is visible before the result of a run in tiles.

    Parameters
    ----------
    state : DockState
    panel : QWidget
        Parent of this object.
    """

    def __init__(self, state: DockState, panel: QWidget) -> None:
        super().__init__(panel)
        self._state = state
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
        """Return the work that labels what is visible; None without tiles, and for a region.

        Parameters
        ----------
        choice : ImageChoice
            What is run.
        rows : sequence of ClassRow
            The classes, without the background.
        request : Request
            Of the run.
        """
        # A new one: a job that was abandoned may still put labels into the last one.
        self._made = SimpleQueue()
        view = seen_region(self._state.viewer, choice.layer)
        if request.config.tiles is None or view is None or choice.region is not None:
            return None
        self._rows = rows
        return partial(_label, self._state.session, request, choice, view, self._made)

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
                metadata={OUTPUT_KEY: {TEMPORARY: True}},
                **map_transforms(part, (labels.shape[0], labels.shape[1])),
            )
            layer.editable = False
            add_unselected(layers, drawn_when_used(layer))

    def _on_ended(self) -> None:
        while not self._made.empty():
            self._made.get()
        self._remove()

    def _remove(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None:
            take_away(self._state.viewer, layer)


def _label(
    session: Session,
    request: Request,
    choice: ImageChoice,
    view: Region,
    made: SimpleQueue[_First],
    report: Report,
    should_stop: ShouldStop,
) -> None:
    """Label what is visible; an image without contrast, or too large, has no provisional labels."""
    try:
        found = session.use(
            request.config,
            partial(_visible, request, view, Monitor(report, should_stop)),
            report,
            should_stop,
        )
    except (InvalidInputError, OutOfMemoryError):
        return  # the run itself, whose tiles may be smaller, says what is wrong
    if found is not None:
        rows, columns = found.window.slices
        made.put((replace(choice, region=(rows, columns)), found.labels))
        report(Progress(ui_text.PROVISIONAL_SHOWN, 0, 0))


def _visible(
    request: Request, view: Region, monitor: Monitor, segmenter: Segmenter
) -> VisibleLabels | None:
    """Labels of the visible rows and columns of the image of a request."""
    from ...segmentation import TiledImage, visible_labels  # noqa: PLC0415 - torch

    given = request.image
    image = segmenter.check(given.read(), given.contrast(), given.gamma, given.masks())
    if not isinstance(image, TiledImage):
        return None
    rows, columns = view
    prototypes, _ = usable_prototypes(segmenter, request.prototypes)
    return visible_labels(
        segmenter,
        image,
        Window(rows.start, columns.start, rows.stop, columns.stop),
        request.classes,
        background=request.background,
        thresholds=request.thresholds,
        prototypes=prototypes,
        prototype_weight=request.prototype_weight,
        monitor=monitor,
    )
