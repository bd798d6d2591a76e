"""Show scores, thresholds, score maps and details of the result on the screen in the panels."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtWidgets import QLabel

from .. import shortcuts, ui_text
from ..layers.score_map_layers import ScoreMapLayers
from ..panels.classes_panel import ClassesPanel
from ..panels.threshold_panel import ThresholdPanel
from ..state import DockState
from .base import Controller


class ResultDisplay(Controller):
    """Keeps the panels up to date with the result of the current plane.

    Parameters
    ----------
    state : DockState
    classes : ClassesPanel
    thresholds : ThresholdPanel
    details : QLabel
        Shows layers, times and device of the result.
    """

    def __init__(
        self,
        state: DockState,
        classes: ClassesPanel,
        thresholds: ThresholdPanel,
        details: QLabel,
    ) -> None:
        super().__init__(thresholds)
        self._state = state
        self._result = result = state.result
        self._classes = classes
        self._thresholds = thresholds
        self._details = details
        self.score_maps = ScoreMapLayers(state.viewer)
        result.appeared.connect(self._on_appeared)
        result.stage_chosen.connect(self._on_stage)
        thresholds.valueChanged.connect(self._show_threshold)
        thresholds.both_stages_toggled.connect(result.show_both)
        thresholds.score_maps_toggled.connect(self._on_score_maps)
        classes.appearance_changed.connect(self._recolour)
        state.class_selected.connect(self._on_selected)
        state.leaving.connect(self._on_leaving)
        self.keys = {shortcuts.SWAP_STAGES: result.swap_stages}
        self.show_details()

    def _on_appeared(self) -> None:
        shown = self._result.shown
        if shown is None:
            self._classes.set_scores(None)
        else:
            values = shown.outcome.scores.stage().class_scores
            self._classes.set_scores(
                {row.name: float(value) for row, value in zip(shown.rows, values, strict=True)}
            )
            self._recolour()
            if self._thresholds.score_maps.isChecked():
                self._on_score_maps(True)
            self._show_threshold()
        self.show_details()

    def _show_threshold(self, _values: object = None) -> None:
        """Show the class threshold in the score bars of the table."""
        slider = self._thresholds.class_slider
        self._classes.set_threshold(slider.value(), slider.maximum())

    def _recolour(self) -> None:
        self._result.recolour(self._state.rows)

    def _on_selected(self, label: int) -> None:
        """Offer the per-class threshold of the selected class."""
        if 0 < label <= len(self._state.labelled_rows):
            self._thresholds.choose_class(self._state.labelled_rows[label - 1].name)

    def _on_leaving(self, image: Image) -> None:
        self.score_maps.clear()
        self._result.remove_of(image)

    def _on_stage(self, stage: str) -> None:
        self.message.emit(ui_text.stage_shown(stage), False)

    def _on_score_maps(self, wanted: bool) -> None:
        """Add or remove the score maps of the result as image layers."""
        self.score_maps.clear()
        shown = self._result.shown
        if wanted and shown is not None:
            final = shown.outcome.scores.stage()
            self.score_maps.show(shown.choice, shown.rows, final.maps, final.class_scores)

    def show_details(self) -> None:
        """Show layers, times and device of the result."""
        lines, shown = [], self._result.shown
        if shown is not None:
            record = shown.outcome.scores.record
            lines = ui_text.result_details(
                layers=[one.layer.name for one in shown.predictions.values()],
                seconds=record["seconds"],
                device=record["device"],
                precision=record["precision"],
            )
        self._details.setText("\n".join(lines) or ui_text.NO_RESULTS)
