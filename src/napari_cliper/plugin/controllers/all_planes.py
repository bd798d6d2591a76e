"""All planes of a stack: run, thresholds, Accept, and the strip that shows their states."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ...annotation.chunks import Part
from ...annotation.memory_store import MemoryStore
from ...annotation.plane_accept import AcceptedPlanes, PlaneAccept, accept_planes
from ...segmentation import (
    InvalidInputError,
    Monitor,
    OutOfMemoryError,
    Report,
    ShouldStop,
    Thresholds,
    corrected,
)
from .. import ui_text
from ..engine_requests import Request
from ..engine_session import Session
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_layers import OUTPUT_KEY, ImageChoice, axis_name, image_shape, planes_along
from ..layers.image_view import go_to_plane
from ..layers.outlines import outlines_of_large
from ..panels.annotation_panel import AnnotationPanel
from ..panels.image_panel import ImagePanel
from ..panels.plane_strip import Planes, states_of
from ..panels.run_panel import RunPanel
from ..panels.threshold_panel import ThresholdPanel
from ..state import DockState
from ..worker import Work
from .kept_results import Kept, PredictedPlane
from .label_update import LabelUpdate
from .planes_run import PlanesController, PlanesRun
from .requests import Requests
from .result_layers import write_elsewhere

STATES_AFTER = 200  # milliseconds without a change before the strip is updated
THRESHOLDS_AFTER = 300  # milliseconds without a move before all planes follow


class AllPlanes(PlanesController):
    """Runs, accepts and sets thresholds on all planes of the chosen stack.

    Parameters
    ----------
    state : DockState
    images : ImagePanel
        Its strip shows the states of the planes.
    run_panel : RunPanel
        Has menu entries for a run on all planes.
    thresholds : ThresholdPanel
    annotation : AnnotationPanel
    requests : Requests
    """

    def __init__(
        self,
        state: DockState,
        images: ImagePanel,
        run_panel: RunPanel,
        thresholds: ThresholdPanel,
        annotation: AnnotationPanel,
        requests: Requests,
    ) -> None:
        super().__init__(state, images, run_panel, requests)
        self._strip = images.strip
        self._thresholds = thresholds
        self._annotation = annotation
        self._result = state.result
        self._axis: int | None = None  # the axis that was run last
        self._updates = self.jobs()
        self._timer = self.timer(THRESHOLDS_AFTER, self._follow_thresholds)
        self._looking = self.newest(self._snapshot, self._strip.setValue, delay=STATES_AFTER)
        self._strip.chosen.connect(self.go_to)
        annotation.accept_planes_wanted.connect(self.accept)
        thresholds.valueChanged.connect(self._on_thresholds)
        thresholds.all_planes_toggled.connect(self._on_thresholds)
        for signal in (
            state.image_changed,
            state.result_changed,
            state.prediction_changed,
            state.annotation_changed,
            state.result.added,
        ):
            signal.connect(self._look)
        self._look()

    # ------------------------------------------------------------------ planes

    def _chosen_axis(self, choice: ImageChoice) -> int | None:
        """The axis of the strip: the one that was run last, else the last with several planes."""
        sizes = image_shape(choice.layer)[:-2]
        several = [axis for axis, size in enumerate(sizes) if size > 1]
        if self._axis in several:
            return self._axis
        return several[-1] if several else None

    def go_to(self, index: int) -> None:
        """Move the viewer's slider to a plane of the strip."""
        choice = self._state.on_screen
        axis = None if choice is None else self._chosen_axis(choice)
        if choice is not None and axis is not None:
            with self.showing_errors():
                go_to_plane(self._state.viewer, planes_along(choice, axis)[index])

    # ------------------------------------------------------------------ run

    def _entry(self, axis: str, planes: int) -> tuple[str, str]:
        return ui_text.run_planes(axis=axis, number=planes), ui_text.RUN_PLANES_TIP

    def run(self, axis: int, *, agreed: bool = False) -> None:
        """Run on all planes along an axis of the chosen image; finished ones are shown at once.

        A long run in tiles first shows what it costs, unless that is `agreed`.
        """
        main_job = self._state.main_job
        if self.closed or main_job.job is not None:
            return
        self._images.choose("whole", current_plane=True)
        request = self._requests.of_run()
        if isinstance(request, str):
            self.say_error(request)
            return
        choice, rows, asked = request
        planes = [(one, self._requests.of_plane(asked, one)) for one in planes_along(choice, axis)]
        self._axis = axis
        run = PlanesRun(axis=axis, rows=rows, config=asked.config, applied=self._requests.applied)
        work = partial(_run, self._state.session, planes, run)
        self._start(run, asked, len(planes), work, _message, ui_text.STOPPED_PLANES, agreed=agreed)

    # ------------------------------------------------------------------ thresholds

    def _on_thresholds(self, _value: object = None) -> None:
        if self._thresholds.all_planes.isChecked() and not self._thresholds.all_planes.isHidden():
            self._timer.start()

    def _follow_thresholds(self) -> None:
        """Apply the thresholds to the other planes of the image, in a thread."""
        current = self._result.current
        if current is None:
            return
        image, values = current.shown.choice.layer, self._thresholds.value()
        others = [
            kept
            for kept in self._result.kept
            if kept is not current
            and kept.shown.choice.layer is image
            and kept.shown.choice.is_current
            and kept.shown.rows == current.shown.rows
            and kept.followed[0] != values
        ]
        if others:
            work = partial(_relabelled, others, values)
            self._updates.replace(work, self._on_relabelled)
        dropped = self._result.kept.dropped_of(image)
        if dropped:
            self.message.emit(ui_text.planes_without_scores(dropped), False)

    def _on_relabelled(self, updates: list[LabelUpdate]) -> None:
        for update in updates:
            kept = update.kept
            if kept in self._result.kept and kept is not self._result.current:
                write_elsewhere(update)
        self._look()

    # ------------------------------------------------------------------ accept

    def accept(self) -> None:
        """Accept the predictions of all planes, as one undo step, by the rule of the panel."""
        choice = self._state.on_screen
        planes = [] if choice is None else self._result.kept.planes_of(choice.layer)
        if why_not := self._why_no_planes(planes):
            self.say_error(why_not)
            return
        with self.showing_errors():
            self._accept(planes)

    def _why_no_planes(self, planes: Sequence[PredictedPlane]) -> str:
        """Why the predictions of all planes cannot be accepted; empty if they can."""
        if len(planes) > 1:
            return ""
        return (
            ui_text.NO_PLANES
            if self._state.on_screen
            else self._images.why_not() or ui_text.NO_PLANES
        )

    def _accept(self, planes: Sequence[PredictedPlane]) -> None:
        annotations, first = self._state.annotations, planes[0].choice
        rule = self._annotation.value().rule
        annotations.stop_picking()
        annotation = annotations.begin(first.layer, first.name)
        annotation.follow()
        works = [
            PlaneAccept(
                _box(annotation, one.choice), labels, annotation.numbers_of(one.rows, labels), rule
            )
            for one in planes
            for labels in [one.labels().copy()]
        ]
        for one in planes:
            annotation.show_classes(one.rows)
        store = annotation.edits.store
        assert isinstance(store, MemoryStore)  # noqa: S101 - as of every stack
        annotations.accept_job.start(
            annotation,
            partial(accept_planes, works, store),
            partial(_take, annotation),
            partial(self._on_accepted, annotation, planes),
        )

    def _on_accepted(
        self, annotation: AnnotationLayer, planes: Sequence[PredictedPlane], changed: int
    ) -> str:
        """Show what was accepted; returns the message."""
        annotations = self._state.annotations
        *_, prediction = planes[-1].predictions.values()
        annotation.record = dict(prediction.layer.metadata.get(OUTPUT_KEY, {}))
        self._result.make_room(annotation.layer)
        self._state.viewer.layers.selection.active = annotation.layer
        annotations.update_available()
        annotations.accepted_all.emit(annotation)
        return ui_text.planes_accepted(planes=len(planes), changed=changed)

    # ------------------------------------------------------------------ strip

    def _look(self, _changed: object = None) -> None:
        choice = self._state.on_screen
        planes = [] if choice is None else self._result.kept.planes_of(choice.layer)
        self._thresholds.offer_planes(several=len(planes) > 1)
        self._annotation.set_planes(self._why_no_planes(planes))
        if choice is None or self._chosen_axis(choice) is None:
            self._strip.setValue(Planes())
        else:
            self._looking.request()

    def _snapshot(self) -> Work | None:
        """The work that finds the states of the planes."""
        choice = self._state.on_screen
        axis = None if choice is None else self._chosen_axis(choice)
        if choice is None or axis is None:
            return None
        known = {one.choice.plane for one in self._result.kept.planes_of(choice.layer)}
        every = [one.plane for one in planes_along(choice, axis)]
        predicted = [index for index, plane in enumerate(every) if plane in known]
        annotation = self._state.annotations.of(choice.layer)
        masks: Any = None
        if annotation is not None and annotation.fits:
            masks = annotation.edits.edit_mask
        name, current = axis_name(choice.layer, axis), choice.plane[axis]

        def find(_report: object, _should_stop: object) -> Planes:
            decided = [masks is not None and bool(masks[plane].all()) for plane in every]
            return Planes(name, states_of(len(every), predicted, decided), current)

        return find


def _message(ended: tuple[int, int, dict[str, str]]) -> str:
    planes, found, problems = ended
    return ui_text.planes_run(planes=planes, found=found, problems=problems)


def _box(annotation: AnnotationLayer, choice: ImageChoice) -> Part:
    """The pixels of a choice as a slice with start and stop for each axis of the annotation."""
    planes = (slice(index, index + 1) for index in choice.plane)
    sides = zip(annotation.region_of(choice), annotation.shape[-2:], strict=True)
    return (*planes, *(slice(*part.indices(side)[:2]) for part, side in sides))


def _take(annotation: AnnotationLayer, accepted: AcceptedPlanes) -> int:
    """Write planes that a thread has accepted, as one undo step; return how many labels changed."""
    annotation.follow()
    annotation.forget_following()
    store = annotation.edits.store
    assert isinstance(store, MemoryStore)  # noqa: S101 - as of every stack
    with annotation.as_one_step():
        return sum(
            annotation.write(
                (*(part.start for part in work.region[:-2]), *work.region[-2:]), labels, edit_mask
            )
            for work, labels, edit_mask in accepted.now(store)
        )


def _run(
    session: Session,
    planes: list[tuple[ImageChoice, Request]],
    run: PlanesRun,
    report: Report,
    should_stop: ShouldStop,
) -> tuple[int, int, dict[str, str]]:
    """Run each plane; return how many were run, on how many something was found, and problems."""
    monitor, found, problems = Monitor(report, should_stop), 0, {}
    downloads = monitor.downloads_only().report
    for number, (choice, request) in enumerate(planes):
        monitor.tell(ui_text.RUNNING_PLANES, number, len(planes))
        try:
            outcome = session.run(request, downloads, should_stop)
        except (InvalidInputError, OutOfMemoryError) as error:
            problems[run.name_of(choice)] = str(error)
            continue
        found += outcome.found.classes > 0
        run.done.put((choice, outcome))
    if len(problems) == len(planes):
        raise InvalidInputError(next(iter(problems.values())))
    return len(planes) - len(problems), found, problems


def _relabelled(
    others: list[Kept], values: Thresholds, report: Report, should_stop: ShouldStop
) -> list[LabelUpdate]:
    """Return the labels of planes with other thresholds and the hints that they follow."""
    monitor, updates = Monitor(report, should_stop), []
    for kept in others:
        monitor.check()
        _, hints = kept.followed
        labels = corrected(kept.shown.outcome.live, hints, values)
        updates.append(LabelUpdate(kept, values, None, hints, labels, outlines_of_large(labels)))
    return updates
