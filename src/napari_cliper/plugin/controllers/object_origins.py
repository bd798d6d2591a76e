"""Where objects come from: the labels, or a layer or file with objects of another program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import Signal

from ...io.readers.object_files import ImportedObjects
from ...labels.label_class import ClassRow
from ...objects.classifying import ScoresOfPlane
from ...objects.edited_objects import EditedObjects
from ...objects.object_set import objects_of
from ...objects.plane_objects import Classes, PlaneObjects
from ...segmentation import InvalidInputError
from .. import ui_text
from ..layers.image_layers import ImageChoice, labels_shape, place, transforms
from ..layers.object_layers import object_layers, reader_of
from ..layers.quick_layers import add_unselected
from ..object_work import read_object_file
from ..panels.objects_panel import ObjectsPanel
from ..state import DockState
from .base import Controller

LABELS = ""
"""The origin of objects that labels are split into."""


class ObjectOrigins(Controller):
    """Offers the origins of objects, and reads objects of other programs.

    Parameters
    ----------
    state : DockState
    panel : ObjectsPanel
    """

    chosen = Signal(str)
    """The user has chosen an origin: `LABELS`, or the name of a layer."""

    def __init__(self, state: DockState, panel: ObjectsPanel) -> None:
        super().__init__(panel)
        self._state = state
        self._panel = panel
        self._offered: list[str | None] = []  # None stands for a file
        self._shown = LABELS
        self._reading = self.jobs()
        panel.origin_chosen.connect(self._on_chosen)

    # ------------------------------------------------------------------ offers

    def show(self, text: str, origin: str) -> None:
        """Offer the possible origins, and show the current one.

        Parameters
        ----------
        text : str
            What the labels are.
        origin : str
        """
        self._shown = origin
        choice = self._state.on_screen
        layers = [] if choice is None else [one.name for one in self._layers(choice)]
        if origin and origin not in layers:
            layers.append(origin)
        self._offered = [LABELS, *layers, *([] if choice is None else [None])]
        texts = [text, *layers, *([] if choice is None else [ui_text.FROM_FILE])]
        self._panel.show_origins(texts, self._offered.index(origin))

    def _layers(self, choice: ImageChoice) -> list[Labels]:
        """The layers with objects of the image or of its planes."""
        return object_layers(self._state.viewer, choice)

    def _on_chosen(self, index: int) -> None:
        origin = self._offered[index]
        if origin is not None:
            self.chosen.emit(origin)
            return
        self._panel.origin.setCurrentIndex(self._offered.index(self._shown))
        choice, path = self._state.on_screen, self._panel.ask_objects()
        if path and choice is not None:
            self.read(choice, Path(path))

    # ------------------------------------------------------------------ objects of a layer

    def objects_in(
        self, origin: str, choice: ImageChoice, classes: Classes
    ) -> Callable[[], PlaneObjects] | None:
        """Return what reads the objects of a layer on a plane; None if the layer is gone.

        A thread calls it. It raises an `InvalidInputError` for numbers that are not those of
        objects. A class that the layer's features name counts as given by hand.
        """
        found = next((one for one in self._layers(choice) if one.name == origin), None)
        if found is None:
            return None
        numbers = reader_of(found, replace(choice, region=None))
        return partial(_objects_from, numbers, _named_in(found), classes)

    def scores(self, choice: ImageChoice) -> ScoresOfPlane | None:
        """Return the scores of a plane, if it was run."""
        kept = self._state.result.current
        if kept is None:
            return None
        shown = kept.shown
        if shown.choice.layer is not choice.layer or shown.choice.plane != choice.plane:
            return None
        seen = self._state.result.seen()
        scores = shown.outcome.scores
        return ScoresOfPlane(
            scores,
            kept.followed[0],
            scores.stages[-1] if seen is None else seen.stage,
            shown.choice.region,
            tuple(row.name for row in shown.rows),
            shown.outcome.embedding,
        )

    # ------------------------------------------------------------------ files

    def read(self, choice: ImageChoice, path: Path) -> None:
        """Read objects of an image in a thread, and show them as a layer."""
        whole = ImageChoice(choice.layer, choice.name, choice.plane)
        file = choice.layer.source.path
        name = choice.name if file is None else Path(file).name
        work = partial(read_object_file, path, whole.shape, name)
        self._reading.start(work, partial(self._on_read, whole, path.stem))

    def _on_read(self, choice: ImageChoice, name: str, read: tuple[ImportedObjects, int]) -> None:
        found, objects = read
        with self.showing_errors():
            numbers = _fitted(found.numbers, choice, name)
            layer = Labels(
                numbers,
                name=name,
                features=_features(found),
                **transforms(ImageChoice(choice.layer, choice.name)),
            )
            layer.visible = False  # the layer of objects shows them
            add_unselected(self._state.viewer.layers, layer)
            self.message.emit(ui_text.objects_opened(name=layer.name, objects=objects), False)
            self.chosen.emit(layer.name)


def _objects_from(
    read: Callable[[], NDArray[Any]], names: Mapping[int, str], classes: Classes
) -> PlaneObjects:
    """The objects of a plane, and the classes that some of them have by name."""
    objects = objects_of(read())
    plane = PlaneObjects(EditedObjects.of(objects), classes)
    given = [number for number in objects.ids.tolist() if number in names]
    for name in dict.fromkeys(names[number] for number in given):
        plane = plane.with_class(ClassRow(name))
    labels = {number: plane.label_of(names[number]) for number in given}
    return plane.given(labels)


def _fitted(numbers: NDArray[np.int32], choice: ImageChoice, name: str) -> NDArray[np.int32]:
    """Objects in the shape of the image; those of a plane of a stack are put there."""
    whole = labels_shape(ImageChoice(choice.layer, choice.name))
    while numbers.ndim > 2 and numbers.shape[0] == 1 and numbers.shape != whole:
        numbers = numbers[0]
    if numbers.shape == whole:
        return numbers
    if numbers.shape != whole[-2:]:
        sizes = [" x ".join(map(str, one)) for one in (numbers.shape, whole)]
        raise InvalidInputError(
            ui_text.objects_of_another_size(name=name, found=sizes[0], image=sizes[1])
        )
    found = np.zeros(whole, np.int32)
    found[place(choice)] = numbers
    return found


def _features(found: ImportedObjects) -> dict[str, list[Any]]:
    """The classes of a file, as napari shows them under the cursor."""
    return {"index": list(found.classes), "class": list(found.classes.values())}


def _named_in(layer: Labels) -> dict[int, str]:
    """The names of the classes by number, from the features of a layer."""
    table = layer.features
    if not {"index", "class"} <= set(table.columns):
        return {}
    pairs = zip(table["index"].tolist(), table["class"].tolist(), strict=True)
    return {int(number): name for number, name in pairs if isinstance(name, str) and name}
