"""Start a job on several planes of a stack; a long one in tiles shows first what it costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from ...segmentation import Progress
from .. import tile_costs, ui_text
from ..engine_requests import Request
from ..engine_session import Session
from ..state import DockState
from ..worker import Work


def start_on_planes(
    state: DockState,
    request: Request,
    planes: int,
    work: Work,
    on_success: Callable[[Any], str],
    stopped: str,
    again: Callable[[], None],
    *,
    agreed: bool,
) -> None:
    """Start a job on several planes, or show what it costs with a button that starts it.

    Parameters
    ----------
    state : DockState
    request : Request
        Of one of the planes.
    planes : int
        How many there are.
    work, on_success, stopped
        As for `MainJob.start_told`.
    again : callable
        Starts the job once more, with `agreed`.
    agreed : bool
        Whether the user knows how long it takes.
    """
    main_job = state.main_job
    if request.config.tiles is None:
        main_job.start_told(work, on_success, stopped)
        return
    limit = math.inf if agreed else tile_costs.LONG_RUN

    def ended(result: Any) -> None:
        if isinstance(result, tile_costs.Costs):
            main_job.ask_to_start(ui_text.long_planes(planes=planes, costs=result.text), again)
        else:
            main_job.hand_over(on_success, result)

    main_job.start(
        partial(_unless_long, state.session, request, planes, limit, work), ended, stopped
    )


def _unless_long(
    session: Session,
    request: Request,
    planes: int,
    limit: float,
    work: Work,
    report: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> Any:
    """Do the work, or return its `Costs` if it takes longer than the limit, in seconds."""
    one = session.estimate(request, report, should_stop)
    if one is not None:
        cost = one.times(planes)
        tile_costs.check_room(cost, session.tile_store, by_chunk=False)
        if cost.new_seconds > limit:
            return tile_costs.Costs((), cost, session.tiles_on_disk, by_chunk=False)
    return work(report, should_stop)
