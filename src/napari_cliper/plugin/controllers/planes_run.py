"""The base class of controllers that run several planes of a stack, one after the other."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any

from ...labels.label_class import ClassRow
from ...segmentation import Report, SegmentationConfig, ShouldStop
from .. import tile_costs, ui_text
from ..engine_requests import Outcome, Request
from ..engine_session import Session
from ..layers.image_layers import ImageChoice, axis_name, image_shape
from ..panels.image_panel import ImagePanel
from ..panels.run_panel import RunEntry, RunPanel
from ..state import DockState
from ..worker import Work
from .base import Controller
from .requests import Requests


@dataclass(frozen=True, eq=False, kw_only=True)
class PlanesRun:
    """A run of several planes, and its results that are not shown yet.

    Parameters
    ----------
    axis : int
    rows : tuple of ClassRow
    config : SegmentationConfig
    applied : int
        `Requests.applied` at the start.
    done : SimpleQueue
        Finished planes, for the window.
    """

    axis: int
    rows: tuple[ClassRow, ...]
    config: SegmentationConfig
    applied: int
    done: SimpleQueue[tuple[ImageChoice, Outcome]] = field(default_factory=SimpleQueue)

    def name_of(self, choice: ImageChoice) -> str:
        """The name of a plane, such as "z 4"."""
        axis = axis_name(choice.layer, self.axis)
        return ui_text.axis_index(axis=axis, index=choice.plane[self.axis])


class PlanesController(Controller):
    """Offers a run of several planes beside Run, and shows each plane when it is finished.

    Parameters
    ----------
    state : DockState
    images : ImagePanel
    run_panel : RunPanel
        Has the menu entries.
    requests : Requests
    """

    def __init__(
        self, state: DockState, images: ImagePanel, run_panel: RunPanel, requests: Requests
    ) -> None:
        super().__init__(images)
        self._state = state
        self._images = images
        self._requests = requests
        self._running: PlanesRun | None = None
        run_panel.add_entries(self.entries)
        state.main_job.progressed.connect(self._show_done)
        state.main_job.finished.connect(self._on_job_ended)

    def entries(self) -> list[RunEntry]:
        """Return the entries of the menu beside Run: one for each axis with several planes.

        They are offered even if no plane is on the screen: a run then says why it cannot start.
        """
        layer = self._images.image
        if layer is None:
            return []
        return [
            RunEntry(*self._entry(axis_name(layer, axis), size), partial(self.run, axis))
            for axis, size in enumerate(image_shape(layer)[:-2])
            if size > 1
        ]

    @abstractmethod
    def _entry(self, axis: str, planes: int) -> tuple[str, str]:
        """The text and the tooltip of the entry for an axis."""

    @abstractmethod
    def run(self, axis: int, *, agreed: bool = False) -> None:
        """Run the planes along an axis; a long run in tiles waits until it is `agreed`."""

    def _start(
        self,
        run: PlanesRun,
        request: Request,
        planes: int,
        work: Work,
        message: Callable[[Any], str],
        stopped: str,
        *,
        agreed: bool,
    ) -> None:
        """Start the job of a run, or show what it costs with a button that starts it.

        The request is that of one of the planes, `message` makes a message of what the work
        returns, and `stopped` is shown after Cancel.
        """
        self._running = run
        main_job = self._state.main_job

        def told(result: Any) -> str:
            self._show_done()
            current = run.applied == self._requests.applied
            return message(result) if current else ui_text.DROPPED_FOR_PROJECT

        if request.config.tiles is None:
            main_job.start_told(work, told, stopped)
            return
        limit = math.inf if agreed else tile_costs.LONG_RUN
        again = partial(self.run, run.axis, agreed=True)

        def ended(result: Any) -> None:
            if isinstance(result, tile_costs.Costs):
                main_job.ask_to_start(ui_text.long_planes(planes=planes, costs=result.text), again)
            else:
                main_job.hand_over(told, result)

        main_job.start(
            partial(_unless_long, self._state.session, request, planes, limit, work),
            ended, stopped,
        )  # fmt: skip

    def _show_done(self, _progress: object = None) -> None:
        """Show the planes that are finished."""
        run = self._running
        while run is not None and not run.done.empty():
            choice, outcome = run.done.get()
            if run.applied == self._requests.applied and choice.is_current:
                self._state.result.add(choice, run.rows, run.config, outcome)

    def _on_job_ended(self) -> None:
        self._show_done()
        self._running = None


def _unless_long(
    session: Session,
    request: Request,
    planes: int,
    limit: float,
    work: Work,
    report: Report,
    should_stop: ShouldStop,
) -> Any:
    """Do the work, or return its `Costs` if it takes longer than the limit, in seconds."""
    one = session.estimate(request, report, should_stop)
    if one is not None:
        cost = one.times(planes)
        tile_costs.check_room(cost, session.tile_store, by_chunk=False)
        if cost.new_seconds > limit:
            return tile_costs.Costs((), cost, session.tiles_on_disk, by_chunk=False)
    return work(report, should_stop)
