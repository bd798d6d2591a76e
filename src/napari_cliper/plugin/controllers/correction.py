"""Corrections teach: strokes and clicks change the prediction elsewhere; where to look next.

Evidence is what was painted into the annotation and what was clicked. It is gathered in a
thread from copies, and given to the result on the screen, whose labels follow as they follow
thresholds. Changes that come meanwhile are one change; what is late is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from ...annotation.edit_mask import ACCEPTED
from ...annotation.user_hints import (
    Click,
    Hints,
    clicks_on,
    confirmed_by,
    hints_of,
)
from ...segmentation import InvalidInputError, LiveLabels, Progress, Thresholds
from .. import ui_text
from ..engine_session import Session
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_layers import ImageChoice, labels_shape, world_of
from ..layers.uncertainty_layer import UncertaintyLayer
from ..panels.classes_panel import ClassesPanel
from ..panels.corrections_panel import CorrectionsPanel
from ..panels.image_panel import ImagePanel
from ..qt.timers import once
from ..worker import Job
from .annotation import AnnotationController
from .clicks import ClickController
from .kept_results import Shown
from .live_result import LiveResult

if TYPE_CHECKING:
    from ...segmentation import ImageAffinity

UNCERTAIN_KEY = "Alt-U"
"""Go to the next uncertain place."""

HINT_DELAY = 10  # milliseconds: changes within it are one


@dataclass(frozen=True, eq=False)
class UncertainPlaces:
    """Where a result is uncertain.

    Parameters
    ----------
    map : (Y, X) float32 array
    places : list of (int, int)
        Row and column of what is worth a look, the most doubtful first.
    """

    map: NDArray[np.float32]
    places: list[tuple[int, int]]


class CorrectionController(QObject):
    """What the corrections of one dock do to its result.

    Parameters
    ----------
    viewer : Viewer
    panel : CorrectionsPanel
    annotation_controller : Annotating
        Where strokes are, and where clicks are kept.
    result : LiveResult
        What follows them.
    session : Session
        Gives the affinity of the result's image.
    images : ImagePanel
    classes : ClassesPanel
    """

    message = Signal(str, bool)
    """A line for the person, and whether it is an error."""

    def __init__(
        self,
        viewer: Viewer,
        panel: CorrectionsPanel,
        annotation_controller: AnnotationController,
        result: LiveResult,
        session: Session,
        images: ImagePanel,
        classes: ClassesPanel,
    ) -> None:
        super().__init__(panel)
        self._viewer = viewer
        self._panel = panel
        self._annotation_controller = annotation_controller
        self._result = result
        self._session = session
        self._images = images
        self.click_controller = ClickController(
            viewer, panel, annotation_controller, images, classes
        )
        self.click_controller.message.connect(self.message)
        self.click_controller.hinted.connect(self._on_hinted)
        self.keys: dict[str, Callable[[], None]] = {UNCERTAIN_KEY: self.next_uncertain}
        """What keys do while one of our layers is active."""
        self.uncertainty = UncertaintyLayer(viewer)
        self.job: Job | None = None  # gathers evidence
        self.preparing: Job | None = None  # finds out what belongs together
        self.looking: Job | None = None  # for doubts
        self.uncertain_places: UncertainPlaces | None = None
        self._affinity: tuple[Shown, ImageAffinity] | None = None
        self._taught: NDArray[np.int32] | None = None  # what the result on the screen follows
        self._hints: WeakKeyDictionary[Shown, NDArray[np.int32]] = WeakKeyDictionary()
        self._again = False  # evidence has changed while it was gathered
        self._state = 0  # counts what makes doubts old
        self._at = 0  # the place to go to next
        self._go_when_known = False
        self._closed = False
        self._timer = once(self, HINT_DELAY, self._gather)
        panel.spread_toggled.connect(self._on_spread)
        panel.uncertainty_toggled.connect(self._on_uncertainty)
        panel.next_wanted.connect(self.next_uncertain)
        annotation_controller.changed.connect(self._on_changed)
        annotation_controller.leaving.connect(self._on_changed)
        result.appeared.connect(self._on_appeared)
        result.followed.connect(self._on_followed)
        result.relabelled.connect(self.update_available)
        images.changed.connect(self.update_available)
        viewer.layers.events.removed.connect(self._on_removed)
        self.update_available()

    def close(self) -> None:
        """Listen to nothing any more; the layers stay."""
        self._closed = True
        self._timer.stop()
        for job in (self.job, self.preparing, self.looking):
            if job is not None:
                job.stop()
        self._annotation_controller.changed.disconnect(self._on_changed)
        self._annotation_controller.leaving.disconnect(self._on_changed)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self.click_controller.close()

    def leave(self, image: Image) -> None:
        """Take what we show of an image out of the window; its annotation keeps the clicks."""
        self.uncertainty.clear()
        self._panel.show_state("")
        self.click_controller.leave(image)

    def update_available(self) -> None:
        """Bring the buttons up to what there is."""
        no_click = "" if self._images.choice() else self._images.why_not()
        no_next = self._result.why_not
        self._panel.set_available(no_click, no_next)
        if no_next:
            self._panel.show_state("")

    def _shown(self) -> Shown | None:
        """The result, if its image is still what it was."""
        shown = self._result.shown
        there = shown is not None and shown.choice.layer in self._viewer.layers
        return shown if shown is not None and there and shown.choice.is_current else None

    def _on_removed(self, event: Any) -> None:
        if event.value is self.uncertainty.layer:
            self.uncertainty.clear()
            self._panel.uncertainty.setChecked(False)

    # ------------------------------------------------------------------ evidence

    def _on_appeared(self) -> None:
        """Another result is shown: find out what belongs together in its image."""
        shown = self._shown()
        self._affinity, self._taught = None, None if shown is None else self._hints.get(shown)
        self._go_when_known = False
        self._forget_uncertain_places()
        self.update_available()
        if self._panel.uncertainty.isChecked():
            self._look()
        if self.preparing is not None:
            self.preparing.stop()
        self.preparing = None
        if shown is None:
            return
        if not self._panel.spread.isChecked():
            self._teach(None)
            return
        self.preparing = job = Job(partial(self._session.affinity, shown.outcome.embedding))
        job.succeeded.connect(partial(self._on_affinity, shown))
        job.failed.connect(partial(self._on_no_affinity))
        job.finished.connect(partial(self._on_prepared, job))
        self._panel.show_state(ui_text.COMPUTING_SIMILARITY)
        job.start()

    def _on_affinity(self, shown: Shown, affinity: ImageAffinity) -> None:
        if shown is self._shown():
            self._affinity = shown, affinity
            self._gather()

    def _on_no_affinity(self, message: str) -> None:
        self._panel.show_state("")
        self.message.emit(ui_text.cannot_propagate(message), True)

    def _on_prepared(self, job: Job) -> None:
        if self.preparing is job:
            self.preparing = None

    def _on_changed(self, annotation: AnnotationLayer) -> None:
        shown = self._shown()
        if shown is None and self._panel.spread.isChecked():
            self._panel.show_state(ui_text.hints_kept(self._result.why_not))
        elif shown is not None and shown.choice.layer is annotation.image:
            self._forget_uncertain_places()
            if not self._timer.isActive():
                self._timer.start()

    def _on_hinted(self, image: Image) -> None:
        """Let the person see what their stroke, click or undo changes."""
        shown, annotation = self._shown(), self._annotation_controller.of(image)
        if shown is None or shown.choice.layer is not image or not self._panel.spread.isChecked():
            return
        accepted = annotation is not None and annotation.fits and bool(
            (annotation.edits.edit_mask[annotation.place_of(shown.choice)] == ACCEPTED).any()
        )  # fmt: skip
        self._result.reveal(annotation.layer if annotation is not None and accepted else None)
        if self._result.raised and self._result.live:
            self.message.emit(ui_text.FOLLOWS_HINT, False)

    def _on_spread(self, wanted: bool) -> None:
        if not wanted:
            self._teach(None)
            self._panel.show_state("")
        elif self._affinity is not None and self._affinity[0] is self._shown():
            self._gather()
        else:
            self._on_appeared()

    def _gather(self) -> None:
        """Find out in a thread what was said of the result's pixels."""
        shown = self._shown()
        if self.job is not None:
            self._again = True
            return
        if shown is None or not self._panel.spread.isChecked():
            return
        if self._affinity is None or self._affinity[0] is not shown:
            return  # once it is there it asks again
        names = [one.name for one in shown.outcome.scores.classes]
        copies = self._copies(shown.choice)
        self._again = False
        self.job = Job(partial(_hints, *copies, names))
        self.job.succeeded.connect(partial(self._on_hints, shown))
        self.job.failed.connect(partial(self._say_error))
        self.job.finished.connect(self._on_gathered)
        self.job.start()

    def _copies(
        self, choice: ImageChoice
    ) -> tuple[NDArray[np.uint16], NDArray[np.uint8], dict[int, Any], list[Click]]:
        """Labels, marks, classes and clicks of a choice, for a thread."""
        annotation, clicks = (
            self._annotation_controller.of(choice.layer),
            self.click_controller.of(choice.layer),
        )
        shape = labels_shape(choice)[-2:]
        labels, edit_mask = np.zeros(shape, np.uint16), np.zeros(shape, np.uint8)
        classes = {}
        if annotation is not None and annotation.fits:
            annotation.follow()
            place = annotation.place_of(choice)
            labels, edit_mask = (
                annotation.edits.labels[place].copy(),
                annotation.edits.edit_mask[place],
            )
            classes = dict(annotation.classes)
        corner = [part.start for part in choice.region] if choice.region else (0, 0)
        hint_labels = {} if clicks is None else clicks.clicks()
        return (
            labels,
            edit_mask.copy(),
            classes,
            clicks_on(hint_labels, choice.plane, corner, shape),
        )

    def _on_hints(self, shown: Shown, hints: Hints) -> None:
        """Teach the result, unless it is another one by now, or nothing new was said."""
        wanted = shown is self._shown() and self._panel.spread.isChecked()
        if not wanted or self._affinity is None:
            return
        self._panel.show_state(
            ui_text.hints_used(
                clicked=hints.clicked,
                painted=hints.painted,
                left_out=hints.left_out,
                follows=self._result.live,
                raised=self._result.raised,
            )
        )
        before = self._taught
        nothing = before is None and not (hints.painted or hints.clicked)
        if nothing or (before is not None and np.array_equal(before, hints.hint_labels)):
            return
        self._teach(hints.hint_labels)

    def _teach(self, hint_labels: NDArray[np.int32] | None) -> None:
        """Let hints correct the result on the screen; None for none."""
        shown = self._shown()
        if shown is None or (hint_labels is None and self._taught is None):
            return
        self._taught = hint_labels
        if hint_labels is None:
            self._hints.pop(shown, None)
        else:
            self._hints[shown] = hint_labels
        self._result.apply_hints(self._affinity[1] if self._affinity else None, hint_labels)

    def _on_gathered(self) -> None:
        self.job = None
        if self._again and not self._closed:
            self._gather()

    # ------------------------------------------------------------------ where to look next

    def _forget_uncertain_places(self) -> None:
        self.uncertain_places = None
        self._state += 1

    def _on_followed(self) -> None:
        self._forget_uncertain_places()
        if self._panel.uncertainty.isChecked():
            self._look()

    def _on_uncertainty(self, wanted: bool) -> None:
        if wanted:
            self._look()
        else:
            self.uncertainty.clear()

    def next_uncertain(self) -> None:
        """Move the camera to the next place that is uncertain and not yet decided."""
        if self._closed:
            return  # the key is on layers that stay
        if self._shown() is None:
            self.message.emit(self._result.why_not, True)
        elif self.uncertain_places is None:
            self._go_when_known = True
            self._look()
        else:
            self._go(self.uncertain_places.places)

    def _look(self) -> None:
        """Find out in a thread where the result is uncertain."""
        shown = self._shown()
        thresholds = None if shown is None else self._result.thresholds_for(shown.config)
        if shown is None or thresholds is None or self.looking is not None:
            return  # the one that runs looks again where it is late
        live = shown.outcome.live[shown.outcome.scores.stages[-1]]
        _, edit_mask, _, clicks = self._copies(shown.choice)
        regions = None if self._affinity is None else self._affinity[1].regions
        self.looking = Job(partial(_uncertain_places, live, thresholds, edit_mask, clicks, regions))
        self.looking.succeeded.connect(partial(self._on_uncertain_places, shown, self._state))
        self.looking.failed.connect(partial(self._on_no_uncertain_places))
        self.looking.finished.connect(self._on_looked)
        self.looking.start()

    def _on_uncertain_places(
        self, shown: Shown, state: int, uncertain_places: UncertainPlaces
    ) -> None:
        if shown is not self._shown() or state != self._state:
            return
        self.uncertain_places, self._at = uncertain_places, 0
        if self._panel.uncertainty.isChecked():
            layers = (
                self._annotation_controller.of(shown.choice.layer),
                self.click_controller.of(shown.choice.layer),
            )
            above = [one.layer for one in layers if one is not None]
            self.uncertainty.show(
                shown.choice, uncertain_places.map, above, self._annotation_controller.keys
            )
        if self._go_when_known:
            self._go(uncertain_places.places)

    def _on_looked(self) -> None:
        self.looking = None
        wanted = self._go_when_known or self._panel.uncertainty.isChecked()
        if self.uncertain_places is None and wanted and not self._closed:
            self._look()

    def _go(self, places: list[tuple[int, int]]) -> None:
        self._go_when_known = False
        shown = self._shown()
        if shown is None or not places:
            self.message.emit(ui_text.NO_UNCERTAIN_PLACE, False)
            return
        number = self._at % len(places)
        try:
            world = world_of(self._viewer, shown.choice, *places[number])
        except InvalidInputError as error:
            self.message.emit(str(error), True)
            return
        self._at = number + 1
        dims = self._viewer.dims
        for axis, value in enumerate(world, dims.ndim - len(world)):
            if axis not in dims.displayed:
                dims.set_point(axis, value)
        center = [world[axis - dims.ndim] for axis in dims.displayed]
        self._viewer.scene.camera.center = (0, *center)
        self.message.emit(ui_text.uncertain_place(number=self._at, of=len(places)), False)

    def _on_no_uncertain_places(self, message: str) -> None:
        self._go_when_known = False
        self._panel.uncertainty.setChecked(False)
        self.message.emit(ui_text.no_uncertainty(message), True)

    def _say_error(self, message: str) -> None:
        self.message.emit(message, True)


def _hints(
    labels: NDArray[np.uint16],
    edit_mask: NDArray[np.uint8],
    classes: dict[int, Any],
    clicks: list[Click],
    names: list[str],
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
) -> Hints:
    return hints_of(labels, edit_mask, classes, clicks, names)


def _uncertain_places(
    live: LiveLabels,
    thresholds: Thresholds,
    edit_mask: NDArray[np.uint8],
    clicks: list[Click],
    regions: NDArray[np.int32] | None,
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
) -> UncertainPlaces:
    from ...segmentation import most_uncertain  # noqa: PLC0415 - torch

    uncertainty = live.uncertainty(thresholds)
    return UncertainPlaces(
        uncertainty, most_uncertain(uncertainty, confirmed_by(edit_mask, clicks, regions))
    )
