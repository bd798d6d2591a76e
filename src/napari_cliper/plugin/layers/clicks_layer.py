"""The clicks of one image: a Points layer in which each point is a hint for a class.

A click gets the class that is chosen at that time, and its colour. In a stack, a point belongs to
one plane, as in napari.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Image, Points
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from ...annotation.class_change import ClassChange
from ...annotation.user_hints import BACKGROUND, Clicks
from ...labels.label_class import ClassRow, colours_of
from .. import ui_text
from ..qt.keys import Keys, bind
from ..qt.listeners import Listeners
from .image_layers import OUTPUT_KEY, ImageChoice, image_shape, transforms

COLUMN = "class"
"""Name of the feature with the class of a click."""

BACKGROUND_COLOUR = (0.25, 0.25, 0.25, 1.0)
UNKNOWN_COLOUR = (1.0, 1.0, 1.0, 1.0)
"""The colour of clicks whose class is no longer in the table."""

_ON_SCREEN = (9, 13)  # smallest and largest size of a point in screen pixels
_DECIMALS = 3  # of stored coordinates, in pixels
_STEPS_KEPT = 100

_Points = tuple[NDArray[np.float64], pd.DataFrame]
"""Coordinates and features."""


class ClicksLayer(QObject):
    """A Points layer over an image, with one colour per class.

    Parameters
    ----------
    image : Image
    name : str
        The image's name.
    clicks : mapping of str to sequence of coordinates
        Initial clicks.
    keys : mapping of str to callable
        Keys and their actions while the layer is active.
    """

    changed = Signal()
    """A click was added, moved or removed, or has another class."""
    stepped = Signal()
    """`undo` has one more step."""
    chosen_changed = Signal(str)
    """The class of the next click has changed, as napari sets it to that of a selected point."""

    def __init__(
        self,
        image: Image,
        name: str,
        clicks: Clicks | None = None,
        keys: Keys | None = None,
    ) -> None:
        super().__init__()
        self.image = image
        self.name = name
        whole = ImageChoice(image, name)
        begun = dict(clicks or {})
        axes = len(image_shape(image))
        points = [point for some in begun.values() for point in some if len(point) == axes]
        classes = [one for one, some in begun.items() for point in some if len(point) == axes]
        self.layer = Points(
            np.array(points, float).reshape(-1, axes),
            ndim=axes,
            name=ui_text.clicks_layer(name),
            features=pd.DataFrame({COLUMN: np.array(classes, object)}),
            feature_defaults={COLUMN: BACKGROUND},
            size=max(min(image_shape(image)[-2:]) / 50, 1),
            canvas_size_limits=_ON_SCREEN,
            border_color="white",
            border_width=0.15,
            face_color="white",
            metadata={OUTPUT_KEY: {"clicks_of": name}},
            **transforms(whole),
        )
        bind(self.layer, keys)
        self._seen = self.clicks()
        self._points = self._copy()
        self._past: deque[_Points] = deque(maxlen=_STEPS_KEPT)
        self._future: deque[_Points] = deque(maxlen=_STEPS_KEPT)
        self._moving = False  # the last step moved points
        self._restoring = False
        self._listeners = Listeners()
        for event in ("data", "features", "set_data"):
            self._listeners.connect(self.layer, getattr(self.layer.events, event), self._look)
        self._listeners.connect(
            self.layer, self.layer.events.feature_defaults, self._on_chosen_in_napari
        )
        self.show_classes(())

    def close(self) -> None:
        """Disconnect all signals; the layer stays."""
        self._listeners.clear()

    # ------------------------------------------------------------------ clicks

    def clicks(self) -> dict[str, list[list[float]]]:
        """Coordinates by class, in the order of the clicks; JSON-safe."""
        found: dict[str, list[list[float]]] = {}
        column = self.layer.features.get(COLUMN)
        names = [self.chosen] * len(self.layer.data) if column is None else column
        for name, point in zip(names, np.round(self.layer.data, _DECIMALS).tolist(), strict=True):
            found.setdefault(str(name), []).append(point)
        return found

    def add(self, pixel: Sequence[float], name: str) -> None:
        """Add a click of a class; the class of the next manual click does not change.

        Parameters
        ----------
        pixel : sequence of float
            One number for each axis of the image.
        name : str
        """
        chosen = self.chosen
        self.choose(name)
        try:
            self.layer.add(np.asarray(pixel, float))
        finally:
            self.choose(chosen)

    def _look(self, _event: Any = None) -> None:
        """Emit `changed` if the clicks differ; napari emits events also for other reasons."""
        if self._restoring or len(self.layer.features) != len(self.layer.data):
            return  # napari is in the middle of a change
        clicks = self.clicks()
        if clicks == self._seen:
            return
        points = self._copy()
        moved = _classes(points) == _classes(self._points)
        new = not (moved and self._moving)  # a drag emits many events, but is one step
        if new:
            self._past.append(self._points)
            self._future.clear()
        self._moving, self._points, self._seen = moved, points, clicks
        if new:
            self.stepped.emit()
        self.changed.emit()

    # ------------------------------------------------------------------ undo

    def undo(self) -> None:
        """Undo the last change of the clicks, if any."""
        self._restore(self._past, self._future)

    def redo(self) -> None:
        """Redo the change that was undone last, if any."""
        self._restore(self._future, self._past)

    def _restore(self, source: deque[_Points], other: deque[_Points]) -> None:
        if not source:
            return
        other.append(self._points)
        self._points = source.pop()
        self._moving = False
        self._show(self._points)
        self.changed.emit()

    def _show(self, points: _Points) -> None:
        coordinates, features = points
        self._restoring = True
        try:
            self.layer.selected_data = set()
            self.layer.data = coordinates.copy()
            if len(features):  # of no points, napari would take nan for the class
                self.layer.features = features.copy()
            self.layer.refresh_colors()
        finally:
            self._restoring = False
        self._seen = self.clicks()

    def _copy(self) -> _Points:
        return self.layer.data.copy(), self.layer.features.copy()

    # ------------------------------------------------------------------ classes

    @property
    def chosen(self) -> str:
        """The class of the next click."""
        defaults = self.layer.feature_defaults
        return str(defaults[COLUMN][0]) if COLUMN in defaults else BACKGROUND

    def choose(self, name: str) -> None:
        """Set the class of the next clicks; existing clicks keep theirs."""
        if name != self.chosen:
            self.layer.feature_defaults = {COLUMN: name}

    def _on_chosen_in_napari(self, _event: Any = None) -> None:
        self.chosen_changed.emit(self.chosen)

    def change_class(self, change: ClassChange) -> None:
        """Rename, merge or delete a class, also in what undo and redo bring back."""
        for steps in (self._past, self._future):
            changed = [_changed(points, change) for points in steps]
            steps.clear()
            steps.extend(changed)
        if change.is_of(self.chosen):
            self.choose(BACKGROUND if change.new is None else change.new.name)
        before = self._points
        self._points = _changed(before, change)
        if _classes(self._points) != _classes(before):
            self._show(self._points)

    def show_classes(self, rows: Sequence[ClassRow]) -> None:
        """Show the clicks in the colours of these rows."""
        if COLUMN not in self.layer.features:
            return
        colours = dict.fromkeys((*self._seen, self.chosen), UNKNOWN_COLOUR)
        colours[BACKGROUND] = BACKGROUND_COLOUR
        given = {name.casefold(): colour for name, colour in class_colours_of(rows).items()}
        for name in (*colours, *(row.name for row in rows)):
            colours[name] = given.get(name.casefold(), colours.get(name, UNKNOWN_COLOUR))
        self.layer.face_color_cycle = {"colormap": colours, "fallback_color": UNKNOWN_COLOUR}
        self.layer.face_color = COLUMN
        self.layer.refresh_colors()


def _classes(points: _Points) -> list[Any]:
    """The class of each point."""
    coordinates, features = points
    return features[COLUMN].tolist() if COLUMN in features else [None] * len(coordinates)


def _changed(points: _Points, change: ClassChange) -> _Points:
    """The points with a class renamed or merged, or without those of a deleted class."""
    coordinates, features = points
    if COLUMN not in features:
        return points
    own = np.array([change.is_of(str(name)) for name in features[COLUMN]], bool)
    if change.new is None:
        return coordinates[~own], features[~own].reset_index(drop=True)
    names = np.where(own, change.new.name, features[COLUMN].to_numpy(object))
    return coordinates, features.assign(**{COLUMN: names})


def class_colours_of(rows: Sequence[ClassRow]) -> dict[str, tuple[float, float, float, float]]:
    """The colours of classes, 0 to 1, by name."""
    colours = colours_of(dict(enumerate(rows, 1))).values()
    return {
        row.name: (red / 255, green / 255, blue / 255, 1.0)
        for row, (red, green, blue) in zip(rows, colours, strict=True)
    }
