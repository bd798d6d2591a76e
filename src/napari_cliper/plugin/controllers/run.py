"""Runs: from the button to the result, and again when words change."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.layers import Shapes
from napari.viewer import Viewer

from ...labels.label_class import ClassRow
from ...segmentation import SegmentationConfig
from .. import ui_text
from ..engine_requests import Outcome
from ..engine_session import Session
from ..layers.image_layers import ImageChoice
from ..panels.classes_panel import ClassesPanel
from ..panels.image_panel import ImagePanel
from ..panels.run_panel import RunEntry
from ..panels.state_panel import StateButton
from ..panels.status_panel import StatusPanel
from .base import Controller
from .live_result import LiveResult
from .main_job import MainJob
from .requests import Requests

RESCORE_AFTER = 700  # milliseconds after the last change of a word


class RunController(Controller):
    """Runs on the chosen image.

    Parameters
    ----------
    viewer : Viewer
    status : StatusPanel
    images : ImagePanel
    classes : ClassesPanel
    requests : Requests
    session : Session
    main_job : MainJob
    result : LiveResult
        Shows the result of a run.
    works_on : callable
        Whether the user paints or clicks in a layer, which then stays active.
    result_buttons : callable
        The buttons that go with the message of a result.
    """

    def __init__(
        self,
        viewer: Viewer,
        status: StatusPanel,
        images: ImagePanel,
        classes: ClassesPanel,
        requests: Requests,
        session: Session,
        main_job: MainJob,
        result: LiveResult,
        works_on: Callable[[Any], bool],
        result_buttons: Callable[[], tuple[StateButton, ...]],
    ) -> None:
        super().__init__(status)
        self._viewer = viewer
        self._status = status
        self._images = images
        self._classes = classes
        self._requests = requests
        self._session = session
        self._main_job = main_job
        self._result = result
        self._works_on = works_on
        self._result_buttons = result_buttons
        self._number = 0  # number of the latest run; late results of others are discarded
        self._told = ""  # the message of the result
        self._timer = self.timer(RESCORE_AFTER, self._rescore)

    # ------------------------------------------------------------------ start

    def run(self, *, again: bool = False) -> None:
        """Run on a snapshot of the panels; does nothing while a job runs.

        Parameters
        ----------
        again : bool
            Whether the same image is run again: an active annotation or clicks layer then stays
            active.
        """
        if self.closed or self._main_job.job is not None or not self._classes.finish_editing():
            return
        request = self._requests.of_run()
        if isinstance(request, str):
            self._status.show_message(request, tone="error")
            return
        choice, rows, asked = request
        self._images.go_to_chosen()
        self._timer.stop()
        self._number += 1
        self._main_job.start(
            partial(self._session.run, asked),
            partial(self._on_outcome, self._number, choice, rows, asked.config, again=again),
        )

    def run_on_screen(self) -> None:
        """Run on the plane that the viewer shows."""
        self._images.choose_current_plane()
        self.run()

    def entries(self) -> list[RunEntry]:
        """Return the entries of the menu beside Run for the chosen image."""
        choice = self._images.choice()
        whole = ui_text.RUN_PLANE if choice is not None and choice.plane else ui_text.RUN_IMAGE
        return [
            RunEntry(whole, ui_text.RUN_PLANE_TIP, partial(self._run_on, "whole")),
            RunEntry(
                ui_text.RUN_VISIBLE, ui_text.RUN_VISIBLE_TIP, partial(self._run_on, "visible")
            ),
            *(
                RunEntry(
                    ui_text.run_rectangle(shapes.name),
                    ui_text.RUN_RECTANGLE_TIP,
                    partial(self._run_on, shapes),
                )
                for shapes in self._images.rectangles()
            ),
        ]

    def _run_on(self, region: str | Shapes) -> None:
        self._images.choose(region, current_plane=True)
        self.run()

    def drop(self) -> None:
        """Discard the result of the present run: its words are outdated."""
        self._number += 1

    # ------------------------------------------------------------------ again

    def again_soon(self) -> None:
        """Score the current image again, a moment after the last change of words."""
        if self._result.live:
            self._timer.start()

    def _rescore(self) -> None:
        """Score the stored embedding with the changed words; no image network runs."""
        if self._main_job.job is not None:
            self._timer.start()
            return
        request, shown = self._requests.of_run(), self._result.shown
        if shown is None or isinstance(request, str):
            return
        choice, _, asked = request
        if choice.key == shown.choice.key and asked.config == shown.config:
            self.run(again=True)

    # ------------------------------------------------------------------ end

    def _on_outcome(
        self,
        number: int,
        choice: ImageChoice,
        rows: tuple[ClassRow, ...],
        config: SegmentationConfig,
        outcome: Outcome,
        *,
        again: bool = False,
    ) -> None:
        """Show the result of a run; a late one is discarded."""
        if number != self._number:
            self._status.end(ui_text.DROPPED_FOR_PROJECT)
            return
        if choice.layer not in self._viewer.layers or not choice.is_current:
            self._status.end(ui_text.dropped_for_image(choice.name))
            return
        active = self._viewer.layers.selection.active
        self._result.show(choice, rows, config, outcome)
        if again and self._works_on(active):
            self._viewer.layers.selection.active = active
        result = self._result.shown
        on_screen = result is not None and result.outcome is outcome
        found = outcome.found
        self._status.end(
            ui_text.run_done(
                classes=found.classes,
                total=len(rows),
                objects=found.objects,
                short=found.short,
                on_screen=on_screen,
                notes=" ".join((*outcome.scores.notes, *outcome.notes)),
            ),
            tone="" if found.classes else "warning",
            buttons=self._result_buttons() if on_screen and found.classes else (),
        )
        self._told = self._status.message.text()

    def clear_message(self) -> None:
        """Take the message of the result away, which is said elsewhere now."""
        if self._told and self._status.message.text() == self._told:
            self._status.show_message("")

    def on_threshold_moved(self, _values: object) -> None:
        """Replace the message of the run, whose counts are outdated."""
        if self._told and self._status.message.text() == self._told:
            self._told = ui_text.THRESHOLD_MOVED
            self._status.show_message(self._told, buttons=self._result_buttons())
