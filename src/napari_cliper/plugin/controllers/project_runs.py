"""Runs on all images of a project: saved predictions, and sorting by uncertainty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from ...annotation.project.prediction_store import PredictionKey, StoredPrediction
from ...annotation.project.project import Project
from ...labels.label_class import ClassRow
from ...segmentation import Composite, Monitor, Report, ShouldStop
from ...workflows.active_learning import Ranking, uncertain_first
from ...workflows.predict_images import (
    Plane,
    PredictedImages,
    Way,
    one_by_one,
    predict_images,
    prediction_key,
)
from .. import preferences, ui_text
from ..engine_requests import ImageInput, Request
from ..engine_session import Session
from ..layers.image_layers import ImageChoice, labels_shape
from ..layers.lazy_planes import LazyPlane
from ..panels.project_panel import ProjectPanel
from ..panels.run_panel import RunEntry, RunPanel
from ..pytorch_loading import load_pytorch
from ..state import DockState
from .base import Controller
from .project import ProjectController
from .requests import Requests

if TYPE_CHECKING:
    from ...workflows.predict_on_cluster import PredictionJob

IMAGES_NAMED = 3
"""The maximum number of failed images that a message names with the reason."""


class ProjectRuns(Controller):
    """Runs on the images of the project.

    Parameters
    ----------
    state : DockState
        Its result shows the saved predictions.
    panel : ProjectPanel
    run_panel : RunPanel
        Has a menu entry for a run on all images.
    requests : Requests
    project_controller : ProjectController
    """

    def __init__(
        self,
        state: DockState,
        panel: ProjectPanel,
        run_panel: RunPanel,
        requests: Requests,
        project_controller: ProjectController,
    ) -> None:
        super().__init__(panel)
        self._state = state
        self._panel = panel
        self._requests = requests
        self._project_controller = project_controller
        self._reading = self.jobs()
        panel.order_wanted.connect(self.order)
        project_controller.arrived.connect(self.show_kept)
        state.inputs_changed.connect(self.update_available)
        run_panel.add_entries(self.entries)
        self.update_available()

    def update_available(self) -> None:
        """Enable or disable sorting by uncertainty."""
        requests = self._requests
        self._panel.set_orderable(requests.why_no_words() or requests.why_no_engine())

    def entries(self) -> tuple[RunEntry, ...]:
        """Return the entries of the menu beside Run; none without a project."""
        project = self._project_controller.project
        if project is None:
            return ()
        count = sum(image.status != "done" for image in project.images)
        return (RunEntry(ui_text.run_project(count), ui_text.RUN_PROJECT_TIP, self.run),)

    # ------------------------------------------------------------------ all images

    def run(self) -> None:
        """Run on all images that are not done, in a thread, and save the predictions."""
        self._begin(predict_images, self._on_run)

    def order(self) -> None:
        """Run on all images that are not done, in a thread, and sort them by uncertainty."""
        self._begin(uncertain_first, self._on_ranked)

    def _begin(
        self,
        work: Callable[[Project, PredictionKey, Way, Monitor], Any],
        on_success: Callable[[Project, Any], str],
    ) -> None:
        project, main_job = self._project_controller.project, self._state.main_job
        request = self._requests.of_project() if main_job.idle else ui_text.WAIT_FOR_JOB
        if isinstance(request, str):
            self.say_error(request)
        elif project is not None and self._project_controller.save_now():
            run = partial(_run, work, self._state.session, project, request)
            # Cancelling keeps the predictions that are ready.
            main_job.start_told(run, partial(on_success, project), ui_text.STOPPED_IMAGES)

    def _on_run(self, project: Project, found: PredictedImages) -> str:
        if project is not self._project_controller.project:
            return ui_text.DROPPED_RUN
        self.show_kept()
        return ui_text.images_run(
            run=len(found.run), kept=len(found.kept), problems=found.problems, most=IMAGES_NAMED
        )

    def _on_ranked(self, project: Project, ranking: Ranking) -> str:
        if project is not self._project_controller.project:
            return ui_text.DROPPED_ORDER
        self._project_controller.reorder(ranking)
        self.show_kept()
        return ui_text.ordered(
            number=len(ranking.values), problems=ranking.problems, most=IMAGES_NAMED
        )

    # ------------------------------------------------------------------ what is kept

    def show_kept(self) -> None:
        """Show the saved prediction of the image in the window, if words and settings are the same.

        Changed prototypes are ignored, because each finished image adds some.
        """
        projects = self._project_controller
        project, layer, request = projects.project, projects.layer, self._requests.chosen()
        if project is None or layer is None or request is None:
            return
        rows = self._state.labelled_rows
        self._reading.replace(
            partial(_read, project, projects.current, _key(request)),
            partial(self._on_read, layer, projects.current, rows),
        )

    def _on_read(
        self, layer: Image, name: str, rows: tuple[ClassRow, ...], found: StoredPrediction | None
    ) -> None:
        if found is None or layer is not self._project_controller.layer:
            return
        choice = ImageChoice(layer, name, found.plane)
        shape = labels_shape(choice)
        if len(shape) == len(found.plane) + 2 and shape[-2:] == found.labels.shape:
            self._state.result.show_stored(choice, rows, found)


def _key(request: Request) -> PredictionKey:
    return prediction_key(
        request.classes,
        request.background,
        request.config,
        request.thresholds or request.config.settings().thresholds,
        request.prototypes,
        request.prototype_weight,
    )


def _read(
    project: Project, name: str, key: PredictionKey, _report: Report, _should_stop: ShouldStop
) -> StoredPrediction | None:
    return project.prediction(name, key, any_prototypes=True)


def _run(
    work: Callable[[Project, PredictionKey, Way, Monitor], Any],
    session: Session,
    project: Project,
    request: Request,
    report: Report,
    should_stop: ShouldStop,
) -> Any:
    scheduler = preferences.read().scheduler
    way = one_by_one(partial(_predict, session, request, should_stop))
    if scheduler:
        load_pytorch(report)
        from ...workflows.cluster import Cluster  # noqa: PLC0415 - rarely used
        from ...workflows.predict_on_cluster import on_cluster  # noqa: PLC0415 - torch

        way = on_cluster(
            Cluster(scheduler=scheduler), _job(request, tiles_on_disk=session.tiles_on_disk)
        )
    return work(project, _key(request), way, Monitor(report, should_stop))


def _predict(
    session: Session, request: Request, should_stop: ShouldStop, plane: Plane, report: Report
) -> StoredPrediction:
    pixels = plane.pixels
    if not isinstance(pixels, np.ndarray | Composite):  # read by tile
        rows, columns = (slice(0, side) for side in pixels.shape[:2])
        pixels = LazyPlane(pixels, (), (rows, columns))
    one = replace(request, image=ImageInput(lambda: pixels, pixel_size=plane.pixel_size))
    return session.predict(one, report, should_stop)


def _job(request: Request, *, tiles_on_disk: bool) -> PredictionJob:
    """The request as the workers of a cluster take it."""
    from ...workflows.predict_on_cluster import PredictionJob  # noqa: PLC0415 - torch

    return PredictionJob(
        request.config,
        request.classes,
        request.background,
        request.thresholds or request.config.settings().thresholds,
        request.prototypes,
        request.prototype_weight,
        tiles_on_disk,
    )
