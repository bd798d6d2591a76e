"""The Labels layers of a result: one layer for the chosen stage, or one for each stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from napari.layers import Labels
from napari.viewer import Viewer

from ...labels.label_class import ClassRow
from ...labels.labelled_image import LabelArray
from ..layers.image_layers import ImageChoice
from ..layers.outlines import is_large
from ..layers.prediction_layers import SINGLE, AnyLabels, Prediction, Predictions
from ..layers.quick_layers import SoonShown
from .kept_results import Kept, Shown
from .label_update import LabelUpdate

if TYPE_CHECKING:
    from ...segmentation import Stage


class ResultLayers:
    """Shows the chosen stage of a result, or all stages, in Labels layers.

    Parameters
    ----------
    viewer : Viewer
    on_frozen : callable
        Called with a `Prediction` when the user starts to edit its layer.
    soon : SoonShown
        Shows large layers.
    """

    def __init__(
        self, viewer: Viewer, on_frozen: Callable[[Prediction], None], soon: SoonShown
    ) -> None:
        self._viewer = viewer
        self._soon = soon
        self.predictions = Predictions(viewer, on_frozen)
        self.both = False
        """Whether each stage has a layer."""
        self._stage: Stage | None = None  # chosen by the user

    def _chosen(self, stages: Sequence[Stage]) -> Stage:
        """The stage to show: the chosen one, or the last."""
        wanted = self._stage
        return wanted if wanted is not None and wanted in stages else stages[-1]

    def show(
        self,
        choice: ImageChoice,
        rows: Sequence[ClassRow],
        stages: Sequence[Stage],
        labels: Mapping[Stage, AnyLabels],
        outlines: Mapping[Stage, LabelArray],
    ) -> dict[Stage, Prediction]:
        """Show labels in layers; returns the predictions by stage.

        Parameters
        ----------
        choice : ImageChoice
        rows : sequence of ClassRow
            The classes, without the background.
        stages : sequence of str
            The final one last.
        labels : mapping of str to (Y, X) array
            By stage.
        outlines : mapping of str to (Y, X) array
            Outlines of these labels; if a large plane has none, they are computed here, which takes
            seconds.
        """
        chosen = self._chosen(stages)
        both = self.both and len(stages) > 1
        predictions: dict[Stage, Prediction] = {}
        for stage in stages if both else [chosen]:
            slot = stage if both else SINGLE
            prediction = self.predictions.show(
                choice, stage, labels[stage], rows, slot, outlines.get(stage)
            )
            predictions[stage] = prediction
            if stage == chosen:
                self.reveal(prediction)
            else:
                prediction.layer.visible = False
        return predictions

    def reveal(self, prediction: Prediction) -> None:
        """Make a layer visible; a large one a moment later."""
        layer = prediction.layer
        if layer.visible:  # napari draws it again each time
            return
        if is_large(layer.data.shape):
            self._soon.show(layer)
        else:
            layer.visible = True

    def activate(self, predictions: Mapping[Stage, Prediction]) -> None:
        """Select the layer of the chosen stage."""
        chosen = predictions[self._chosen(list(predictions))]
        self._viewer.layers.selection.active = chosen.layer

    def show_again(self, kept: Kept) -> None:
        """Replace the live layers of a result, after `both` has changed."""
        shown = kept.shown
        gone = [one for one in shown.predictions.values() if one.live]
        stages = shown.outcome.scores.stages
        predictions = self.show(shown.choice, shown.rows, stages, kept.labels, kept.outlines)
        shown.predictions.clear()
        shown.predictions.update(predictions)
        for prediction in gone:
            if prediction.layer in self._viewer.layers:
                self._viewer.layers.remove(prediction.layer)
        self.activate(predictions)
        describe(kept)

    def swap(self, kept: Kept) -> Stage | None:
        """Show the other stage of a result, and return it; None if that is not possible."""
        if len(kept.labels) < 2:
            return None
        stages, predictions = kept.shown.outcome.scores.stages, kept.shown.predictions
        before = self._chosen(stages)
        self._stage = after = next(stage for stage in stages if stage != before)
        if len(predictions) > 1:
            layers = [predictions[stage].layer for stage in (before, after)]
            if not all(layer in self._viewer.layers for layer in layers):
                return None
            for layer in layers:
                layer.visible = layer is layers[-1]
            self._viewer.layers.selection.active = layers[-1]
        elif predictions[before].live:
            predictions[after] = prediction = predictions.pop(before)
            prediction.stage = after
            prediction.write(kept.labels[after], kept.outlines.get(after))
            describe(kept)
        return after

    def raise_above(self, shown: Shown, labels: Labels) -> None:
        """Move the outlines of a result above the labels of an annotation."""
        for prediction in shown.predictions.values():
            self.predictions.raise_above(prediction, labels)


def write_elsewhere(update: LabelUpdate) -> None:
    """Show the labels of a plane that is not on the screen."""
    kept = update.kept
    kept.thresholds = update.thresholds
    kept.followed = update.thresholds, update.user_hints
    kept.labels.update(update.labels)
    kept.outlines.update(update.outlines)
    kept.counts = update.counts
    for stage, prediction in kept.shown.predictions.items():
        if stage in update.labels:
            outlines = update.outlines.get(stage)
            prediction.write_plane(kept.shown.choice, update.labels[stage], outlines)
    kept.shown.release()


def recolour(shown: Shown, rows: Sequence[ClassRow]) -> None:
    """Show the classes of a result in the colours of these rows."""
    by_name = {row.name: row for row in rows}
    coloured = [by_name.get(row.name, row) for row in shown.rows]
    for prediction in shown.predictions.values():
        prediction.colour(coloured)


def describe(kept: Kept) -> None:
    """Update the features and the provenance of the live layers of a result to their labels."""
    shown = kept.shown
    thresholds, _ = kept.followed
    record = {**shown.outcome.scores.record, "thresholds": thresholds.as_dict}
    for stage, prediction in shown.predictions.items():
        if prediction.live:
            scores = shown.outcome.scores.stage(stage).class_scores.tolist()
            counts = kept.counts.get(stage)
            prediction.describe(prediction.labels, shown.rows, scores, record, counts)
