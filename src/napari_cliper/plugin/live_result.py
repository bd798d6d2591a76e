"""The result on the screen: layers that follow the thresholds until a person edits them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Layer
from napari.viewer import Viewer
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from ..export.class_rows import ClassRow
from ..segmentation import LiveLabels, Progress, SegmentationConfig, Thresholds
from .layers import ImageChoice, place
from .session import Outcome
from .suggestions import Suggestion, Suggestions, label_colours
from .threshold_panel import ThresholdPanel
from .timers import once
from .worker import Job

if TYPE_CHECKING:
    from ..segmentation import ImageAffinity, Stage

RELABEL_AFTER = 10  # milliseconds: moves of a slider within it are one
HIDDEN_AFTER = 200  # milliseconds: layers nobody sees follow when the slider rests


@dataclass(frozen=True, eq=False)
class Shown:
    """A result and what it was made from.

    Parameters
    ----------
    choice : ImageChoice
    rows : tuple of ClassRow
        The classes, without the background.
    config : SegmentationConfig
    outcome : Outcome
    suggestions : mapping of str to Suggestion
        By stage.
    """

    choice: ImageChoice
    rows: tuple[ClassRow, ...]
    config: SegmentationConfig
    outcome: Outcome
    suggestions: Mapping[Stage, Suggestion]


class LiveResult(QObject):
    """Shows results in Labels layers and keeps these up with the thresholds.

    Parameters
    ----------
    viewer : Viewer
    thresholds : ThresholdPanel
        Where the thresholds are moved; told of each result's range.
    on_frozen : callable
        Called with the suggestion that a person has begun to edit.
    keys : mapping of str to callable
        What keys do while one of the layers is active.
    """

    failed = Signal(str)
    """Labels could not be made; carries why."""
    appeared = Signal()
    """Another result is shown."""
    followed = Signal()
    """The labels, the hidden ones too, have followed thresholds or evidence."""

    def __init__(
        self,
        viewer: Viewer,
        thresholds: ThresholdPanel,
        on_frozen: Callable[[Suggestion], None],
        keys: Mapping[str, Callable[[], None]],
    ) -> None:
        super().__init__(thresholds)
        self._viewer = viewer
        self._thresholds = thresholds
        self._suggestions = Suggestions(viewer, on_frozen, keys)
        self.shown: Shown | None = None
        self._start: tuple[SegmentationConfig, Thresholds] | None = None
        self.job: Job | None = None
        self._visible_timer = once(self, RELABEL_AFTER, partial(self._relabel, visible=True))
        self._hidden_timer = once(self, HIDDEN_AFTER, self._on_rest)
        thresholds.changed.connect(self._on_moved)

    @property
    def live(self) -> bool:
        """Whether a layer of the result still follows."""
        return self.shown is not None and any(s.live for s in self.shown.suggestions.values())

    def seen(self) -> Suggestion | None:
        """The suggestion that a person looks at: the active layer's, or the topmost visible."""
        if self.shown is None:
            return None
        there = [one for one in self.shown.suggestions.values() if one.layer in self._viewer.layers]
        active = self._viewer.layers.selection.active
        order = sorted(there, key=lambda one: (one.layer is active, one.layer.visible))
        return order[-1] if order else None

    def thresholds_for(self, config: SegmentationConfig) -> Thresholds | None:
        """The thresholds that the next result of a configuration keeps; None for its defaults."""
        if self.shown is None:
            return self._start[1] if self._start and self._start[0] == config else None
        return self._thresholds.values() if self.shown.config == config else None

    def start_with(self, config: SegmentationConfig, thresholds: Thresholds) -> None:
        """Begin the first result of a configuration with these thresholds."""
        self.shown = None
        self._start = config, thresholds

    def remove_of(self, image: Layer) -> None:
        """Take the suggestions of an image away, but for those that a person has edited."""
        for suggestion in self._suggestions.live_of(image):
            self._viewer.layers.remove(suggestion.layer)

    def close(self) -> None:
        """Follow nothing any more; the layers stay."""
        self._visible_timer.stop()
        self._hidden_timer.stop()
        if self.job is not None:
            self.job.stop()
        self._suggestions.close()

    # ------------------------------------------------------------------ showing

    def show(
        self,
        choice: ImageChoice,
        rows: tuple[ClassRow, ...],
        config: SegmentationConfig,
        outcome: Outcome,
    ) -> None:
        """Put a result into layers, and the range of its scores to the sliders."""
        scores = outcome.scores
        kept = self.thresholds_for(config)
        values = outcome.thresholds if kept is None else kept
        self._thresholds.set_result(scores, values)
        ready = all(live.ready(values) for live in outcome.live.values())
        suggestions = {}
        for stage, live in outcome.live.items():
            labels = live.labels(values if ready else outcome.thresholds)
            suggestion = self._suggestions.show(choice, stage, labels, rows)
            record = _record(outcome, values)
            suggestion.describe(labels, rows, scores.stage(stage).class_scores.tolist(), record)
            suggestions[stage] = suggestion
            self._suggestions.lower(suggestion)
        if "refined" in suggestions:
            suggestions["coarse"].layer.visible = False
        suggestions[scores.stages[-1]].layer.visible = True
        self.shown = Shown(choice, rows, config, outcome, suggestions)
        self._viewer.layers.selection.active = suggestions[scores.stages[-1]].layer
        if not ready:  # the sliders were moved during the run
            self._on_moved()
        self.appeared.emit()

    def teach(self, affinity: ImageAffinity | None, said: NDArray[np.int32] | None) -> None:
        """Let evidence correct the result's labels from now on.

        Parameters
        ----------
        affinity, said
            As for `LiveLabels.teach`; None for the words alone.
        """
        if self.shown is not None:
            for live in self.shown.outcome.live.values():
                live.teach(affinity, said)
            self._relabel(visible=True)
            self._hidden_timer.start()

    @property
    def raised(self) -> bool:
        """Whether the prediction lies above the labels, as outlines."""
        seen = self.seen()
        return seen is not None and seen.layer.visible and seen.above is not None

    def reveal(self, labels: Labels | None) -> None:
        """Show the prediction again, so that a person sees what a hint has changed.

        Parameters
        ----------
        labels : Labels or None
            What was accepted, which lies over the prediction: this is then drawn above it, as
            outlines. None where there is no such layer.
        """
        seen = self.seen()
        if seen is None or self.shown is None:
            return
        if not seen.layer.visible:
            seen.layer.visible = True
        if labels is not None and labels in self._viewer.layers:
            for suggestion in self.shown.suggestions.values():
                self._suggestions.raise_above(suggestion, labels)

    def recolour(self, rows: Sequence[ClassRow]) -> None:
        """Show the classes in the colours of these rows."""
        if self.shown is None:
            return
        by_name = {row.name: row for row in rows}
        colours = label_colours([by_name.get(row.name, row) for row in self.shown.rows])
        for suggestion in self.shown.suggestions.values():
            suggestion.layer.colormap = colours

    def swap_stages(self) -> None:
        """Show the coarse layer in the place of the refined one, and back."""
        if self.shown is None or len(self.shown.suggestions) < 2:
            return
        coarse, refined = (self.shown.suggestions[stage].layer for stage in ("coarse", "refined"))
        if coarse not in self._viewer.layers or refined not in self._viewer.layers:
            return
        coarse.visible, refined.visible = refined.visible, not refined.visible
        self._relabel(visible=False)
        self._relabel(visible=True)
        self._viewer.layers.selection.active = refined if refined.visible else coarse

    # ------------------------------------------------------------------ following

    def _on_moved(self, _values: object = None) -> None:
        self._visible_timer.start()
        self._hidden_timer.start()

    def _on_rest(self) -> None:
        """The sliders rest: hidden layers, tables and records follow."""
        self._relabel(visible=False)
        self._describe()
        self.followed.emit()

    def _relabel(self, *, visible: bool) -> None:
        """Write labels of the present thresholds into the live layers that are (not) seen."""
        if self.shown is None:
            return
        values = self._thresholds.values()
        for stage, suggestion in self.shown.suggestions.items():
            if suggestion.live and suggestion.layer.visible == visible:
                live = self.shown.outcome.live[stage]
                if live.ready(values):
                    suggestion.write(live.labels(values))
                else:
                    self._prepare(live, values)

    def _prepare(self, live: LiveLabels, values: Thresholds) -> None:
        """Compute in a thread what takes too long for the window."""
        if self.job is not None:
            return  # the one that runs looks again when it ends
        self.job = Job(partial(_prepare, live, values))
        self.job.failed.connect(self.failed)
        self.job.succeeded.connect(self._on_moved)
        self.job.finished.connect(self._on_prepared)
        self._thresholds.set_working(working=True)
        self.job.start()

    def _on_prepared(self) -> None:
        self.job = None
        self._thresholds.set_working(working=False)

    def _describe(self) -> None:
        """Bring tables and records up to what the layers show."""
        if self.shown is None:
            return
        record = _record(self.shown.outcome, self._thresholds.values())
        for stage, suggestion in self.shown.suggestions.items():
            if suggestion.live:
                scores = self.shown.outcome.scores.stage(stage).class_scores.tolist()
                labels = suggestion.layer.data[place(suggestion.choice)]
                suggestion.describe(labels, self.shown.rows, scores, record)


def _prepare(
    live: LiveLabels,
    values: Thresholds,
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
) -> None:
    live.prepare(values)


def _record(outcome: Outcome, values: Thresholds) -> dict[str, Any]:
    """The record that goes with a layer: the engine's, and the thresholds."""
    return {**outcome.scores.record, "thresholds": values.as_dict}
