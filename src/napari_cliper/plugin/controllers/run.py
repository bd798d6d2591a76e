"""Run the engine when the user presses Run, and again when words change."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Shapes
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut

from ...labels.label_class import ClassRow
from ...segmentation import SegmentationConfig
from .. import shortcuts, tile_costs, ui_text
from ..engine_requests import Outcome
from ..layers.image_group import in_viewer
from ..layers.image_layers import ImageChoice, fits_memory, runs_by_chunk
from ..panels.classes_panel import ClassesPanel
from ..panels.image_panel import ImagePanel
from ..panels.run_panel import RunEntry, RunPanel
from ..panels.state_panel import StateButton
from ..panels.status_panel import StatusPanel
from ..state import DockState
from ..tile_costs import Costs
from ..worker import Work
from .base import Controller
from .clicks import ClickController
from .next_step import NextStep
from .provisional import ProvisionalLabels
from .requests import Requests, cost_key
from .tiles import TilesController

if TYPE_CHECKING:
    from ...segmentation import TileEstimate

RESCORE_AFTER = 700  # milliseconds after the last change of a word


class RunController(Controller):
    """Runs on the chosen image.

    Parameters
    ----------
    state : DockState
        Its result shows that of a run.
    panel : RunPanel
    status : StatusPanel
    images : ImagePanel
    classes : ClassesPanel
    requests : Requests
    clicks : ClickController
    next_step : NextStep
        Says on the page why nothing was found.
    tiles : TilesController
    provisional : ProvisionalLabels
    """

    def __init__(
        self,
        state: DockState,
        panel: RunPanel,
        status: StatusPanel,
        images: ImagePanel,
        classes: ClassesPanel,
        requests: Requests,
        clicks: ClickController,
        next_step: NextStep,
        tiles: TilesController,
        provisional: ProvisionalLabels,
    ) -> None:
        super().__init__(status)
        self._state = state
        self._viewer = state.viewer
        self._panel = panel
        self._status = status
        self._images = images
        self._classes = classes
        self._requests = requests
        self._clicks = clicks
        self._next_step = next_step
        self._tiles = tiles
        self._provisional = provisional
        self._main_job = state.main_job
        self._result = state.result
        self._refused = ""  # why the last press of Run did nothing
        self._told: str | None = None  # the message of the result
        self._tell: Callable[[], str] | None = None  # that for the page, if nothing was found
        self._timer = self.timer(RESCORE_AFTER, self._rescore)
        self.keys = {shortcuts.RUN: self.run}
        enter = QShortcut(status)  # on every page
        enter.setKeys([QKeySequence("Ctrl+Return"), QKeySequence("Ctrl+Enter")])
        enter.activated.connect(self.run)
        panel.add_entries(self.entries)
        panel.run.connect(self.run)
        images.tiles_wanted.connect(self.run_with_tiles)
        images.visible_wanted.connect(partial(self._run_on, "visible"))
        state.run_wanted.connect(self.run)
        state.run_on_screen_wanted.connect(self.run_on_screen)
        state.rescore_wanted.connect(self.again_soon)
        state.inputs_changed.connect(self.update_ready)
        state.main_job.busy_changed.connect(self._on_busy)
        for moved in (state.result.thresholds_chosen, state.result.thresholds_followed):
            moved.connect(self._on_threshold)
        state.prediction_changed.connect(self._on_prediction)
        self.update_ready()

    def update_ready(self) -> None:
        """Show whether the image can be run, and with which model."""
        why_not = self._requests.why_not()
        self._images.show_context(*self._requests.context(), offer=not self._tiles.on)
        self._panel.set_ready(why_not)
        if self._refused and why_not != self._refused:
            if self._status.message.text() == self._refused:
                self._status.show_message("")
            self._refused = ""

    def _on_busy(self, busy: bool) -> None:
        self._panel.set_running(running=busy)
        self._images.set_running(running=busy)

    # ------------------------------------------------------------------ start

    def run(self, *, again: bool = False, agreed: bool = False) -> None:
        """Run on a snapshot of the panels; does nothing while a job runs.

        Parameters
        ----------
        again : bool
            Whether the same image is run again: an active annotation or clicks layer then stays
            active.
        agreed : bool
            Whether the user knows how long a run in tiles takes.
        """
        if self.closed or self._main_job.job is not None or not self._classes.finish_editing():
            return
        request = self._requests.of_run()
        if isinstance(request, str):
            self._status.show_message(request, tone="error", buttons=self._smaller())
            self._refused = request if request == self._requests.why_not() else ""
            return
        choice, rows, asked = request
        self._images.go_to_chosen()
        self._timer.stop()
        stopped = ui_text.STOPPED
        work: Work = partial(self._state.session.run, asked)
        if asked.config.tiles is not None:
            agreed = agreed or again or self._tiles.knows(cost_key(choice, asked.config))
            limit = math.inf if agreed else tile_costs.LONG_RUN
            first = None if again else self._provisional.first(choice, rows, asked)
            work = partial(self._state.session.run_if_short, asked, limit, first)
            stopped = ui_text.STOPPED_TILES
        self._main_job.start(
            work,
            partial(
                self._on_outcome, self._requests.applied, choice, rows, asked.config, again=again
            ),
            stopped,
        )

    def run_with_tiles(self) -> None:
        """Run in tiles, and show what they cost on the page Find."""
        self._state.page_wanted.emit("find")
        self._tiles.turn_on()
        self.run()

    def _smaller(self) -> tuple[StateButton, ...]:
        """The button that runs less, if the image does not fit in memory."""
        choice = self._images.value()
        if choice is None or fits_memory(choice):
            return ()
        visible, tip = self._run_visible_with_tiles, ui_text.RUN_VISIBLE_TILES_TIP
        return (StateButton(ui_text.VISIBLE_TILES, visible, tip),)

    def _run_without_tiles(self) -> None:
        self._tiles.turn_off()
        self.run()

    def _run_visible_with_tiles(self) -> None:
        self._images.choose("visible", current_plane=True)
        self.run_with_tiles()

    def run_on_screen(self) -> None:
        """Run on the plane that the viewer shows."""
        self._images.choose_current_plane()
        self.run()

    def entries(self) -> list[RunEntry]:
        """Return the entries of the menu beside Run for the chosen image."""
        choice = self._images.value()
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
            *self._tile_entries(),
        ]

    def _tile_entries(self) -> list[RunEntry]:
        if self._tiles.on:
            without = self._run_without_tiles
            return [RunEntry(ui_text.RUN_WITHOUT_TILES, ui_text.TILES_OFF_TIP, without)]
        return [
            RunEntry(ui_text.RUN_WITH_TILES, ui_text.RUN_WITH_TILES_TIP, self.run_with_tiles),
            RunEntry(
                ui_text.RUN_VISIBLE_TILES,
                ui_text.RUN_VISIBLE_TILES_TIP,
                self._run_visible_with_tiles,
            ),
        ]

    def _run_on(self, region: str | Shapes) -> None:
        self._images.choose(region, current_plane=True)
        self.run()

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
        applied: int,
        choice: ImageChoice,
        rows: tuple[ClassRow, ...],
        config: SegmentationConfig,
        outcome: Outcome | TileEstimate,
        *,
        again: bool = False,
    ) -> None:
        """Show the result of a run; a late one is discarded."""
        if not isinstance(outcome, Outcome):
            self._ask_to_start(choice, config, outcome)
            return
        if applied != self._requests.applied:
            self._status.end(ui_text.DROPPED_FOR_PROJECT)
            return
        if not in_viewer(self._viewer, choice.layer) or not choice.is_current:
            self._status.end(ui_text.dropped_for_image(choice.name))
            return
        active = self._viewer.layers.selection.active
        self._result.show(choice, rows, config, outcome)
        if again and self._works_on(active):
            self._viewer.layers.selection.active = active
        result = self._result.shown
        on_screen = result is not None and result.outcome is outcome
        found = outcome.found
        say = partial(
            ui_text.run_done,
            classes=found.classes,
            total=len(rows),
            regions=found.regions,
            complete=found.complete,
            short=found.short,
            on_screen=on_screen,
            notes=" ".join((*outcome.scores.notes, *outcome.notes)),
        )

        def tell() -> str:
            return say(explained=on_screen and self._next_step.explains)

        self._tell = None if found.classes else tell
        self._status.end(
            tell(),
            tone="" if found.classes else "warning",
            buttons=self._result_buttons() if on_screen and found.classes else (),
        )
        self._told = self._status.message.text()

    def _ask_to_start(
        self, choice: ImageChoice, config: SegmentationConfig, cost: TileEstimate
    ) -> None:
        """Show what a long run in tiles costs, with a button that starts it."""
        key = cost_key(choice, config)
        by_chunk = runs_by_chunk(choice, config)
        costs = Costs(key, cost, self._state.session.tiles_on_disk, by_chunk)
        self._tiles.tell(costs)
        self._main_job.ask_to_start(ui_text.long_run(costs.text), partial(self.run, agreed=True))

    def _works_on(self, layer: Any) -> bool:
        """Whether the user paints or clicks in a layer, which then stays active."""
        return (self._state.annotations.behind(layer) or self._clicks.behind(layer)) is not None

    def _result_buttons(self) -> tuple[StateButton, ...]:
        """The buttons that go with the message of a result."""
        correct, accept = partial(self._state.page_wanted.emit, "correct"), self._state.annotations
        return (
            StateButton(ui_text.GO_CORRECT, correct, ui_text.GO_CORRECT_TIP),
            StateButton(ui_text.GO_ACCEPT, accept.accept, ui_text.GO_ACCEPT_TIP),
        )

    def follow_page(self, _page: str = "") -> None:
        """Say in the foot that nothing was found only where the page does not say it."""
        if self._tell and self._told and self._status.message.text() == self._told:
            self._told = self._tell()
            self._status.show_message(self._told, tone="warning")

    def _on_prediction(self) -> None:
        """Remove the message of the run when the page says that nothing is found any more."""
        if self._told and self._status.message.text() == self._told and self._next_step.explains:
            self._told = ""
            self._status.show_message(self._told)

    def _on_threshold(self) -> None:
        """Replace the message of the run, whose counts are outdated."""
        if self._told == ui_text.THRESHOLD_MOVED or self._result.why_empty():
            return
        if self._status.message.text() == self._told:
            self._told, self._tell = ui_text.THRESHOLD_MOVED, None
            self._status.show_message(self._told, buttons=self._result_buttons())
