"""Corrections teach: strokes and clicks change the suggestion elsewhere; where to look next.

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
    Evidence,
    clicks_on,
    confirmed_by,
    evidence_of,
)
from ...segmentation import InvalidInputError, LiveLabels, Progress, Thresholds
from ..engine_session import Session
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_layers import ImageChoice, labels_shape, world_of
from ..layers.uncertainty_layer import UncertaintyLayer
from ..panels.classes_panel import ClassesPanel
from ..panels.corrections_panel import CorrectionsPanel
from ..panels.image_panel import ImagePanel
from ..qt.timers import once
from ..worker import Job
from .annotation import Annotating
from .clicks import Clicking
from .kept_results import Shown
from .live_result import LiveResult

if TYPE_CHECKING:
    from ...segmentation import ImageAffinity

UNCERTAIN_KEY = "Alt-U"
"""Go to the next uncertain place."""

TEACH_AFTER = 10  # milliseconds: changes within it are one


@dataclass(frozen=True, eq=False)
class Doubts:
    """Where a result is in doubt.

    Parameters
    ----------
    map : (Y, X) float32 array
    places : list of (int, int)
        Row and column of what is worth a look, the most doubtful first.
    """

    map: NDArray[np.float32]
    places: list[tuple[int, int]]


class Correcting(QObject):
    """What the corrections of one dock do to its result.

    Parameters
    ----------
    viewer : Viewer
    panel : CorrectionsPanel
    annotating : Annotating
        Where strokes are, and where clicks are kept.
    result : LiveResult
        What follows them.
    session : Session
        Gives the affinity of the result's image.
    images : ImagePanel
    classes : ClassesPanel
    """

    said = Signal(str, bool)
    """A line for the person, and whether it is an error."""

    def __init__(
        self,
        viewer: Viewer,
        panel: CorrectionsPanel,
        annotating: Annotating,
        result: LiveResult,
        session: Session,
        images: ImagePanel,
        classes: ClassesPanel,
    ) -> None:
        super().__init__(panel)
        self._viewer = viewer
        self._panel = panel
        self._annotating = annotating
        self._result = result
        self._session = session
        self._images = images
        self.clicking = Clicking(viewer, panel, annotating, images, classes)
        self.clicking.said.connect(self.said)
        self.clicking.hinted.connect(self._on_hinted)
        self.keys: dict[str, Callable[[], None]] = {UNCERTAIN_KEY: self.next_uncertain}
        """What keys do while one of our layers is active."""
        self.uncertainty = UncertaintyLayer(viewer)
        self.job: Job | None = None  # gathers evidence
        self.preparing: Job | None = None  # finds out what belongs together
        self.looking: Job | None = None  # for doubts
        self.doubts: Doubts | None = None
        self._affinity: tuple[Shown, ImageAffinity] | None = None
        self._taught: NDArray[np.int32] | None = None  # what the result on the screen follows
        self._hints: WeakKeyDictionary[Shown, NDArray[np.int32]] = WeakKeyDictionary()
        self._hinted = False  # a person waits to be told what their hint has done
        self._again = False  # evidence has changed while it was gathered
        self._state = 0  # counts what makes doubts old
        self._at = 0  # the place to go to next
        self._go_when_known = False
        self._closed = False
        self._timer = once(self, TEACH_AFTER, self._gather)
        panel.spread_toggled.connect(self._on_spread)
        panel.uncertainty_toggled.connect(self._on_uncertainty)
        panel.next_wanted.connect(self.next_uncertain)
        annotating.changed.connect(self._on_changed)
        annotating.leaving.connect(self._on_changed)
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
        self._annotating.changed.disconnect(self._on_changed)
        self._annotating.leaving.disconnect(self._on_changed)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self.clicking.close()

    def leave(self, image: Image) -> None:
        """Take what we show of an image out of the window; its annotation keeps the clicks."""
        self.uncertainty.clear()
        self._panel.show_state("")
        self.clicking.leave(image)

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
        self._forget_doubts()
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
        self._panel.show_state("Finding out what looks alike ...")
        job.start()

    def _on_affinity(self, shown: Shown, affinity: ImageAffinity) -> None:
        if shown is self._shown():
            self._affinity = shown, affinity
            self._gather()

    def _on_no_affinity(self, message: str) -> None:
        self._panel.show_state("")
        self.said.emit(f"Corrections cannot spread: {message}", True)

    def _on_prepared(self, job: Job) -> None:
        if self.preparing is job:
            self.preparing = None

    def _on_changed(self, annotation: AnnotationLayer) -> None:
        shown = self._shown()
        if shown is None and self._panel.spread.isChecked():
            self._panel.show_state(f"Your hints are kept. {self._result.why_not}")
        elif shown is not None and shown.choice.layer is annotation.image:
            self._forget_doubts()
            if not self._timer.isActive():
                self._timer.start()

    def _on_hinted(self, image: Image) -> None:
        """Let the person see what their stroke, click or undo changes."""
        shown, annotation = self._shown(), self._annotating.of(image)
        if shown is None or shown.choice.layer is not image or not self._panel.spread.isChecked():
            return
        accepted = annotation is not None and annotation.fits and bool(
            (annotation.edits.marks[annotation.place_of(shown.choice)] == ACCEPTED).any()
        )  # fmt: skip
        self._hinted = True
        self._result.reveal(annotation.layer if annotation is not None and accepted else None)

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
        self.job = Job(partial(_evidence, *copies, names))
        self.job.succeeded.connect(partial(self._on_evidence, shown))
        self.job.failed.connect(partial(self._say_error))
        self.job.finished.connect(self._on_gathered)
        self.job.start()

    def _copies(
        self, choice: ImageChoice
    ) -> tuple[NDArray[np.uint16], NDArray[np.uint8], dict[int, Any], list[Click]]:
        """Labels, marks, classes and clicks of a choice, for a thread."""
        annotation, clicks = self._annotating.of(choice.layer), self.clicking.of(choice.layer)
        shape = labels_shape(choice)[-2:]
        labels, marks = np.zeros(shape, np.uint16), np.zeros(shape, np.uint8)
        classes = {}
        if annotation is not None and annotation.fits:
            annotation.follow()
            place = annotation.place_of(choice)
            labels, marks = annotation.edits.labels[place].copy(), annotation.edits.marks[place]
            classes = dict(annotation.classes)
        corner = [part.start for part in choice.region] if choice.region else (0, 0)
        said = {} if clicks is None else clicks.clicks()
        return labels, marks.copy(), classes, clicks_on(said, choice.plane, corner, shape)

    def _on_evidence(self, shown: Shown, evidence: Evidence) -> None:
        """Teach the result, unless it is another one by now, or nothing new was said."""
        wanted = shown is self._shown() and self._panel.spread.isChecked()
        if not wanted or self._affinity is None:
            return
        words = _in_words(evidence, follows=self._result.live, raised=self._result.raised)
        self._panel.show_state(words)
        if self._hinted and words:
            self.said.emit(words, False)
        self._hinted = False
        before = self._taught
        nothing = before is None and not (evidence.painted or evidence.clicked)
        if nothing or (before is not None and np.array_equal(before, evidence.said)):
            return
        self._teach(evidence.said)

    def _teach(self, said: NDArray[np.int32] | None) -> None:
        """Let hints correct the result on the screen; None for none."""
        shown = self._shown()
        if shown is None or (said is None and self._taught is None):
            return
        self._taught = said
        if said is None:
            self._hints.pop(shown, None)
        else:
            self._hints[shown] = said
        self._result.teach(self._affinity[1] if self._affinity else None, said)

    def _on_gathered(self) -> None:
        self.job = None
        if self._again and not self._closed:
            self._gather()

    # ------------------------------------------------------------------ where to look next

    def _forget_doubts(self) -> None:
        self.doubts = None
        self._state += 1

    def _on_followed(self) -> None:
        self._forget_doubts()
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
            self.said.emit(self._result.why_not, True)
        elif self.doubts is None:
            self._go_when_known = True
            self._look()
        else:
            self._go(self.doubts.places)

    def _look(self) -> None:
        """Find out in a thread where the result is in doubt."""
        shown = self._shown()
        thresholds = None if shown is None else self._result.thresholds_for(shown.config)
        if shown is None or thresholds is None or self.looking is not None:
            return  # the one that runs looks again where it is late
        live = shown.outcome.live[shown.outcome.scores.stages[-1]]
        _, marks, _, clicks = self._copies(shown.choice)
        regions = None if self._affinity is None else self._affinity[1].regions
        self.looking = Job(partial(_doubts, live, thresholds, marks, clicks, regions))
        self.looking.succeeded.connect(partial(self._on_doubts, shown, self._state))
        self.looking.failed.connect(partial(self._on_no_doubts))
        self.looking.finished.connect(self._on_looked)
        self.looking.start()

    def _on_doubts(self, shown: Shown, state: int, doubts: Doubts) -> None:
        if shown is not self._shown() or state != self._state:
            return
        self.doubts, self._at = doubts, 0
        if self._panel.uncertainty.isChecked():
            layers = self._annotating.of(shown.choice.layer), self.clicking.of(shown.choice.layer)
            above = [one.layer for one in layers if one is not None]
            self.uncertainty.show(shown.choice, doubts.map, above, self._annotating.keys)
        if self._go_when_known:
            self._go(doubts.places)

    def _on_looked(self) -> None:
        self.looking = None
        wanted = self._go_when_known or self._panel.uncertainty.isChecked()
        if self.doubts is None and wanted and not self._closed:
            self._look()

    def _go(self, places: list[tuple[int, int]]) -> None:
        self._go_when_known = False
        shown = self._shown()
        if shown is None or not places:
            self.said.emit("No place is left that is uncertain and not decided.", False)
            return
        number = self._at % len(places)
        try:
            world = world_of(self._viewer, shown.choice, *places[number])
        except InvalidInputError as error:
            self.said.emit(str(error), True)
            return
        self._at = number + 1
        dims = self._viewer.dims
        for axis, value in enumerate(world, dims.ndim - len(world)):
            if axis not in dims.displayed:
                dims.set_point(axis, value)
        center = [world[axis - dims.ndim] for axis in dims.displayed]
        self._viewer.scene.camera.center = (0, *center)
        again = " These are all; the next press starts again." if self._at == len(places) else ""
        self.said.emit(f"Uncertain place {self._at} of {len(places)}.{again}", False)

    def _on_no_doubts(self, message: str) -> None:
        self._go_when_known = False
        self._panel.uncertainty.setChecked(False)
        self.said.emit(f"The uncertainty is not known: {message}", True)

    def _say_error(self, message: str) -> None:
        self.said.emit(message, True)


def _in_words(evidence: Evidence, *, follows: bool, raised: bool) -> str:
    """Which hints are used, and how their effect is shown."""
    parts = []
    if evidence.clicked:
        parts.append(f"{evidence.clicked:,} {'click' if evidence.clicked == 1 else 'clicks'}")
    if evidence.painted:
        word = "pixel" if evidence.painted == 1 else "pixels"
        parts.append(f"{evidence.painted:,} painted {word}")
    lines = [f"Hints used: {' and '.join(parts)}."] if parts else []
    if parts and not follows:
        lines.append("You edited the prediction layer, so it no longer follows hints. Run again.")
    elif parts and raised:
        lines.append(
            "The prediction is drawn above what you accepted. Press Accept to update your labels."
        )
    if evidence.left_out:
        lines.append(f"Not among the classes of this run: {', '.join(evidence.left_out)}.")
    return " ".join(lines)


def _evidence(
    labels: NDArray[np.uint16],
    marks: NDArray[np.uint8],
    classes: dict[int, Any],
    clicks: list[Click],
    names: list[str],
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
) -> Evidence:
    return evidence_of(labels, marks, classes, clicks, names)


def _doubts(
    live: LiveLabels,
    thresholds: Thresholds,
    marks: NDArray[np.uint8],
    clicks: list[Click],
    regions: NDArray[np.int32] | None,
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
) -> Doubts:
    from ...segmentation import most_uncertain  # noqa: PLC0415 - torch

    doubt = live.uncertainty(thresholds)
    return Doubts(doubt, most_uncertain(doubt, confirmed_by(marks, clicks, regions)))
