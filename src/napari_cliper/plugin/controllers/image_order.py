"""The images of a project in the order of how unsure the engine is of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from ...annotation.project.project import Project
from ...segmentation import Monitor, Progress
from ...workflows.active_learning import Ranking, uncertain_first
from .. import ui_text
from ..engine_session import Request, Session
from ..panels.project_panel import ProjectPanel
from .base import Controller
from .project import ProjectController
from .prototype_learning import Start

IMAGES_NAMED = 3
"""So many images that could not be looked at are named with the reason."""


class ImageOrder(Controller):
    """Orders the images of the dock's project.

    Parameters
    ----------
    panel : ProjectPanel
    project_controller : Projecting
    session : Session
    request : callable
        Gives what the engine is to be asked, or why there is nothing to ask.
    start : callable
        See `learning_controller.Start`.
    """

    def __init__(
        self,
        panel: ProjectPanel,
        project_controller: ProjectController,
        session: Session,
        request: Callable[[], Request | str],
        start: Start,
    ) -> None:
        super().__init__(panel)
        self._project_controller = project_controller
        self._session = session
        self._request = request
        self._start = start
        panel.order_wanted.connect(self.order)

    def order(self) -> None:
        """Look at all images that are not done, in a thread, and order them."""
        request, project = self._request(), self._project_controller.project
        if isinstance(request, str):
            self.message.emit(request, True)
        elif project is not None and self._project_controller.save_now():
            work = partial(_ranked, self._session, project, request)
            self._start(work, partial(self._on_ranked, project))

    def _on_ranked(self, project: Project, ranking: Ranking) -> str:
        if project is not self._project_controller.project:
            return ui_text.DROPPED_ORDER
        self._project_controller.reorder(ranking)
        return ui_text.ordered(
            number=len(ranking.values), problems=ranking.problems, most=IMAGES_NAMED
        )


def _ranked(
    session: Session,
    project: Project,
    request: Request,
    report: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> Ranking:
    def ask(pixels: NDArray[Any], report: Callable[[Progress], None]) -> NDArray[Any]:
        return session.uncertainty(replace(request, read=lambda: pixels), report, should_stop)

    return uncertain_first(project, ask, Monitor(report, should_stop))
