"""The clicks on the images of a viewer: add, save with the annotations, undo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from napari.layers import Image, Labels
from qtpy.QtCore import Signal

from ...annotation.class_change import ClassChange
from ...annotation.user_hints import BACKGROUND
from ...segmentation import InvalidInputError
from .. import shortcuts, ui_text
from ..layers.annotation_layer import AnnotationLayer
from ..layers.clicks_layer import ClicksLayer
from ..layers.image_layers import image_shape
from ..layers.image_view import current_plane, pixel_under
from ..layers.layer_selection import selection_kept
from ..layers.quick_layers import add_unselected
from ..panels.corrections_panel import CorrectionsPanel
from ..qt.keys import Keys, bind
from ..state import DockState
from .base import Controller
from .hint_history import HintHistory


class ClickController(Controller):
    """The clicks layers of one dock, and the class of the next click.

    Parameters
    ----------
    state : DockState
        Its annotations keep the clicks.
    panel : CorrectionsPanel
    """

    hinted = Signal(object)
    """The user has drawn a stroke, changed a click, or undone one; carries the image."""

    def __init__(self, state: DockState, panel: CorrectionsPanel) -> None:
        super().__init__(panel)
        self._state = state
        self._viewer = viewer = state.viewer
        self._panel = panel
        self._annotation_controller = annotation_controller = state.annotations
        self.all: list[ClicksLayer] = []
        self._chosen = ""  # the class of the next click; empty for the first of the table
        self._taken_away: list[Image] = []
        self._histories: WeakKeyDictionary[Image, HintHistory] = WeakKeyDictionary()
        self._layer_keys: Keys = {
            shortcuts.UNDO: self.undo,
            shortcuts.REDO: self.redo,
        }
        """Callbacks by key, while the annotation or the clicks are active."""
        self._removed_timer = self.timer(0, self._take_back)
        annotation_controller.begun.connect(self._on_begun)
        annotation_controller.stepped.connect(self._on_stroke)
        annotation_controller.leaving.connect(self._on_annotation_leaving)
        state.class_selected.connect(self._on_row)
        state.classes_changed.connect(self.recolour)
        viewer.layers.events.removed.connect(self._on_removed)
        self.recolour()

    def close(self) -> None:
        """Disconnect all events; the layers stay."""
        super().close()
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for one in self.all:
            one.close()

    def leave(self, image: Image) -> None:
        """Remove the clicks layer of an image; the clicks stay in its annotation."""
        clicks = self.of(image)
        if clicks is not None:
            self._let_go(clicks)
            if clicks.layer in self._viewer.layers:
                self._viewer.layers.remove(clicks.layer)

    def click(self) -> None:
        """Activate the clicks layer, and add it if there is none."""
        choice = self._state.choice
        if choice is None:
            self.say_error(self._state.why_no_choice)
            return
        try:
            current_plane(self._viewer, choice.layer)  # in 3-D, a click has no plane
            annotation = self._annotation_controller.begin(choice.layer, choice.name)
        except InvalidInputError as error:
            self.say_error(str(error))
            return
        clicks = self.of(choice.layer) or self._add(annotation)
        clicks.choose(self._panel.value().chosen)
        self._viewer.layers.selection.active = clicks.layer
        clicks.layer.mode = "add"
        self.message.emit(ui_text.click_on(clicks.chosen), False)

    def click_at(self, world: Any, name: str) -> None:
        """Add a click, as if by mouse.

        Parameters
        ----------
        world : sequence of float
            Where, in the viewer's coordinates.
        name : str
            The class.

        Raises
        ------
        InvalidInputError
            If there is no image, or the position is outside of it.
        """
        choice = self._state.choice
        if choice is None:
            raise InvalidInputError(self._state.why_no_choice)
        pixel = pixel_under(self._viewer, choice.layer, world)
        sizes = image_shape(choice.layer)
        if not all(0 <= at < size for at, size in zip(pixel, sizes, strict=True)):
            raise InvalidInputError(ui_text.cursor_outside(choice.name))
        annotation = self._annotation_controller.begin(choice.layer, choice.name)
        clicks = self.of(choice.layer) or self._add(annotation)
        clicks.add(pixel, name)

    def change_class(self, change: ClassChange) -> None:
        """Rename, merge or delete a class in the clicks of all images."""
        if change.is_of(self._chosen):
            self._chosen = "" if change.new is None else change.new.name
        for one in self.all:
            one.change_class(change)
        self.recolour()

    def undo(self) -> None:
        """Undo the newest stroke or click of the image whose layer is active."""
        self._step(HintHistory.undo)

    def redo(self) -> None:
        """Redo the stroke or click that was undone last."""
        self._step(HintHistory.redo)

    def _step(self, step: Callable[[HintHistory], bool]) -> None:
        active = self._viewer.layers.selection.active
        owner = self._annotation_controller.behind(active) or self.behind(active)
        if self.closed and isinstance(active, Labels):
            step_of = active.undo if step is HintHistory.undo else active.redo
            step_of()  # the layer outlives the dock
        elif owner is not None and step(self._history(owner.image)):
            undone = step is HintHistory.undo
            self.message.emit(ui_text.STEP_UNDONE if undone else ui_text.STEP_REDONE, False)
            self.hinted.emit(owner.image)

    def _history(self, image: Image) -> HintHistory:
        return self._histories.setdefault(image, HintHistory())

    def _on_stroke(self, annotation: AnnotationLayer, drawn: bool) -> None:
        self._history(annotation.image).add(annotation.layer)
        if drawn:
            self.hinted.emit(annotation.image)

    def _on_annotation_leaving(self, annotation: AnnotationLayer) -> None:
        self._history(annotation.image).forget(annotation.layer)

    def choose(self, name: str) -> None:
        """Set the class of the next clicks."""
        self._on_chosen(name)
        for one in self.all:
            one.choose(name)

    def _on_chosen(self, name: str) -> None:
        self._chosen = name
        self._panel.setValue(replace(self._panel.value(), chosen=name))

    def _on_row(self, label: int) -> None:
        if label == 0:  # a row of the table that is background
            self.choose(BACKGROUND)

    def of(self, image: Image) -> ClicksLayer | None:
        """Return the clicks of an image, or None."""
        return next((one for one in self.all if one.image is image), None)

    def behind(self, layer: Any) -> ClicksLayer | None:
        """Return the clicks of a layer, or None."""
        return next((one for one in self.all if one.layer is layer), None)

    def _add(self, annotation: AnnotationLayer) -> ClicksLayer:
        clicks = ClicksLayer(annotation.image, annotation.name, annotation.clicks, self._layer_keys)
        clicks.choose(self._panel.value().chosen)
        clicks.show_classes(self._state.labelled_rows)
        clicks.stepped.connect(partial(self._on_click_step, clicks))
        clicks.changed.connect(partial(self._on_clicked, clicks))
        clicks.chosen_changed.connect(self._on_chosen)
        self.all.append(clicks)
        add_unselected(self._viewer.layers, clicks.layer)
        return clicks

    def _on_begun(self, annotation: AnnotationLayer) -> None:
        """Bind the keys, and show the clicks of a project's image."""
        bind(annotation.layer, self._layer_keys)
        if annotation.clicks and self.of(annotation.image) is None:
            self._add(annotation)

    def _on_click_step(self, clicks: ClicksLayer) -> None:
        self._history(clicks.image).add(clicks)

    def _on_clicked(self, clicks: ClicksLayer) -> None:
        """Store the clicks in the annotation; add one if there is none."""
        try:
            with selection_kept(self._viewer.layers):
                annotation = self._annotation_controller.begin(clicks.image, clicks.name)
        except InvalidInputError as error:
            self.message.emit(ui_text.clicks_not_kept(error), True)
            return
        annotation.keep_clicks(clicks.clicks())
        self.hinted.emit(clicks.image)

    def _on_removed(self, event: Any) -> None:
        clicks = self.behind(event.value)
        if clicks is not None:
            self._let_go(clicks)
            self._taken_away.append(clicks.image)
            self._removed_timer.start()

    def _let_go(self, clicks: ClicksLayer) -> None:
        clicks.close()
        self.all.remove(clicks)
        self._history(clicks.image).forget(clicks)

    def _take_back(self) -> None:
        """Drop the clicks if the user removed their layer but not the image."""
        images, self._taken_away = self._taken_away, []
        for image in images:
            annotation = self._annotation_controller.of(image)
            if annotation is not None and self.of(image) is None:
                annotation.keep_clicks({})

    def recolour(self) -> None:
        """Show the clicks, and the classes to click, in the colours of the table."""
        rows = self._state.labelled_rows
        names = [BACKGROUND, *(row.name for row in rows)]
        if self._chosen not in names:
            self._chosen = ""
        chosen = self._chosen or names[min(1, len(rows))]
        self._panel.show_classes(rows, chosen)
        for one in self.all:
            one.choose(chosen)
            one.show_classes(rows)
