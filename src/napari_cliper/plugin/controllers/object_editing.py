"""The tools of the page Objects: merge, cut, delete, draw, and change the class."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
from napari.layers import Labels
from napari.utils.events import Event
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut

from ...labels.label_class import ClassRow
from ...objects.editing import add, cut, delete, inside_box, merge, numbers_along, redraw, touches
from ...objects.object_set import Objects, next_numbers
from ...objects.plane_objects import PlaneObjects
from ...segmentation import InvalidInputError
from .. import ui_text
from ..layers.image_layers import ImageChoice
from ..layers.image_view import pixel_under
from ..layers.object_preview import ObjectPreview
from ..layers.objects_layer import ObjectsLayer, make_room
from ..object_work import MadeObjects
from ..panels.objects_panel import ObjectsPanel
from ..panels.state_panel import State
from ..qt.listeners import Listeners
from ..state import DockState
from .base import Controller

ObjectEdit = Literal["merge", "cut", "delete", "draw", "outline", "class"]
Place = tuple[int, int]

DRAG = 4  # pixels of the canvas that the mouse moves before a click becomes a drag


class ObjectsOnScreen(Protocol):
    """The objects that the tools edit."""

    made: MadeObjects | None

    def edit(
        self,
        change: Callable[[PlaneObjects], PlaneObjects],
        message: str,
        numbers: Collection[int] = (),
        *,
        linked: bool = False,
    ) -> None:
        """Change the objects, as one undo step."""

    def redraw(
        self,
        drawn: Mapping[tuple[int, ...], NDArray[np.int32]],
        change: Callable[[PlaneObjects, NDArray[np.int32]], PlaneObjects],
        message: str,
    ) -> None:
        """Change the objects of planes on which the user has drawn, as one undo step."""

    def whole(self, numbers: Collection[int]) -> PlaneObjects | None:
        """Return the objects that `edit` changes if it changes these."""

    def layer_of(self, choice: ImageChoice) -> ObjectsLayer:
        """Return the layer of the objects of an image."""

    def row_of(self, name: str) -> ClassRow | None:
        """Return a class by its name."""

    def highest(self) -> int:
        """Return the highest number that any object of the image ever had."""


class ObjectEditing(Controller):
    """The tools for objects; at most one is active.

    Parameters
    ----------
    state : DockState
    panel : ObjectsPanel
    objects : ObjectsOnScreen
    """

    def __init__(self, state: DockState, panel: ObjectsPanel, objects: ObjectsOnScreen) -> None:
        super().__init__(panel)
        self._state = state
        self._viewer = state.viewer
        self._panel = panel
        self._objects = objects
        self.tool: ObjectEdit | None = None
        """The active tool."""
        self._first = 0  # the number of the first object to merge
        self._drawn = 0  # the number of the object drawn last
        self._told: tuple[str, bool] = "", False  # the message without a tool
        self._layer: Labels | None = None
        self._before: Any = None  # the layer that was active before the tool
        self._preview = ObjectPreview(self._viewer)
        self._escape = QShortcut(QKeySequence(Qt.Key.Key_Escape), panel.window())
        self._escape.setEnabled(False)
        self._escape.activated.connect(self._on_ended)
        self._listeners = Listeners()
        # Afterwards: layers that are added without being activated are active for a moment.
        self._active_timer = self.timer(0, self._look_at_active)
        state.tool_taken.connect(self._on_taken)
        panel.tools.valueChanged.connect(self._on_wanted)
        panel.class_chosen.connect(self._on_class)

    def close(self) -> None:
        """End the tool, and disconnect all events."""
        self.end()
        super().close()

    # ------------------------------------------------------------------ begin and end

    def take(self, tool: ObjectEdit) -> None:
        """Activate a tool: the layer of objects, and what a click does there."""
        self.end()
        made = self._objects.made
        if made is None:
            self.message.emit(ui_text.OBJECTS_EMPTY, True)
            self._panel.tools.setValue(None)
            return
        if tool in ("draw", "outline", "class") and not self._panel.chosen_class():
            self.message.emit(ui_text.NO_CLASS_FOR_OBJECTS, True)
            self._panel.tools.setValue(None)
            return
        self._state.tool_taken.emit(self)
        self.tool = tool
        self._panel.show_switch.setChecked(True)
        self._before = self._viewer.layers.selection.active
        shown = self._objects.layer_of(made.seen.choice)
        shown.show(made.seen.choice, made.plane.objects.numbers, made.features)
        self._layer = layer = shown.layer
        layer.visible = True
        self._viewer.layers.selection.active = layer
        layer.mode = "paint" if tool == "draw" else "pan_zoom"
        if tool != "draw":
            layer.cursor = "cross"
        if tool not in ("draw", "outline"):
            self._viewer.mouse_drag_callbacks.append(self._on_drag)
        selected = self._viewer.layers.selection.events.active
        self._listeners.connect(self, selected, self._on_active)
        self._listeners.connect(self, layer.events.mode, self._on_mode)
        self._escape.setEnabled(True)
        self._panel.tools.setValue(tool)
        self._tell()
        self._next_number()
        if tool == "outline":
            self._state.outline_wanted.emit(self)

    def end(self) -> None:
        """End the active tool: the mouse moves the image again."""
        tool, self.tool = self.tool, None
        if tool is None:
            return
        self._listeners.clear()
        self._escape.setEnabled(False)
        if tool == "outline":
            self._state.outline_ended.emit()
        if self._on_drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_drag)
        self._preview.clear()
        self._first = self._drawn = 0
        layer, self._layer = self._layer, None
        selection = self._viewer.layers.selection
        if layer is not None and layer in self._viewer.layers:
            layer.mode = "pan_zoom"
            layer.cursor = "standard"
            if selection.active is layer and self._before in self._viewer.layers:
                selection.active = self._before
        self._before = None
        self._panel.tools.setValue(None)
        self._tell()

    def _on_wanted(self, tool: ObjectEdit | None) -> None:
        if tool is None:
            self._on_ended()
        else:
            self.take(tool)

    def _on_ended(self) -> None:
        """The user has ended the tool: the foot no longer says what a click does."""
        self.end()
        self.message.emit("", False)

    def _on_taken(self, owner: object) -> None:
        if owner is not self:
            self.end()

    def _on_active(self, _event: Event | None = None) -> None:
        self._active_timer.start()

    def _look_at_active(self) -> None:
        """End the tool if the user has activated another layer."""
        if self._viewer.layers.selection.active is not self._layer:
            self.end()

    def _on_mode(self, _event: Event | None = None) -> None:
        """The user has chosen another mode in napari."""
        if self._layer is not None and (str(self._layer.mode) == "pan_zoom") == (
            self.tool == "draw"
        ):
            self.end()

    # ------------------------------------------------------------------ what a click does

    def show(self, text: str, *, warning: bool) -> None:
        """Say what a click does; without a tool, say this."""
        self._told = text, warning
        available = self._objects.made is not None
        self._panel.tools.set_available("" if available else text)
        if not available:
            self.end()
        if self.tool is None:
            self._panel.show_hint(text, warning=warning)
        elif self.tool == "outline":
            self._panel.show_hint("")  # the outline has a text of its own
        else:
            self._panel.show_hint(self._how())

    def _how(self) -> str:
        made, name = self._objects.made, self._panel.chosen_class()
        if self.tool == "merge":
            if made is not None and self._first and self._first in made.every.objects.ids:
                name = made.every.named(self._first)
                return ui_text.merge_second(number=self._first, name=name)
            return ui_text.MERGE_HOW
        if self.tool == "cut":
            return ui_text.CUT_HOW
        if self.tool == "delete":
            return ui_text.DELETE_HOW
        return ui_text.draw_how(name) if self.tool == "draw" else ui_text.class_how(name)

    def _tell(self) -> None:
        """Say in the page and in the foot what a click does."""
        text, warning = self._told
        self.show(text, warning=warning)
        if self.tool not in (None, "outline"):
            self.message.emit(self._how(), False)

    def _on_class(self, _name: str) -> None:
        self._drawn = 0
        if self.tool in ("draw", "class"):
            self._next_number()
            self._tell()

    # ------------------------------------------------------------------ the mouse

    def _on_drag(self, _viewer: Any, event: Any) -> Iterator[None]:
        """A click, or a drag if the mouse moves while the button is down."""
        made = self._objects.made
        if event.button != 1 or made is None:
            return
        event.handled = True  # so that the image stays where it is
        choice = replace(made.seen.choice, region=None)
        path = [self._place(choice, event.position)]
        first, dragged = tuple(event.pos), False

        def is_far() -> bool:
            return max(abs(now - then) for now, then in zip(event.pos, first, strict=True)) >= DRAG

        yield
        while event.type == "mouse_move":
            dragged = dragged or is_far()
            path.append(self._place(choice, event.position))
            if dragged:
                self._show_drag(choice, path)
            event.handled = True
            yield
        dragged = dragged or is_far()  # also where the moves between were lost
        self._preview.clear()
        if dragged:
            path.append(self._place(choice, event.position))
            self._dragged(path)
        else:
            self._clicked(path[0])

    def _place(self, choice: ImageChoice, world: Any) -> Place:
        """The pixel at a position; it may be outside of the image."""
        row, column = pixel_under(self._viewer, choice.layer, world)[-2:]
        return row, column

    def _show_drag(self, choice: ImageChoice, path: list[Place]) -> None:
        step = abs(float(choice.layer.extent.step[-1]))
        pixel = 1 / (float(self._viewer.scene.camera.zoom) * step)
        start, now = path[0], path[-1]
        if self.tool == "delete":
            (top, bottom), (left, right) = (sorted(pair) for pair in zip(start, now, strict=True))
            self._preview.show_box(choice, (top, left, bottom, right), pixel)
        elif self.tool == "cut":
            self._preview.show_lines(choice, [start, now], pixel)
        elif self.tool == "merge":
            self._preview.show_lines(choice, path, pixel)

    def _numbers_on(self, path: list[Place]) -> list[int]:
        """The numbers of the objects along a path, in its order."""
        made = self._objects.made
        return [] if made is None else numbers_along(made.plane.objects, path)

    def _clicked(self, place: Place) -> None:
        if self.tool == "cut":
            self._tell()
            return
        there = self._numbers_on([place])
        if not there:
            self.message.emit(ui_text.NO_OBJECT_THERE, False)
            return
        (number,) = there
        if self.tool == "merge":
            self._merge_by_click(number)
        elif self.tool == "delete":
            self._edit(lambda one: delete(one.objects, [number]), ui_text.deleted(1), [number])
        elif self.tool == "class":
            self._give_class(number)

    def _dragged(self, path: list[Place]) -> None:
        if self.tool == "merge":
            self._merge(self._numbers_on(path))
        elif self.tool == "cut":
            self._cut(path[0], path[-1])
        elif self.tool == "delete":
            self._delete_in(path[0], path[-1])
        else:  # a click that was not held still
            self._clicked(path[0])

    # ------------------------------------------------------------------ edits

    def _edit(
        self, change: Callable[[PlaneObjects], Objects], message: str, numbers: Collection[int]
    ) -> None:
        """Change objects by a function of `objects.editing`."""
        self._objects.edit(
            lambda one: replace(one, edited=one.edited.after_edit(change(one))), message, numbers
        )

    def _merge_by_click(self, number: int) -> None:
        made = self._objects.made
        other = bool(self._first) and self._first != number
        if made is None or not other or self._first not in made.every.objects.ids:
            self._first = number
            self._tell()
            return
        first, self._first = self._first, 0
        self._merge([first, number])

    def _merge(self, numbers: list[int]) -> None:
        made = self._objects.made
        if made is None:
            return
        self._first = 0
        if len(numbers) < 2:
            text = ui_text.ONE_OBJECT_THERE if numbers else ui_text.NO_OBJECT_THERE
            self.message.emit(text, False)
            return
        message = ui_text.merged(
            number=numbers[0], name=made.every.named(numbers[0]), objects=len(numbers)
        )
        self._edit(lambda one: merge(one.objects, numbers), message, numbers)

    def _cut(self, start: Place, stop: Place) -> None:
        numbers = self._numbers_on([start, stop])
        before = self._objects.whole(numbers)
        if before is None:
            return
        try:
            after = cut(before.objects, start, stop, self._objects.highest())
        except InvalidInputError as error:
            self.say_error(str(error))
            return
        parts = len(after.ids) - len(before.objects.ids)
        if not parts:
            self.message.emit(ui_text.NOTHING_CUT, False)
            return
        changed = before.objects.numbers != after.numbers
        objects = len(np.unique(before.objects.numbers[changed]))
        message = ui_text.cut_into(objects=objects, parts=objects + parts)
        self._edit(lambda _one: after, message, numbers)

    def _delete_in(self, start: Place, stop: Place) -> None:
        made = self._objects.made
        if made is None:
            return
        box = tuple(
            slice(max(min(pair), 0), max(max(pair) + 1, 0))
            for pair in zip(start, stop, strict=True)
        )
        here = inside_box(made.plane.objects, box)
        whole = self._objects.whole(here)
        inside = inside_box(made.plane.objects if whole is None else whole.objects, box)
        numbers = [number for number in inside if number in here]
        if not numbers:
            self.message.emit(ui_text.NONE_IN_RECTANGLE, False)
            return
        message = ui_text.deleted(len(numbers))
        self._edit(lambda one: delete(one.objects, numbers), message, numbers)

    def _give_class(self, number: int) -> None:
        name = self._panel.chosen_class()
        message = ui_text.class_changed_to(number=number, name=name)
        change = partial(self._with_class, number=number, name=name)
        self._objects.edit(change, message, [number], linked=True)

    def _with_class(self, plane: PlaneObjects, number: int, name: str) -> PlaneObjects:
        """Return objects after the user has given one a class, even the one that it had."""
        row = self._objects.row_of(name)
        known = plane if row is None else plane.with_class(row)
        return known.given({number: known.label_of(name)})

    # ------------------------------------------------------------------ drawing

    def _next_number(self) -> None:
        """Let the brush draw a new object; without a free number, the tool ends."""
        if self._layer is None or self.tool != "draw":
            return
        try:
            (number,) = next_numbers(self._objects.highest())
            make_room(self._layer, number)
            self._layer.selected_label = number
        except InvalidInputError as error:
            self._on_ended()
            self.say_error(str(error))

    def chosen_class(self) -> str:
        """Return the class of new objects."""
        return self._panel.chosen_class()

    def show_object(self, state: State | None) -> None:
        """Show what the outline of an object needs next."""
        self._panel.object_state.show_state(state)

    def keep_outline(self, tile: ImageChoice, mask: NDArray[Any]) -> None:
        """Add an outlined object."""
        made = self._objects.made
        if made is None or tile.layer is not made.seen.choice.layer:
            return
        whole = np.zeros(made.plane.objects.numbers.shape, np.bool_)
        whole[tile.region or (slice(None), slice(None))] = mask
        name = self._panel.chosen_class()
        row = self._objects.row_of(name)
        number = self._objects.highest() + 1

        def change(plane: PlaneObjects) -> PlaneObjects:
            known = plane if row is None else plane.with_class(row)
            new = add(known.objects, whole, known.label_of(name), number - 1)
            return replace(known, edited=known.edited.after_edit(new))

        self._objects.edit(change, ui_text.drawn(number=number, name=name))

    def on_drawn(self, layer: ObjectsLayer) -> None:
        """Take what the user has drawn into the layer, by a tool here or by one of napari."""
        made = self._objects.made
        if made is None or made.seen.choice.layer is not layer.image:
            return
        before, numbers = made.plane.objects, layer.numbers(made.seen.choice)
        drawn = layer.drawn_elsewhere(made.seen.choice)
        changed = before.numbers != numbers
        if not changed.any() and not drawn:
            return
        name = self._panel.chosen_class()
        new = [one for one in np.unique(numbers[changed]).tolist() if one not in before.ids and one]
        more = self.tool == "draw" and len(new) == 1 and self._drawn in before.ids
        if more and touches(before, numbers == new[0], self._drawn):
            for one in (numbers, *drawn.values()):
                one[one == new[0]] = self._drawn
            new = [self._drawn]
        row = self._objects.row_of(name)

        def change(plane: PlaneObjects, numbers: NDArray[np.int32]) -> PlaneObjects:
            known = plane if row is None else plane.with_class(row)
            new = redraw(known.objects, numbers, known.label_of(name))
            return replace(known, edited=known.edited.after_edit(new))

        if len(new) == 1:
            self._drawn = new[0]
            message = ui_text.drawn(number=new[0], name=name)
        else:
            touched = {*before.numbers[changed].tolist(), *numbers[changed].tolist()} - {0}
            message = ui_text.redrawn(len(touched))
        self._objects.redraw({**drawn, made.seen.choice.plane: numbers}, change, message)
        self._next_number()
