"""Runs in tiles: the size of objects, which the user may measure on one of them, and the costs."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray

from ...annotation.edit_mask import PAINTED
from ...labels.regions import extent_of_regions
from ...segmentation import InvalidInputError, Report, ShouldStop, objects_of_tiles
from .. import ui_text
from ..engine_requests import Request
from ..engine_session import Session
from ..layers.image_layers import ImageChoice
from ..layers.object_size import BoxLayer, size_in_shape
from ..panels.engine_panel import EnginePanel
from ..panels.tiles_panel import TilesPanel
from ..qt.theme_colours import Tone
from ..state import DockState
from ..tile_costs import CostKey, Costs, check_room
from ..worker import Work
from .base import Controller
from .requests import Requests

USUAL_SIZE = 60.0
"""The object size before one is given or measured, in pixels."""

ESTIMATE_AFTER = 600  # milliseconds after the last change


class TilesController(Controller):
    """The tiles of the engine's settings as an object size, and the estimated costs.

    Parameters
    ----------
    state : DockState
    panel : TilesPanel
    engine : EnginePanel
        Has the tiles.
    requests : Requests
    """

    def __init__(
        self, state: DockState, panel: TilesPanel, engine: EnginePanel, requests: Requests
    ) -> None:
        super().__init__(panel)
        self._state = state
        self._panel = panel
        self._engine = engine
        self._requests = requests
        self._last = USUAL_SIZE
        self._costs: Costs | None = None
        self._outdated = False  # a job may have cached tiles since the costs were estimated
        self._asked: CostKey | None = None  # what was estimated last, also without success
        self._measuring = self.jobs()
        self._box: BoxLayer | None = None
        self._box_timer = self.timer(0, self._on_box)
        self._estimating = self.newest(
            self._to_estimate,
            self.tell,
            partial(panel.show_costs, tone="error"),
            delay=ESTIMATE_AFTER,
        )
        panel.valueChanged.connect(self._on_size)
        panel.measure_toggled.connect(self._on_measure)
        panel.shown.connect(self.update)
        state.inputs_changed.connect(self.update)
        state.main_job.busy_changed.connect(self._on_busy)
        self.update()

    def close(self) -> None:
        """Stop measuring and estimating."""
        super().close()
        self._remove_box()

    # ------------------------------------------------------------------ on and off

    def turn_on(self) -> None:
        """Use tiles, for objects of the last size; does nothing if they are used already."""
        if self._panel.value() is None:
            self._panel.setValue(self._last)

    def turn_off(self) -> None:
        """Encode the image as a whole."""
        self._panel.setValue(None)

    @property
    def on(self) -> bool:
        """Whether tiles are used."""
        return self._panel.value() is not None

    def _on_size(self, size: float | None) -> None:
        if size is None:
            self._panel.measure.setChecked(False)
        else:
            self._last = size
        self._engine.set_object_size(size)

    def update(self) -> None:
        """Show the tiles of the settings, and estimate what they cost for the chosen image."""
        if not self._engine.problem():
            blocked = self._panel.blockSignals(True)
            self._panel.setValue(objects_of_tiles(self._engine.value()))
            self._panel.blockSignals(blocked)
        self._show_costs()
        if self._unknown() is not None:
            self._estimating.request()

    # ------------------------------------------------------------------ costs

    def knows(self, key: CostKey) -> bool:
        """Whether the costs of a run are on the screen."""
        return self._costs is not None and self._costs.key == key

    def tell(self, costs: Costs) -> None:
        """Show the costs of a run."""
        self._costs, self._outdated = costs, False
        self._show_costs()

    def _unknown(self) -> tuple[CostKey, Request] | None:
        """What to estimate: the next run, if its costs are not known and the panel is in sight."""
        found = self._requests.of_costs()
        if found is None or not self._panel.in_sight or not self._state.main_job.idle:
            return None
        known = self.knows(found[0]) and not self._outdated
        return None if known or found[0] == self._asked else found

    def _to_estimate(self) -> Work | None:
        found = self._unknown()
        if found is None:
            return None
        self._asked = found[0]
        return partial(_estimated, self._state.session, *found)

    def _on_busy(self, busy: bool) -> None:
        """Leave the networks to the job that the user waits for, which may cache tiles."""
        self._asked = None
        if busy:
            self._estimating.drop()
        elif self._costs is not None and self._costs.cost is not None:
            self._outdated = self._costs.cost.new_tiles > 0
            if self._outdated:
                self._estimating.request()

    def _show_costs(self) -> None:
        found, costs = self._requests.of_costs(), self._costs
        if found is None:
            self._panel.show_costs("")
        elif costs is None or costs.key != found[0]:
            self._panel.show_costs(ui_text.ESTIMATING)
        elif costs.cost is None:
            self._panel.show_costs(ui_text.ONE_TILE)
        else:
            tip = ui_text.tile_costs_tip(again=costs.cost.read_again)
            tone: Tone = "error" if costs.problem else "muted"
            self._panel.show_costs(costs.problem or costs.text, tip, tone)

    # ------------------------------------------------------------------ measuring

    def _on_measure(self, measuring: bool) -> None:
        """Take the size of what is drawn, or let the user draw a box."""
        self._remove_box()
        choice = self._state.on_screen
        if not measuring or choice is None:
            self._panel.measure.setChecked(False)
            return
        active = self._state.viewer.layers.selection.active
        annotation = self._state.annotations.behind(active)
        if isinstance(active, Shapes) and active.selected_data:
            self._take(size_in_shape(self._state.viewer, choice.layer, active))
        elif annotation is not None and annotation.image is choice.layer:
            part = annotation.place_of(annotation.part(choice))
            painted = annotation.edits.edit_mask[part] == PAINTED
            self._measuring.replace(partial(_extent, painted), self._on_extent)
        else:
            self._draw_a_box(choice)

    def _on_extent(self, size: float) -> None:
        choice = self._state.on_screen
        if size:
            self._take(size)
        elif choice is not None and self._panel.measure.isChecked():
            self._draw_a_box(choice)

    def _draw_a_box(self, choice: ImageChoice) -> None:
        self._box = BoxLayer(self._state.viewer, choice, self._box_timer.start)
        self.message.emit(ui_text.DRAW_A_BOX, False)

    def _on_box(self) -> None:
        """Take the size of the box, outside of napari's mouse event."""
        if self._box is not None:
            self._take(self._box.size())

    def _take(self, size: float) -> None:
        """Use a measured size."""
        self._panel.measure.setChecked(False)
        if size < 1:
            self.say_error(ui_text.NO_OBJECT_DRAWN)
            return
        self._panel.setValue(float(round(size)))
        self.message.emit(ui_text.measured(round(size)), False)

    def _remove_box(self) -> None:
        box, self._box = self._box, None
        if box is not None:
            box.remove()


def _estimated(
    session: Session, key: CostKey, request: Request, report: Report, should_stop: ShouldStop
) -> Costs:
    """Estimate the costs of a run; called in a thread.

    Raises
    ------
    SegmentationError
        As the engine does.
    """
    cost, problem = session.estimate(request, report, should_stop), ""
    if cost is not None:
        try:
            check_room(cost, session.tile_store, by_chunk=request.by_chunk)
        except InvalidInputError as error:
            problem = str(error)
    return Costs(key, cost, session.tiles_on_disk, request.by_chunk, problem)


def _extent(painted: NDArray[np.bool_], *_monitor: Any) -> float:
    return extent_of_regions(painted)
