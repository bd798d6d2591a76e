"""Propagate the labels of a corrected plane to the next planes of a stack, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...annotation.edit_mask import OPEN, PAINTED
from ...annotation.user_hints import NO_HINT, hints_of
from ...segmentation import (
    AGREEMENT_LIMIT,
    InvalidInputError,
    Monitor,
    OutOfMemoryError,
    Progress,
    Report,
    ShouldStop,
    UserHints,
    corrected,
)
from .. import ui_text
from ..engine_requests import LearningRequest, Outcome, Propagated, Request
from ..engine_session import Session
from ..layers.image_layers import ImageChoice, planes_along
from ..layers.outlines import outlines_of_large
from ..panels.image_panel import ImagePanel
from ..panels.run_panel import RunEntry, RunPanel
from ..state import DockState
from .correction import CorrectionController
from .kept_results import Kept
from .label_update import Drawn, read_hints
from .planes_run import PlanesController, PlanesRun
from .requests import Requests

if TYPE_CHECKING:
    from ...segmentation import ImageAffinity, Prototypes, ScoredPlane

_Plane = tuple[ImageChoice, Callable[[], Drawn], Request]


@dataclass(frozen=True, eq=False, kw_only=True)
class _Propagation(PlanesRun):
    """A snapshot of the corrected plane and of the planes to propagate to.

    Parameters
    ----------
    source : Kept
        The corrected plane.
    drawn : Drawn
        What the user has drawn on it.
    learning : LearningRequest
        Its image; the labels are filled in later.
    ways : tuple of lists of (ImageChoice, callable, Request)
        The next planes in each direction, the nearest first. The callable reads what is drawn on
        the plane when its turn comes.
    request : Request
        Of the corrected plane.
    """

    source: Kept
    drawn: Drawn
    learning: Callable[[NDArray[Any], NDArray[Any]], LearningRequest]
    ways: tuple[list[_Plane], ...]
    request: Request


class PlanePropagation(PlanesController):
    """Offers *Propagate to the next planes* beside Run, and shows the planes as they are finished.

    Parameters
    ----------
    state : DockState
    images : ImagePanel
    run_panel : RunPanel
        Has the menu entries.
    corrections : CorrectionController
        Reads what the user has drawn on each plane.
    requests : Requests
    """

    def __init__(
        self,
        state: DockState,
        images: ImagePanel,
        run_panel: RunPanel,
        corrections: CorrectionController,
        requests: Requests,
    ) -> None:
        super().__init__(state, images, run_panel, requests)
        self._corrections = corrections

    def entries(self) -> list[RunEntry]:
        """Return the entries of the menu beside Run; none without a result of a whole plane."""
        current = self._state.result.current
        if current is None and self._state.on_screen is not None:
            return []
        if current is not None and current.shown.choice.region is not None:
            return []
        return super().entries()

    def _entry(self, axis: str, _planes: int) -> tuple[str, str]:
        text = ui_text.propagate_planes(axis=axis, limit=AGREEMENT_LIMIT)
        return text, ui_text.PROPAGATE_PLANES_TIP

    def run(self, axis: int, *, agreed: bool = False) -> None:
        """Propagate from the plane on the screen along an axis, in both directions.

        A long run in tiles first shows what it costs, unless that is `agreed`.
        """
        main_job = self._state.main_job
        if self.closed or main_job.job is not None:
            return
        self._images.choose("whole", current_plane=True)
        found = self._snapshot(axis)
        if isinstance(found, str):
            self.say_error(found)
            return
        work = partial(_propagate, self._state.session, found)
        planes = sum(map(len, found.ways))
        self._start(
            found, found.request, planes, work, partial(_message, found),
            ui_text.STOPPED_PROPAGATION, agreed=agreed,
        )  # fmt: skip

    def _snapshot(self, axis: int) -> _Propagation | str:
        """The work to do, or why there is none."""
        current, request = self._state.result.current, self._requests.of_run()
        if isinstance(request, str):
            return request
        choice, _, asked = request
        if current is None or current.shown.choice.key != choice.key:
            return self._state.result.why_not or ui_text.NO_PREDICTION
        drawn = self._corrections.drawn_on(choice)
        if not drawn.clicks and not drawn.edit_mask.any():
            return ui_text.NOTHING_TO_PROPAGATE
        config = current.shown.config
        asked = replace(asked, config=config, classes=current.shown.outcome.scores.classes)
        asked = self._requests.of_plane(asked, choice)
        ways = tuple(list(self._way(choice, asked, axis, step)) for step in (1, -1))
        if not any(ways):
            return ui_text.NO_NEXT_PLANE
        names = {label: row.name for label, row in enumerate(current.shown.rows, 1)}

        def learning(labels: NDArray[Any], confirmed: NDArray[Any]) -> LearningRequest:
            source = ui_text.source_name(image=choice.name, plane=choice.plane)
            image = replace(asked.image, pixel_size=None)  # no note on sizes in one stack
            return LearningRequest(image, config, lambda: (labels, confirmed), names, source)

        return _Propagation(
            axis=axis, rows=current.shown.rows, config=config, applied=self._requests.applied,
            source=current, drawn=drawn, learning=learning, ways=ways, request=asked,
        )  # fmt: skip

    def _way(self, start: ImageChoice, request: Request, axis: int, step: int) -> Iterator[_Plane]:
        """The next planes in one direction, up to one that belongs to another corrected plane."""
        annotation = self._state.annotations.of(start.layer)
        masks = annotation.edits.edit_mask if annotation is not None and annotation.fits else None
        known = {one.shown.choice.key: one.shown.outcome for one in self._state.result.kept}
        planes, at, choices = planes_along(start, axis), start.plane[axis], list[ImageChoice]()
        following = planes[at + 1 :] if step > 0 else planes[:at][::-1]
        for steps, choice in enumerate(following, 1):
            before = known.get(choice.key)
            if before is not None and before.propagated and before.propagated.steps < steps:
                break
            if masks is not None and masks[choice.plane].all():
                break
            choices.append(choice)
        for choice, read in zip(choices, self._corrections.readers_on(choices), strict=True):
            yield choice, read, self._requests.of_plane(request, choice)


def _message(run: _Propagation, ended: tuple[int, Sequence[str]]) -> str:
    planes, stops = ended
    source = run.name_of(run.source.shown.choice)
    return ui_text.planes_propagated(source=source, planes=planes, stops=stops)


def _propagate(
    session: Session, run: _Propagation, report: Report, should_stop: ShouldStop
) -> tuple[int, list[str]]:
    """Propagate in each direction; return the number of planes, and why it stopped."""
    source = run.source.shown
    affinity = session.affinity(source.outcome.embedding, report, should_stop)
    labels, hints = _corrected_plane(run, affinity)
    from ...segmentation import PROTOTYPE_WEIGHT, confirmed_by_hints  # noqa: PLC0415 - torch

    learned = session.learn(
        run.learning(labels, confirmed_by_hints(labels, hints)), report, should_stop
    )
    given = run.request.prototypes
    if given is not None and given.identity == learned.identity:
        learned = given.union(learned)
    weight = run.request.prototype_weight
    weight = PROTOTYPE_WEIGHT if weight is None else weight
    total, finished, stops = sum(map(len, run.ways)), 0, []
    monitor = Monitor(report, should_stop)
    for way in run.ways:
        for found in _one_way(session, run, learned, weight, way, labels, affinity, monitor):
            if isinstance(found, str):
                stops.append(found)
            else:
                run.done.put(found)
                finished += 1
                monitor.tell(ui_text.PROPAGATING, finished, total)
    return finished, stops


def _corrected_plane(
    run: _Propagation, affinity: ImageAffinity
) -> tuple[NDArray[np.integer[Any]], UserHints]:
    """The labels of the corrected plane, and the hints on it, accepted pixels among them."""
    drawn, shown = run.drawn, run.source.shown
    names = [one.name for one in shown.outcome.scores.classes]
    seeds = None if shown.outcome.propagated is None else shown.outcome.propagated.seeds
    _, hints = read_hints(
        lambda: drawn, names, lambda *_: affinity, _ignore, lambda: False, seeds=seeds
    )
    decided = np.where(drawn.edit_mask != OPEN, PAINTED, OPEN).astype(np.uint8)
    told = hints_of(drawn.labels, decided, drawn.classes, drawn.clicks, names).hint_labels
    *_, labels = corrected(shown.outcome.live, hints, run.source.thresholds).values()
    return np.where(told != NO_HINT, told, labels), UserHints(affinity, told)


def _one_way(
    session: Session,
    run: _Propagation,
    learned: Prototypes,
    weight: float,
    way: list[_Plane],
    labels: NDArray[np.integer[Any]],
    source: ImageAffinity,
    monitor: Monitor,
) -> Iterator[tuple[ImageChoice, Outcome] | str]:
    """Yield each plane of one direction; last, why it stopped, unless all were done."""
    from ...segmentation import propagate_planes  # noqa: PLC0415 - torch

    outcomes: list[Outcome] = []
    downloads = monitor.downloads_only().report

    def scored() -> Iterator[ScoredPlane]:
        from ...segmentation import ScoredPlane  # noqa: PLC0415 - torch

        for _, read, request in way:
            monitor.check()
            with_prototypes = replace(request, prototypes=learned, prototype_weight=weight)
            outcome = session.run(with_prototypes, downloads, monitor.should_stop)
            affinity = session.affinity(outcome.embedding, downloads, monitor.should_stop)
            names, drawn = [one.name for one in outcome.scores.classes], read()
            own = hints_of(drawn.labels, drawn.edit_mask, drawn.classes, drawn.clicks, names)
            outcomes.append(outcome)
            yield ScoredPlane(outcome.live, outcome.thresholds, affinity, own.hint_labels)

    planes = propagate_planes(labels, source, scored(), AGREEMENT_LIMIT)
    for steps, (choice, *_) in enumerate(way, 1):
        try:
            plane = next(planes)
        except (InvalidInputError, OutOfMemoryError) as error:
            yield ui_text.stopped_by_error(plane=run.name_of(choice), reason=str(error))
            return
        outcome = replace(
            outcomes.pop(),
            labels=plane.labels,
            outlines=outlines_of_large(plane.labels),
            propagated=Propagated(plane.hints, plane.seeds, steps),
        )
        yield choice, outcome
        if plane.agreement < AGREEMENT_LIMIT:
            yield ui_text.stopped_by_agreement(
                plane=run.name_of(choice), agreement=plane.agreement, limit=AGREEMENT_LIMIT
            )
            return


def _ignore(_progress: Progress) -> None:
    """Report nothing: the affinity is known."""
