"""Accepts predictions that are large, or of many planes, in the job that the user waits for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from ...annotation.label_store import LabelStore
from ...annotation.merge import Rule
from ...annotation.stored_accept import Accepted, StoredAccept
from ...annotation.stored_edits import unpack
from ...labels.label_class import ClassRow
from ...segmentation import InvalidInputError, LabelsByChunk, Monitor, Report, ShouldStop
from .. import ui_text
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_layers import Region, is_in_chunks, part_of_choice
from ..layers.large_annotation_layer import LargeAnnotationLayer
from ..layers.lazy_planes import LazyPlane
from ..layers.prediction_layers import LargePrediction, Prediction
from .base import Controller

if TYPE_CHECKING:
    from .main_job import MainJob

AcceptWork = Callable[[bool, Monitor], Any]

AT_ONCE = 1 << 21
"""Pixels that are accepted in the window's thread, in at most a tenth of a second."""


def is_long(prediction: Prediction) -> bool:
    """Return whether accepting a prediction takes too long for the window's thread."""
    choice = prediction.choice
    large = is_in_chunks(choice.layer) and math.prod(choice.shape) > AT_ONCE
    return large or isinstance(prediction, LargePrediction)


def accepting(
    annotation: LargeAnnotationLayer,
    prediction: Prediction,
    rows: Sequence[ClassRow],
    rule: Rule,
    *,
    chosen: set[str] | None,
    rectangle: Region | None,
    point: tuple[int, int] | None,
) -> StoredAccept:
    """Return the work of accepting a prediction.

    Parameters
    ----------
    annotation, rows, rule, chosen, point
        See `LargeAnnotationLayer.accepting`.
    prediction : Prediction
    rectangle : (slice, slice), optional
        Rows and columns of the image; default: all of the prediction.
    """
    choice = prediction.choice
    labels: Any = prediction.snapshot()
    if rectangle is not None:
        choice, part = part_of_choice(choice, rectangle)
        labels = LazyPlane(labels, (), part)
    return annotation.accepting(choice, labels, rows, rule, chosen=chosen, point=point)


class AcceptJob(Controller):
    """Accepts a prediction in a thread; cancelled, it has changed nothing.

    Parameters
    ----------
    panel : QWidget
        Parent of this object.
    main_job : MainJob
    confirm : callable
        Asks whether this many hand-painted pixels may be replaced.
    is_there : callable
        Returns whether an annotation is in the window.

    Its work is a function that takes whether hand-painted pixels may be replaced, and a `Monitor`.
    It returns what was accepted; or, if they may not, how many such pixels there are.
    """

    def __init__(
        self,
        panel: QWidget,
        main_job: MainJob,
        confirm: Callable[[int], bool],
        is_there: Callable[[AnnotationLayer], bool],
    ) -> None:
        super().__init__(panel)
        self._main_job = main_job
        self._confirm = confirm
        self._is_there = is_there
        self._next: Callable[[], None] | None = None
        self._later = self.timer(0, self._go_on)

    def start(
        self,
        annotation: AnnotationLayer,
        work: AcceptWork,
        take: Callable[[Any], int | None],
        on_accepted: Callable[[int], str],
        *,
        agreed: bool = False,
    ) -> None:
        """Start accepting.

        Parameters
        ----------
        annotation : AnnotationLayer
        work : callable
            Done in a thread.
        take : callable
            Takes what was accepted into the annotation; returns how many labels changed, or None if
            so much else has changed meanwhile that the work must be done again.
        on_accepted : callable
            Takes the number of these pixels; returns the message to show.
        agreed : bool
            Whether the user knows that hand-painted pixels are replaced.

        Raises
        ------
        InvalidInputError
            If a job is running.
        """
        started = self._main_job.start_told(
            partial(_monitored, work, agreed),
            partial(self._on_worked, annotation, work, take, on_accepted, agreed),
        )
        if not started:
            raise InvalidInputError(ui_text.WAIT_FOR_JOB)

    def _on_worked(
        self,
        annotation: AnnotationLayer,
        work: AcceptWork,
        take: Callable[[Any], int | None],
        on_accepted: Callable[[int], str],
        agreed: bool,
        found: Any,
    ) -> str:
        again = partial(self.start, annotation, work, take, on_accepted)
        if not self._is_there(annotation):
            return ui_text.STOPPED
        if isinstance(found, int):
            self._soon(partial(self._ask, found, again))
            return ""
        changed = take(found)
        if changed is None:
            self._soon(partial(again, agreed=agreed))
            return ""
        self._soon(partial(self._tell, on_accepted, changed))
        return ""

    def _tell(self, on_accepted: Callable[[int], str], changed: int) -> None:
        """Show the message, after what is learned from the annotation has begun."""
        self.message.emit(on_accepted(changed), False)

    def _ask(self, painted: int, again: Callable[..., None]) -> None:
        if self._confirm(painted):
            again(agreed=True)

    def _soon(self, call: Callable[[], None]) -> None:
        """Do something when the job has ended."""
        self._next = call
        self._later.start()

    def _go_on(self) -> None:
        call, self._next = self._next, None
        if call is not None:
            with self.showing_errors():
                call()


def _monitored(work: AcceptWork, agreed: bool, report: Report, should_stop: ShouldStop) -> Any:
    return work(agreed, Monitor(report, should_stop))


def accept_stored(
    work: StoredAccept, store: LabelStore, shown: Region, agreed: bool, monitor: Monitor
) -> Accepted | int:
    """Accept into a fork; or return how many painted pixels would be replaced, to ask first."""
    work = work.found()
    if work.rule == "all" and not agreed:
        painted = work.painted(store, monitor)
        if painted:
            return painted
    accepted = work.run(store, monitor)
    labels = work.prediction
    if isinstance(labels, LabelsByChunk) and labels.complete and not labels.any():
        raise InvalidInputError(ui_text.nothing_to_accept(ui_text.NOTHING_FOUND))
    unpack((one for changes, _ in accepted.changes.values() for one in changes), shown)
    return accepted
