"""Results as Labels layers that are live until the user edits them.

A live prediction follows thresholds and hints: its labels are written into the array of the
layer, which adds no layer and no undo step. The first edit by the user freezes it; the next result
then becomes a new layer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Labels
from napari.viewer import Viewer
from numpy.typing import NDArray

from ...labels.label_class import ClassRow
from ...labels.regions import label_counts
from ...segmentation import LabelsByChunk, Window
from .. import ui_text
from .image_layers import (
    OUTPUT_KEY,
    ImageChoice,
    labels_shape,
    place,
    transforms,
)
from .label_colours import label_colours
from .labels_pyramid import LabelsPyramid
from .outlines import is_large, outlines_of
from .quick_layers import drawn_when_used
from .temporary_layers import take_away

if TYPE_CHECKING:
    from ...segmentation import Stage

warnings.filterwarnings("ignore", "Contours are not displayed during 3D rendering")
"""In 3-D, napari fills the labels instead, which is fine here."""

OUTLINE = 2  # pixels of the image

AnyLabels = NDArray[Any] | LabelsByChunk
"""Labels of a plane, which may be computed chunk by chunk."""

SINGLE = "prediction"
"""The slot of the single layer that shows the chosen stage."""


@dataclass(eq=False)
class Prediction:
    """One Labels layer of one stage of one image.

    Parameters
    ----------
    layer : Labels
    choice : ImageChoice
        The image, plane and region of the last result in it.
    stage : str
        The stage that it shows: ``"coarse"`` or ``"refined"``.
    slot : str
        `SINGLE`, or the stage where both stages have a layer.
    live : bool
        Whether the user has not edited it.
    """

    layer: Labels
    choice: ImageChoice
    stage: Stage
    slot: str
    live: bool = True
    _written: NDArray[Any] | None = field(default=None, init=False, repr=False)
    _whole: NDArray[Any] | None = field(default=None, init=False, repr=False)
    _coloured: tuple[ClassRow, ...] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Store the labels separately if the layer contains outlines only."""
        data = self.layer.data
        if is_large(data.shape):
            self._whole = np.zeros(data.shape, data.dtype) if self.choice.plane else data

    @property
    def touched(self) -> bool:
        """Whether a stroke is being drawn; napari emits its event only at the end."""
        if self._whole is not None or self._written is None:
            return False
        return not np.array_equal(self.labels, self._written)

    @property
    def labels(self) -> NDArray[Any]:
        """The labels of the choice, a (Y, X) view."""
        return self.labels_of(self.choice)

    @property
    def complete(self) -> bool:
        """Whether all labels are computed."""
        return True

    def snapshot(self) -> NDArray[Any]:
        """Return the labels of the choice as an array that never changes."""
        if self._whole is not None and self.live and self._written is not None:
            return self._written
        return self.labels.copy()

    def labels_of(self, choice: ImageChoice) -> NDArray[Any]:
        """Return the labels of a plane, a (Y, X) view."""
        every = self.layer.data if self._whole is None else self._whole
        labels: NDArray[Any] = np.asarray(every[place(choice)])
        return labels

    def part(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the labels in some rows and columns of the choice, without computing any."""
        return self.labels[rows, columns]

    def write_plane(
        self, choice: ImageChoice, labels: Any, outlines: NDArray[Any] | None = None
    ) -> None:
        """Write the labels of another plane than that of the choice; otherwise as `write`."""
        if not self.live:
            return
        shown = labels
        if self._whole is not None:
            self._whole[place(choice)] = labels
            shown = outlines_of(labels) if outlines is None else outlines
        self.layer.data[place(choice)] = shown

    def labels_in(self, tile: ImageChoice) -> NDArray[Any] | None:
        """Return the labels of a tile, 0 outside of the choice; None for another image or plane.

        Parameters
        ----------
        tile : ImageChoice
            Its region is the tile.
        """
        if self.choice.layer is not tile.layer or self.choice.plane != tile.plane:
            return None
        found = np.zeros(tile.shape, self.labels.dtype)
        ours, theirs = [], []
        for into, given in zip(_parts(tile), _parts(self.choice), strict=True):
            start, stop = max(into.start, given.start), min(into.stop, given.stop)
            if start >= stop:
                return None
            ours.append(slice(start - into.start, stop - into.start))
            theirs.append(slice(start - given.start, stop - given.start))
        found[tuple(ours)] = self.part(*theirs)
        return found

    def fits(self, choice: ImageChoice, slot: str) -> bool:
        """Whether a result of this choice may be written into the layer."""
        return (
            self.live
            and not self.touched
            and self.slot == slot
            and self.choice.layer is choice.layer
            and self.choice.region == choice.region
            and self.layer.data.shape == labels_shape(choice)
        )

    def go_to(self, choice: ImageChoice) -> None:
        """Switch to another choice of the same image."""
        if choice.key != self.choice.key:
            self.choice = choice
            self._written = np.array(self.labels)
        self.choice = choice

    def write(self, labels: Any, outlines: NDArray[Any] | None = None) -> None:
        """Show labels; does nothing once the user has edited the layer.

        Parameters
        ----------
        labels : (Y, X) array of int
        outlines : (Y, X) array of int, optional
            Their outlines, for large planes; computed here, which takes seconds, if not given. See
            `outlines_of`.
        """
        if not self.live or self.touched:
            return
        self._written = labels
        if self._whole is None:
            self.layer.data[place(self.choice)] = labels
            self.layer.refresh()
            return
        shown = outlines_of(labels) if outlines is None else outlines
        if self.choice.plane:
            self._whole[place(self.choice)] = labels
            self.layer.data[place(self.choice)] = shown
            self.layer.refresh()
            return
        # Nobody edits these, so that they need not be copied. For `data`, napari compiles shaders.
        self._whole = labels
        self.layer._data = self.layer._data_raw = shown  # noqa: SLF001
        self.layer.refresh()

    def colour(self, rows: Sequence[ClassRow]) -> None:
        """Show the classes in the colours of these rows."""
        if self._coloured != tuple(rows):  # napari draws the layer again for the same colours too
            self._coloured = tuple(rows)
            self.layer.colormap = label_colours(rows)

    def describe(
        self,
        labels: AnyLabels,
        rows: Sequence[ClassRow],
        scores: Sequence[float],
        record: Mapping[str, Any],
        counts: NDArray[Any] | None = None,
    ) -> None:
        """Set the provenance, and the features by which napari names the class under the cursor.

        Parameters
        ----------
        labels, rows, scores, record
            See `show`; a score for each row.
        counts : (rows + 1,) array of int, optional
            The pixels of each label; counted here if they are not known.
        """
        names = [ui_text.BACKGROUND_NAME, *(row.name for row in rows)]
        columns: dict[str, Any] = {
            "index": range(len(names)),
            "class": names,
            "score": [np.nan, *np.round(scores, 3)],
        }
        if isinstance(labels, np.ndarray):
            columns["pixels"] = label_counts(labels, len(names)) if counts is None else counts
        self.layer.features = pd.DataFrame(columns)
        self.layer.metadata = {**self.layer.metadata, OUTPUT_KEY: dict(record)}

    def forget_counts(self) -> None:
        """Remove scores and counts from the features: another plane is shown."""
        if self.live:
            names = [name for name in ("index", "class") if name in self.layer.features]
            self.layer.features = self.layer.features[names]


class LargePrediction(Prediction):
    """A prediction whose labels are computed chunk by chunk, in a layer that cannot be edited."""

    def __init__(
        self, layer: Labels, choice: ImageChoice, stage: Stage, slot: str, pyramid: LabelsPyramid
    ) -> None:
        self._pyramid = pyramid
        super().__init__(layer, choice, stage, slot)

    def __post_init__(self) -> None:
        """Store nothing: the labels are in the pyramid."""

    @property
    def touched(self) -> bool:
        """Whether a stroke is being drawn: never."""
        return False

    @property
    def labels(self) -> Any:
        """The labels of the choice, as `LabelsByChunk`."""
        return self._pyramid.labels

    @property
    def complete(self) -> bool:
        """Whether all labels are computed."""
        return self._pyramid.labels.complete

    def snapshot(self) -> Any:
        """Return the labels of the choice, which never change."""
        return self._pyramid.labels

    def labels_of(self, _choice: ImageChoice) -> Any:
        """Return the labels of the choice; there is no other plane."""
        return self._pyramid.labels

    def part(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the labels in some rows and columns, reduced ones where none are known."""
        region = Window(rows.start, columns.start, rows.stop, columns.stop)
        return self._pyramid.labels.seen(region)

    def go_to(self, choice: ImageChoice) -> None:
        """Switch to a newer snapshot of the same image."""
        self.choice = choice

    def write(self, labels: Any, outlines: NDArray[Any] | None = None) -> None:
        """Show other labels; napari outlines them."""
        del outlines
        if self._pyramid.labels is not labels:
            self._pyramid.labels = labels
            self.layer.refresh()


def _parts(choice: ImageChoice) -> tuple[slice, ...]:
    """Rows and columns of a choice."""
    return choice.region or tuple(slice(0, n) for n in choice.shape)


class Predictions:
    """The predictions of one viewer.

    Parameters
    ----------
    viewer : Viewer
    on_frozen : callable
        Called with a prediction when the user starts to edit it.
    """

    def __init__(
        self,
        viewer: Viewer,
        on_frozen: Callable[[Prediction], None],
    ) -> None:
        self._viewer = viewer
        self._on_frozen = on_frozen
        self._all: list[Prediction] = []
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Disconnect all events; the layers stay."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for one in self._all:
            self._disconnect(one)
        self._all.clear()

    def of(self, layer: Any) -> Prediction | None:
        """Return the prediction of a layer, or None."""
        return next((one for one in self._all if one.layer is layer), None)

    def live_of(self, image: Any) -> list[Prediction]:
        """Return the live predictions of an image."""
        return [one for one in self._all if one.choice.layer is image and one.live]

    def show(
        self,
        choice: ImageChoice,
        stage: Stage,
        labels: AnyLabels,
        rows: Sequence[ClassRow],
        slot: str = SINGLE,
        outlines: NDArray[Any] | None = None,
    ) -> Prediction:
        """Write a result into the live layer of its image and slot, or into a new, hidden one."""
        by_chunk = isinstance(labels, LabelsByChunk)
        found = next((one for one in self._all if one.fits(choice, slot)), None)
        if found is not None and isinstance(found, LargePrediction) != by_chunk:
            take_away(self._viewer, found.layer)
            found = None
        if found is None or found.layer.data.dtype.itemsize < labels.dtype.itemsize:
            found = self._new(choice, stage, slot, labels)
        found.stage = stage
        found.go_to(choice)
        found.write(labels, outlines)
        found.colour(rows)
        if found not in self._all:
            self._all.append(found)
            self._viewer.add_layer(found.layer)
        return found

    def raise_above(self, prediction: Prediction, labels: Labels) -> None:
        """Move a prediction above a Labels layer that would hide its outlines."""
        layer, layers = prediction.layer, self._viewer.layers
        if layer not in layers or labels not in layers:
            return
        if layers.index(layer) < layers.index(labels):
            layers.move(layers.index(layer), layers.index(labels) + 1)

    def _new(self, choice: ImageChoice, stage: Stage, slot: str, labels: AnyLabels) -> Prediction:
        shape, name = labels_shape(choice), ui_text.prediction_layer(image=choice.name, slot=slot)
        # Hidden: napari would outline the labels again for each property that is set here.
        how = {"name": name, "visible": False, **transforms(choice)}
        if isinstance(labels, LabelsByChunk):
            pyramid = LabelsPyramid(labels)
            layer = Labels(pyramid.levels, multiscale=True, **how)
            prediction: Prediction = LargePrediction(layer, choice, stage, slot, pyramid)
        else:
            layer = Labels(np.zeros(shape, labels.dtype), **how)
            prediction = Prediction(layer, choice, stage, slot)
        if isinstance(prediction, LargePrediction) or not is_large(shape):
            layer.contour = OUTLINE
        else:
            layer.editable = False  # it contains outlines
        drawn_when_used(layer)
        layer.events.paint.connect(self._on_paint)
        layer.events.data.connect(self._on_paint)
        return prediction

    def _on_paint(self, event: Any) -> None:
        prediction = self.of(event.source)
        if prediction is not None and prediction.live:
            prediction.live = False
            self._on_frozen(prediction)

    def _on_removed(self, event: Any) -> None:
        prediction = self.of(event.value)
        if prediction is not None:
            self._disconnect(prediction)
            self._all.remove(prediction)

    def _disconnect(self, prediction: Prediction) -> None:
        prediction.layer.events.paint.disconnect(self._on_paint)
        prediction.layer.events.data.disconnect(self._on_paint)
