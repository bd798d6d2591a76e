"""Results as Labels layers that are live until a person edits them.

A prediction follows thresholds and words by writing into the layer's own array, which
makes no layer and no undo step. The first hand edit freezes it: from then on it belongs
to the person, and the next result becomes a new layer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from napari.viewer import Viewer
from numpy.typing import NDArray

from ...labels.label_class import ClassRow, colours_of
from .. import ui_text
from .image_layers import OUTPUT_KEY, ImageChoice, labels_shape, place, transforms
from .outlines import is_large, outlines_of

if TYPE_CHECKING:
    from ...segmentation import Stage

warnings.filterwarnings("ignore", "Contours are not displayed during 3D rendering")
"""In 3-D napari fills the labels, which is what a person wants there, and need not be told of."""

OUTLINE = 2  # pixels of the image

SINGLE = "prediction"
"""The slot of the one layer that shows the chosen stage."""

BEYOND = (1.0, 1.0, 1.0, 1.0)
"""The colour of labels painted beyond the classes."""


@dataclass(eq=False)
class Prediction:
    """One Labels layer of one stage of one image.

    Parameters
    ----------
    layer : Labels
    choice : ImageChoice
        What was segmented last into it.
    stage : str
        What it shows: ``"coarse"`` or ``"refined"``.
    slot : str
        `SINGLE`, or the stage where both stages have a layer.
    live : bool
        Whether nobody has edited it.
    """

    layer: Labels
    choice: ImageChoice
    stage: Stage
    slot: str
    live: bool = True
    _written: NDArray[Any] | None = field(default=None, init=False, repr=False)
    _whole: NDArray[Any] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Keep the labels beside the layer where that holds outlines only."""
        if is_large(self.layer.data.shape):
            self._whole = np.zeros_like(self.layer.data)

    @property
    def touched(self) -> bool:
        """Whether a stroke is being drawn, of which napari tells at its end."""
        if self._whole is not None or self._written is None:
            return False
        return not np.array_equal(self.labels, self._written)

    @property
    def labels(self) -> NDArray[Any]:
        """The (Y, X) labels of the choice; not a copy."""
        every = self.layer.data if self._whole is None else self._whole
        labels: NDArray[Any] = np.asarray(every[place(self.choice)])
        return labels

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
        """Be of another choice of the same image from now on."""
        if choice.key != self.choice.key:
            self.choice = choice
            self._written = np.array(self.labels)
        self.choice = choice

    def write(self, labels: NDArray[Any], outlines: NDArray[Any] | None = None) -> None:
        """Show labels; nothing happens once the layer is a person's.

        Parameters
        ----------
        labels : (Y, X) array of int
        outlines : (Y, X) array of int, optional
            Their outlines, for planes that are large; computed here, in some seconds, if they are
            not given. See `outlines_of`.
        """
        if not self.live or self.touched:
            return
        self._written = labels
        shown = labels
        if self._whole is not None:
            self._whole[place(self.choice)] = labels
            shown = outlines_of(labels) if outlines is None else outlines
        self.layer.data[place(self.choice)] = shown
        self.layer.refresh()

    def describe(
        self,
        labels: NDArray[Any],
        rows: Sequence[ClassRow],
        scores: Sequence[float],
        record: Mapping[str, Any],
    ) -> None:
        """The record, and the table by which napari names the class under the cursor."""
        names = [ui_text.BACKGROUND_NAME, *(row.name for row in rows)]
        self.layer.features = pd.DataFrame(
            {
                "index": range(len(names)),
                "class": names,
                "score": [np.nan, *np.round(scores, 3)],
                "pixels": np.bincount(labels.ravel(), minlength=len(names))[: len(names)],
            }
        )
        self.layer.metadata = {**self.layer.metadata, OUTPUT_KEY: dict(record)}

    def forget_counts(self) -> None:
        """Leave only the names in the table: another plane is on the screen."""
        if self.live:
            names = [name for name in ("index", "class") if name in self.layer.features]
            self.layer.features = self.layer.features[names]


class Predictions:
    """The predictions of one viewer.

    Parameters
    ----------
    viewer : Viewer
    on_frozen : callable
        Called with the prediction that a person has begun to edit.
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
        """Listen to nothing any more; the layers stay."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for one in self._all:
            self._disconnect(one)
        self._all.clear()

    def of(self, layer: Any) -> Prediction | None:
        """The prediction behind a layer."""
        return next((one for one in self._all if one.layer is layer), None)

    def live_of(self, image: Any) -> list[Prediction]:
        """The predictions of an image that nobody has edited."""
        return [one for one in self._all if one.choice.layer is image and one.live]

    def show(
        self,
        choice: ImageChoice,
        stage: Stage,
        labels: NDArray[Any],
        rows: Sequence[ClassRow],
        slot: str = SINGLE,
        outlines: NDArray[Any] | None = None,
    ) -> Prediction:
        """Put a result into the live layer of its image and slot, or into a new one."""
        found = next((one for one in self._all if one.fits(choice, slot)), None)
        if found is None or found.layer.data.dtype.itemsize < labels.dtype.itemsize:
            found = self._add(choice, stage, slot, labels.dtype)
        found.stage = stage
        found.go_to(choice)
        found.write(labels, outlines)
        found.layer.colormap = label_colours(rows)
        return found

    def raise_above(self, prediction: Prediction, labels: Labels) -> None:
        """Draw a prediction above labels, which would hide its outlines."""
        layer, layers = prediction.layer, self._viewer.layers
        if layer not in layers or labels not in layers:
            return
        if layers.index(layer) < layers.index(labels):
            layers.move(layers.index(layer), layers.index(labels) + 1)

    def _add(self, choice: ImageChoice, stage: Stage, slot: str, dtype: Any) -> Prediction:
        shape = labels_shape(choice)
        layer = Labels(
            np.zeros(shape, dtype),
            name=ui_text.prediction_layer(image=choice.name, slot=slot),
            **transforms(choice),
        )
        prediction = Prediction(layer, choice, stage, slot)
        if is_large(shape):
            layer.editable = False  # what it holds are outlines
        else:
            layer.contour = OUTLINE
        layer.events.paint.connect(self._on_paint)
        layer.events.data.connect(self._on_paint)
        self._all.append(prediction)
        self._viewer.add_layer(layer)
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


def label_colours(rows: Sequence[ClassRow]) -> DirectLabelColormap:
    """The colours of classes whose labels are 1, 2, ..; see `colours_of_labels`."""
    return colours_of_labels(dict(enumerate(rows, 1)))


def colours_of_labels(classes: Mapping[int, ClassRow]) -> DirectLabelColormap:
    """The classes' colours by label; invisible classes are clear, labels beyond them white."""
    colours: dict[int | None, Any] = {0: "transparent", None: BEYOND}
    for label, rgb in colours_of(classes).items():
        colours[label] = (*(part / 255 for part in rgb), float(classes[label].visible))
    return DirectLabelColormap(color_dict=colours)
