"""The current result: layers that follow thresholds and hints until the user edits them.

A result belongs to an image, a plane and a region. Thresholds, hints and Accept act on the result
of the plane that the viewer shows; where there is none, `LiveResult.why_not` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer
from napari.viewer import Viewer
from qtpy.QtCore import Signal

from ...annotation.class_change import ClassChange, change_thresholds
from ...annotation.project.prediction_store import StoredPrediction
from ...labels.label_class import ClassRow
from ...segmentation import InvalidInputError, SegmentationConfig, Shortfall, Thresholds
from .. import ui_text
from ..engine_requests import Outcome
from ..layers.image_group import members_of
from ..layers.image_layers import ImageChoice
from ..layers.layer_selection import selection_kept
from ..layers.prediction_layers import Prediction
from ..layers.quick_layers import SoonShown
from ..panels.image_panel import ImagePanel
from ..panels.threshold_panel import ThresholdPanel
from ..qt.listeners import Listeners
from ..worker import Work
from .base import Controller
from .kept_results import Kept, KeptResults, Shown, StoredElsewhere, StoredOnScreen
from .label_update import LabelUpdate, ReadHints, update_labels
from .result_layers import ResultLayers, describe, recolour
from .result_on_screen import result_on_screen

if TYPE_CHECKING:
    from ...segmentation import Stage

CLASSES_NAMED = 4


class LiveResult(Controller):
    """Shows results in Labels layers, which follow the thresholds and the user's hints.

    One job computes the labels of all stages from the newest thresholds and hints.

    Parameters
    ----------
    viewer : Viewer
    images : ImagePanel
        Gives the chosen image.
    thresholds : ThresholdPanel
        Gives the thresholds, and shows the range of each result.
    """

    appeared = Signal()
    """Another result, or none, is shown."""
    added = Signal()
    """A plane has a new result, which may not be on the screen."""
    relabelled = Signal()
    """The visible labels, or the reason why there are none, have changed."""
    followed = Signal()
    """The labels are up to date with the newest thresholds and hints."""
    stage_chosen = Signal(str)
    """Another stage is shown."""
    hinted = Signal(object, object, object, object)
    """Only a hint, or its undo, has changed the visible labels; carries the `Prediction`, its
    labels before and after, and the `ChangedLabels`."""
    thresholds_chosen = Signal()
    """The user has moved a threshold."""
    thresholds_followed = Signal()
    """The labels have changed with the thresholds."""
    hints_read = Signal(object)
    """The hints that the labels follow; None if hints are not used."""

    def __init__(
        self,
        viewer: Viewer,
        images: ImagePanel,
        thresholds: ThresholdPanel,
    ) -> None:
        super().__init__(thresholds)
        self._viewer = viewer
        self._images = images
        self._thresholds = thresholds
        self._layers = ResultLayers(viewer, self._on_frozen, self.own(SoonShown(self, viewer)))
        self.kept = KeptResults()
        self._current: Kept | None = None
        self.why_not = ui_text.NO_PREDICTION
        """Why there is no result for the current plane; empty if there is one."""
        self._last: tuple[SegmentationConfig, Thresholds] | None = None
        self.read_hints: Callable[[Shown], ReadHints | None] = lambda _shown: None
        """Returns a function that reads the hints on a result in the thread."""
        self._update = self.newest(self._snapshot, self._on_updated)
        self._update.became_idle.connect(self._on_idle)
        self._stored: StoredOnScreen | None = None  # the prediction that was shown from a file last
        self._waiting: StoredElsewhere | None = None  # is shown when its plane is on the screen
        self._changed = False  # the labels are newer than features and provenance
        thresholds.valueChanged.connect(self._on_chosen)
        images.valueChanged.connect(self.look)
        self._listeners = Listeners()
        for emitter in (
            *(getattr(viewer.dims.events, name) for name in ("current_step", "ndisplay", "order")),
            viewer.layers.selection.events.active,
        ):
            self._listeners.connect("viewer", emitter, self.look)
        self._listeners.connect("viewer", viewer.layers.events.removed, self._on_removed)

    @property
    def shown(self) -> Shown | None:
        """The result of the current plane, or None."""
        return None if self._current is None else self._current.shown

    @property
    def current(self) -> Kept | None:
        """The result of the current plane, with its thresholds and hints."""
        return self._current

    @property
    def live(self) -> bool:
        """Whether a layer of the result is still live."""
        return self.shown is not None and self.shown.live

    def nearest_plane(self, choice: ImageChoice) -> ImageChoice | None:
        """Return the nearest plane of an image that has a result or a saved prediction, or None."""
        waiting = [] if self._waiting is None else [self._waiting.choice]
        known = [*(one.shown.choice for one in self.kept), *waiting]
        there = [one for one in known if one.layer is choice.layer and one.is_current]

        def distance(other: ImageChoice) -> int:
            return sum(abs(a - b) for a, b in zip(other.plane, choice.plane, strict=True))

        return min(there, key=distance, default=None)

    def seen(self) -> Prediction | None:
        """Return the prediction of the active layer, or the topmost visible one."""
        if self.shown is None:
            stored = self._stored_on_screen()
            return None if stored is None else stored.prediction
        there = [one for one in self.shown.predictions.values() if one.layer in self._viewer.layers]
        active = self._viewer.layers.selection.active
        order = sorted(there, key=lambda one: (one.layer is active, one.layer.visible))
        return order[-1] if order else None

    @property
    def seen_rows(self) -> tuple[ClassRow, ...]:
        """Return the classes of the prediction of `seen`, without the background."""
        stored = self._stored_on_screen() if self.shown is None else None
        return stored.rows if stored is not None else () if self.shown is None else self.shown.rows

    @property
    def stored_on_screen(self) -> bool:
        """Whether the visible prediction was read from a file."""
        return self._current is None and self._stored_on_screen() is not None

    @property
    def why_not_seen(self) -> str:
        """Return why there is no prediction; empty if there is one, also from a file."""
        return "" if self._stored_on_screen() is not None else self.why_not

    def why_empty(self) -> str:
        """Return why the current prediction has no pixel of any class; empty if it has one."""
        seen, kept = self.seen(), self._current
        if seen is None:
            return ""
        if kept is None:
            return "" if seen.labels.any() else ui_text.NOTHING_IN_STORED
        if not kept.is_empty(seen):
            return ""
        hinted = kept.followed[1] is not None
        return ui_text.nothing_found(
            self.shortfalls(), complete=seen.complete, hinted=hinted, most=CLASSES_NAMED
        )

    def shortfalls(self) -> tuple[Shortfall, ...]:
        """Return the classes of the current prediction that are below a threshold, best first."""
        seen, kept = self.seen(), self._current
        if seen is None or kept is None:
            return ()
        return kept.shown.outcome.live[seen.stage].shortfalls(kept.followed[0])

    def thresholds_for(self, config: SegmentationConfig) -> Thresholds | None:
        """Return the thresholds for the next result of a configuration; None for its defaults."""
        last = self._last
        return last[1] if last is not None and last[0] == config else None

    def start_with(self, config: SegmentationConfig, thresholds: Thresholds) -> None:
        """Drop all results, and use these thresholds for the first result of a configuration."""
        self.kept.forget()
        self._waiting = None
        self._last = config, thresholds
        self.look()

    def remove_of(self, image: Layer) -> None:
        """Remove the predictions of an image and its channels, except those that are edited."""
        members = set(members_of(image))
        seen = {one.shown.choice.layer for one in self.kept}
        for gone in {image, *(one for one in seen if members & set(members_of(one)))}:
            for prediction in self._layers.predictions.live_of(gone):
                self._viewer.layers.remove(prediction.layer)
            self.kept.forget(gone)
            if self._waiting is not None and self._waiting.choice.layer is gone:
                self._waiting = None
        self.look()

    def close(self) -> None:
        """Disconnect all events; the layers stay."""
        super().close()
        self._listeners.clear()
        self._images.valueChanged.disconnect(self.look)
        self._layers.predictions.close()

    # ------------------------------------------------------------------ showing

    def show(
        self,
        choice: ImageChoice,
        rows: tuple[ClassRow, ...],
        config: SegmentationConfig,
        outcome: Outcome,
    ) -> None:
        """Show a result in layers, and set the ranges of the sliders."""
        on_screen = self._is_on_screen(choice)
        values = (self.thresholds_for(config) if on_screen else None) or outcome.thresholds
        first = outcome.thresholds  # others are followed in a thread
        labels, outlines = dict(outcome.labels), dict(outcome.outlines)
        predictions = self._layers.show(choice, rows, outcome.scores.stages, labels, outlines)
        self._leave()
        self._stored = None
        shown = Shown(choice, rows, config, outcome, predictions)
        kept = Kept(shown, values, (first, outcome.hints), labels, outlines, outcome.counts)
        self.kept.add(kept)
        self._layers.activate(predictions)
        self.look()
        if self._current is not kept:  # the viewer shows another plane now
            describe(kept)
            kept.shown.release()

    def add(
        self,
        choice: ImageChoice,
        rows: tuple[ClassRow, ...],
        config: SegmentationConfig,
        outcome: Outcome,
    ) -> None:
        """Show a result of any plane; the active layer and the thresholds of others stay."""
        current = self._current
        with selection_kept(self._viewer.layers):
            if self._is_on_screen(choice):
                self.show(choice, rows, config, outcome)
            else:
                labels, outlines = dict(outcome.labels), dict(outcome.outlines)
                stages = outcome.scores.stages
                predictions = self._layers.show(choice, rows, stages, labels, outlines)
                shown = Shown(choice, rows, config, outcome, predictions)
                followed = outcome.thresholds, outcome.hints
                if current is not None:
                    self.kept.use(current)
                    for prediction in current.shown.predictions.values():
                        prediction.go_to(current.shown.choice)
                self.kept.add(
                    Kept(shown, outcome.thresholds, followed, labels, outlines, outcome.counts)
                )
                shown.release()
                self.look()
        self.added.emit()

    def show_both(self, wanted: bool) -> None:
        """Show the coarse and the refined map in separate layers, or only the chosen one."""
        if wanted == self._layers.both:
            return
        self._layers.both = wanted
        kept = self._current
        if kept is None or not kept.shown.live:
            return
        self._layers.show_again(kept)
        self.relabelled.emit()

    def show_stored(
        self, choice: ImageChoice, rows: tuple[ClassRow, ...], found: StoredPrediction
    ) -> None:
        """Show a prediction from a file when its plane is on the screen, unless that has a result.

        It can be accepted; thresholds and hints need a run.
        """
        self._waiting = StoredElsewhere(choice, rows, found)
        self.look()
        self.relabelled.emit()

    def _bring(self, waiting: StoredElsewhere) -> None:
        """Show a saved prediction, whose plane is on the screen."""
        choice, rows, found = waiting.choice, waiting.rows, waiting.found
        stage: Stage = "coarse" if found.stage == "coarse" else "refined"
        with selection_kept(self._viewer.layers):
            prediction = self._layers.predictions.show(choice, stage, found.labels, rows)
        prediction.describe(found.labels, rows, found.scores, found.record)
        self._layers.reveal(prediction)
        self._stored = StoredOnScreen(choice, rows, prediction)

    def _stored_on_screen(self) -> StoredOnScreen | None:
        """The saved prediction of the current plane."""
        stored = self._stored
        if stored is None or not stored.choice.is_current:
            return None
        there = stored.prediction.layer in self._viewer.layers
        return stored if there and self._is_on_screen(stored.choice) else None

    # ------------------------------------------------------------------ what is on the screen

    def look(self, _event: Any = None) -> None:
        """Bring the result, thresholds and layers in line with what the viewer shows."""
        found, why_not = self._find()
        waiting = self._waiting
        if waiting is not None and self._is_on_screen(waiting.choice):
            self._waiting = None
            if found is None and waiting.choice.is_current:
                self._bring(waiting)
                found, why_not = self._find()
        if found is self._current and why_not == self.why_not:
            return
        changed = found is not self._current
        if changed:
            self._leave()
        self._current, self.why_not = found, why_not
        if found is None:
            self._thresholds.set_available(available=False, why_not=why_not)
        elif changed:
            self._enter(found)
        if changed:
            self.appeared.emit()
        self.relabelled.emit()

    def _find(self) -> tuple[Kept | None, str]:
        """Find the result of the current plane, or why there is none."""
        waiting = None if self._waiting is None else self._waiting.choice
        stored = self._stored_on_screen() is not None
        return result_on_screen(self._viewer, self._images, self.kept, waiting, stored=stored)

    def _on_removed(self, event: Any) -> None:
        if isinstance(event.value, Image):
            self.kept.forget(event.value)
        self.look()

    def _leave(self) -> None:
        """Free the memory that only the current result needs."""
        kept, self._current = self._current, None
        if kept is None:
            return
        self._update.drop()
        self._changed = False
        self._thresholds.set_working(working=False)
        kept.shown.release()
        for prediction in kept.shown.predictions.values():
            prediction.forget_counts()

    def _enter(self, kept: Kept) -> None:
        shown = kept.shown
        self.kept.use(kept)
        self._last = shown.config, kept.thresholds
        self._thresholds.set_result(shown.outcome.scores, kept.thresholds)
        for prediction in shown.predictions.values():
            prediction.go_to(shown.choice)
        describe(kept)
        if not self.live:
            self._thresholds.set_available(available=False, why_not=ui_text.LAYERS_EDITED)
        self.follow()

    def _is_on_screen(self, choice: ImageChoice) -> bool:
        try:
            seen = self._images.on_screen()
        except InvalidInputError:
            return False
        return seen.layer is choice.layer and seen.plane == choice.plane

    # ------------------------------------------------------------------ hints and colours

    def make_room(self, labels: Labels) -> None:
        """Move the outlines above the labels of a new annotation."""
        if self.shown is not None:
            self._layers.raise_above(self.shown, labels)

    def reveal(self, labels: Labels | None) -> None:
        """Make the prediction visible, so that the user sees what a hint has changed.

        Parameters
        ----------
        labels : Labels or None
            The annotation, above which it is moved.
        """
        seen = self.seen()
        if seen is not None:
            self._layers.reveal(seen)
        if labels is not None:
            self.make_room(labels)

    def recolour(self, rows: Sequence[ClassRow]) -> None:
        """Show the classes in the colours of these rows."""
        if self.shown is not None:
            recolour(self.shown, rows)

    def change_class(self, change: ClassChange) -> None:
        """Rename a class in all results; a merged class is then accepted as the other.

        A deleted class stays in a result until its image is run again.
        """
        if change.new is None:
            return
        for kept in self.kept:
            kept.change_class(change)
        if self._stored is not None:
            self._stored = self._stored.with_class(change, change.new)
        if self._waiting is not None:
            self._waiting = self._waiting.with_class(change, change.new)
        if self._last is not None:
            self._last = self._last[0], change_thresholds(self._last[1], change)
        if self._current is not None and not change.merge:
            shown = self._current.shown
            self._thresholds.set_result(shown.outcome.scores, self._current.thresholds)
            describe(self._current)
            self.relabelled.emit()

    def swap_stages(self) -> None:
        """Switch between the coarse and the refined map."""
        kept = self._current
        stage = None if kept is None else self._layers.swap(kept)
        if stage is not None:
            self.stage_chosen.emit(stage)
            self.relabelled.emit()

    # ------------------------------------------------------------------ following

    def follow(self) -> None:
        """Request an update of the labels to the newest thresholds and hints."""
        if self._current is not None:
            self._update.request()

    def _on_chosen(self, values: Thresholds) -> None:
        """The user has moved a threshold."""
        if self._current is not None:
            self._current.thresholds = values
            self._last = self._current.shown.config, values
            self.follow()
            self.thresholds_chosen.emit()

    def _on_frozen(self, prediction: Prediction) -> None:
        """The user has started to edit a prediction, which is then no longer live."""
        self.message.emit(ui_text.layer_edited(prediction.layer.name), False)
        if not self.live:
            self._thresholds.set_available(available=False, why_not=ui_text.LAYERS_EDITED)

    def _snapshot(self) -> Work | None:
        """The work that updates the labels; None if they are up to date."""
        kept = self._current
        if kept is None or not kept.shown.choice.is_current:
            return None
        values, (shown_values, _) = kept.thresholds, kept.followed
        slow = not all(live.ready(values) for live in kept.shown.outcome.live.values())
        self._thresholds.set_working(working=slow and values != shown_values)
        return partial(update_labels, kept, values, self.read_hints(kept.shown))

    def _on_updated(self, update: LabelUpdate) -> None:
        """Show the labels, unless another result is current by now."""
        kept = update.kept
        if kept is not self._current:
            return
        thresholds_before, _ = kept.followed
        kept.followed = update.thresholds, update.user_hints
        seen = self.seen()
        before = None if seen is None else kept.labels.get(seen.stage)
        kept.labels.update(update.labels)
        kept.outlines.update(update.outlines)
        kept.counts = update.counts if update.labels else kept.counts
        for stage, prediction in kept.shown.predictions.items():
            if stage in update.labels:
                prediction.write(update.labels[stage], update.outlines.get(stage))
        self.hints_read.emit(update.hints)
        if not update.labels:
            return
        self._changed = True
        if update.thresholds != thresholds_before:
            self.thresholds_followed.emit()
        elif seen is not None and seen.live and seen.stage in update.changed:
            stage = seen.stage
            self.hinted.emit(seen, before, update.labels[stage], update.changed[stage])
        self.relabelled.emit()

    def _on_idle(self) -> None:
        """Update features and provenance after the last change of labels."""
        self._thresholds.set_working(working=False)
        if self._changed and self._current is not None:
            self._changed = False
            describe(self._current)
            self.followed.emit()
