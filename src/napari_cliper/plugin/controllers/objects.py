"""The page Objects: splits the labels on the screen, shows the objects, and keeps their edits."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from napari.layers import Image

from ...annotation.class_change import ClassChange
from ...annotation.saved_objects import Key
from ...labels.label_class import ClassRow
from ...objects.edited_objects import Renumbering
from ...objects.linked_planes import Plane
from ...objects.object_set import Numbers
from ...objects.object_stack import stacked, unstacked
from ...objects.plane_objects import ObjectsChoice, PlaneObjects
from .. import shortcuts, ui_text
from ..layers.image_layers import ImageChoice, Region, whole_sides
from ..layers.layer_selection import selection_kept
from ..layers.objects_layer import ObjectsLayer
from ..object_links import LinkedObjectsOfImage
from ..object_work import (
    MadeObjects,
    ObjectsRequest,
    make_objects,
)
from ..panels.objects_panel import ObjectsPanel
from ..qt.listeners import Listeners
from ..state import DockState
from ..worker import Work
from .base import Controller
from .kept_objects import KeptObjects, PlaneStep
from .object_editing import ObjectEditing
from .object_linking import ObjectLinking
from .object_origins import ObjectOrigins
from .object_places import ObjectPlaces
from .object_table import ObjectTable
from .objects_display import ObjectsDisplay
from .objects_page import ObjectsPage
from .objects_requests import ObjectsRequests
from .visible_objects import VisibleObjects

AT_ONCE, REST = 10, 300  # milliseconds without a change before objects are made
QUICK = 0.25  # seconds; if making objects takes longer, it waits for `REST`


class ObjectsController(Controller):
    """The objects of the images of one dock.

    Parameters
    ----------
    state : DockState
    panel : ObjectsPanel
    """

    def __init__(self, state: DockState, panel: ObjectsPanel) -> None:
        super().__init__(panel)
        self._state = state
        self._panel = panel
        self._viewer = viewer = state.viewer
        self.made: MadeObjects | None = None
        """The objects of the plane on the screen; None if there are none."""
        self._kept: WeakKeyDictionary[Image, KeptObjects] = WeakKeyDictionary()
        self._listeners = Listeners()
        self._in_sight = False
        self._began = 0.0
        self._missed = False  # objects that were made during a stroke were not shown
        self._making = self.newest(self._snapshot, self._on_made, self._on_failed)
        self._timer = self.timer(AT_ONCE, self._on_rest)
        self._origins = self.own(ObjectOrigins(state, panel))
        self._requests = ObjectsRequests(state, self._origins)
        self._visible = self.own(VisibleObjects(panel, viewer, self._request_of_part))
        self._visible.found.connect(self._on_part)
        keys = {shortcuts.UNDO: self.undo, shortcuts.REDO: self.redo}
        self._display = self.own(ObjectsDisplay(viewer, panel, keys))
        self._tools = self.own(ObjectEditing(state, panel, self))
        self._display.drawn.connect(self._tools.on_drawn)
        self._display.released.connect(self._on_released)
        self._display.removed.connect(self._tools.end)
        self.table = self.own(ObjectTable(panel))
        self._linking = self.own(ObjectLinking(state, panel, self._origins, self))
        self._page = self.own(ObjectsPage(state, panel, self._tools, self._origins))
        self._places = self.own(ObjectPlaces(state, panel, self))
        self.table.writing.connect(self._show)
        for part in (self._tools, self._origins, self.table, self._linking, self._places):
            part.message.connect(self.message)
        self._origins.chosen.connect(self.come_from)
        self.table.chosen.connect(self._places.go_to)
        self.table.event_chosen.connect(self._places.go_to_event)
        for signal in (
            state.image_changed,
            state.result_changed,
            state.prediction_changed,
            state.annotation_changed,
            state.classes_changed,
        ):
            signal.connect(self.follow)
        state.annotations.class_changed.connect(self._on_class_changed)
        state.annotations.begun.connect(self._on_begun)
        state.leaving.connect(self._on_leaving)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            self._listeners.connect(self, event, self._on_layers)
        panel.seen.connect(self._on_seen)
        panel.valueChanged.connect(self._on_choice)
        panel.show_toggled.connect(self._show_layer)
        panel.class_chosen.connect(state.select_class)
        panel.remove_wanted.connect(self._on_remove)
        panel.table_wanted.connect(self.table.open)
        panel.undo_wanted.connect(self.undo)
        self._show()

    def close(self) -> None:
        """End the tools and disconnect all events; the layers stay."""
        super().close()
        self._listeners.clear()

    # ------------------------------------------------------------------ following

    def _on_seen(self, in_sight: bool) -> None:
        if in_sight == self._in_sight or self.closed:
            return
        self._in_sight = in_sight
        if not in_sight:
            self._tools.end()
        self._show_layer()
        self.follow()

    def follow(self, _changed: object = None) -> None:
        """Make the objects soon, if the page is visible."""
        if self._in_sight and not self.closed:
            self._timer.start()
            if self._timer.interval() != AT_ONCE:
                self._visible.follow()

    def _on_rest(self) -> None:
        if self._in_sight:
            self._making.request()

    def of(self, image: Image) -> KeptObjects:
        """Return the objects of an image, those that were saved with its annotation included."""
        if image not in self._kept:
            annotation = self._state.annotations.of(image)
            saved = None if annotation is None else annotation.objects
            self._kept[image] = KeptObjects(saved)
        return self._kept[image]

    def _on_begun(self, annotation: Any) -> None:
        """Use the objects that come with an annotation, as from a project."""
        if annotation.objects is not None:
            self._kept[annotation.image] = KeptObjects(annotation.objects)
            self.follow()

    def _on_class_changed(self, change: ClassChange) -> None:
        for kept in self._kept.values():
            kept.change_class(change)
        self.follow()

    def _on_leaving(self, image: Image) -> None:
        if self._display.of(image) is not None:
            self._tools.end()
            self._display.forget(image)
        self._kept.pop(image, None)

    def _snapshot(self) -> Work | None:
        """The work that makes the objects; None, and an empty page, if there are no labels."""
        if not self._in_sight:
            return None  # the page was left in the meantime
        choice = self._state.on_screen
        if choice is None or self.closed:
            self._forget()
            return None
        kept = self.of(choice.layer)
        self._panel.setValue(kept.saved.choice)
        request = self._requests.of_plane(choice, kept)
        if request is None:
            self._forget()
            return None
        self._began = time.monotonic()
        version = kept.version
        return lambda report, stop: (kept, version, make_objects(request, report, stop))

    def _request_of_part(self) -> tuple[KeptObjects, ObjectsRequest] | None:
        """The request for the visible objects of a plane that takes long."""
        choice, made = self._state.on_screen, self.made
        if choice is None or made is None or made.seen.choice.key[:2] != choice.key[:2]:
            return None
        kept = self.of(choice.layer)
        request = self._requests.of_plane(choice, kept)
        fixed = request is None or request.fixed or request.volume
        return None if request is None or fixed else (kept, request)

    def _on_part(self, choice: ImageChoice, part: Region, numbers: Any) -> None:
        layer, now = self._display.of(choice.layer), self._state.on_screen
        same = now is not None and now.key[:2] == choice.key[:2]
        if layer is not None and same and self._timer.isActive():
            layer.show_part(choice, part, numbers)

    def _on_made(self, result: tuple[KeptObjects, int, MadeObjects]) -> None:
        kept, version, made = result
        self._timer.setInterval(AT_ONCE if time.monotonic() - self._began < QUICK else REST)
        choice = made.seen.choice
        if self.closed or self._kept.get(choice.layer) is not kept:
            return
        if kept.version != version:
            self._making.request()  # an object was edited meanwhile
            return
        layer = self._display.of(choice.layer)
        if layer is not None and layer.drawing:
            self._missed = True
            return
        if made.smallest is not None:
            kept.set_smallest(made.smallest)
        kept.measured = made.measured or kept.measured
        kept.keep(kept.key(choice.plane), made.plane, made.record)
        if made.volume is not None:
            kept.keep_volume(made.volume.planes, made.volume.records)
        self._store(choice, changed=False)
        now = self._state.on_screen
        if now is None or now.layer is not choice.layer or now.plane != choice.plane:
            return
        self._panel.setValue(kept.saved.choice)
        before, self.made = self.made, made
        self._show_layer()
        self._show()
        self.table.follow(made, kept.links or ())
        if made.origin and before is not None and before.origin == made.origin:
            changed = made.plane.changed_classes(before.plane)
            if changed:
                self.message.emit(ui_text.others_changed(changed), False)

    def _on_failed(self, text: str) -> None:
        if self.made is not None and self.made.origin != self._origin():
            self._forget()
        self.say_error(text)

    def _forget(self) -> None:
        self.made = None
        self._display.lock()
        self._show()
        self.table.follow(None)

    def come_from(self, origin: str) -> None:
        """Show the objects of another origin: empty for the labels, else the name of a layer."""
        choice = self._state.on_screen
        if choice is None or origin == self.of(choice.layer).saved.origin:
            return
        self._tools.end()
        self.of(choice.layer).come_from(origin)
        self._store(choice, changed=True)
        self.follow()

    def _on_layers(self, _event: Any = None) -> None:
        """Other layers may be the origin of objects."""
        if self._in_sight:
            self._show()

    def _store(self, choice: ImageChoice, *, changed: bool) -> None:
        """Keep the objects with the annotation; edits need one."""
        annotation, saved = self._state.annotations.of(choice.layer), self.of(choice.layer).saved
        if annotation is None and changed and saved.touched:
            with self.showing_errors(), selection_kept(self._viewer.layers):
                annotation = self._state.annotations.begin(choice.layer, choice.name)
        if annotation is not None:
            annotation.keep_objects(saved, changed=changed)

    # ------------------------------------------------------------------ the layer

    def layer_of(self, choice: ImageChoice) -> ObjectsLayer:
        """Return the layer of the objects of an image; add one if there is none."""
        return self._display.layer_of(choice)

    def _on_released(self) -> None:
        if self._missed:
            self._missed = False
            self.follow()

    def _show_layer(self, _toggled: object = None) -> None:
        self._display.show(self.made, wanted=self._in_sight)

    # ------------------------------------------------------------------ edits

    def edit(
        self,
        change: Callable[[PlaneObjects], PlaneObjects],
        message: str,
        numbers: Collection[int] = (),
        *,
        linked: bool = False,
    ) -> None:
        """Change the objects on the screen, as one undo step.

        Parameters
        ----------
        change : callable
            Takes and returns the objects; may raise an `InvalidInputError`, which is shown.
        message : str
            What to say afterwards.
        numbers : collection of int
            Of the objects that change; in 3-D, they change on all of their planes.
        linked : bool
            Whether linked objects change on all of their planes too.
        """
        made = self.made
        if made is None:
            return
        with self.showing_errors():
            before = self._changed_with(numbers, linked=linked)
            if made.volume is not None and len(before) > 1:
                changed = unstacked(change(stacked(list(before.values()))))
                after = dict(zip(before, changed, strict=True))
            else:
                after = {key: change(plane) for key, plane in before.items()}
            self._apply(made, before, after, message)

    def redraw(
        self,
        drawn: Mapping[Plane, Numbers],
        change: Callable[[PlaneObjects, Numbers], PlaneObjects],
        message: str,
    ) -> None:
        """Change the objects of planes on which the user has drawn, as one undo step.

        Parameters
        ----------
        drawn : mapping of tuple to int32 array
            The numbers by plane, that on the screen included.
        change : callable
            Takes the objects of a plane and its drawn numbers, and returns the objects.
        message : str
        """
        made = self.made
        if made is None:
            return
        with self.showing_errors():
            kept, sides = self.of(made.seen.choice.layer), whole_sides(made.seen.choice)
            before = {(made.origin, made.seen.choice.plane): made.plane}
            for plane in drawn.keys() - {made.seen.choice.plane}:
                key = made.origin, plane
                before[key] = kept.of(key, sides) or PlaneObjects.empty(sides, made.plane.classes)
            after = {key: change(one, drawn[key[1]]) for key, one in before.items()}
            self._apply(made, before, after, message)

    def _apply(
        self,
        made: MadeObjects,
        before: Mapping[Key, PlaneObjects],
        after: Mapping[Key, PlaneObjects],
        message: str,
    ) -> None:
        """Use changed objects of the plane on the screen, and of others."""
        choice = made.seen.choice
        here = made.origin, choice.plane  # another origin may be chosen already
        self.of(choice.layer).edit_planes({key: (before[key], after[key]) for key in before})
        layer = self._display.of(choice.layer)
        if layer is not None:
            others = {at[1]: one.objects.numbers for at, one in after.items() if at != here}
            layer.show_planes(others)
        self._use(choice, made.origin, after[here], message)

    def whole(self, numbers: Collection[int]) -> PlaneObjects | None:
        """Return what `edit` changes with these objects: the plane, or several planes in 3-D."""
        if self.made is None:
            return None
        planes = list(self._changed_with(numbers).values())
        return planes[0] if len(planes) == 1 else stacked(planes)

    def _changed_with(
        self, numbers: Collection[int], *, linked: bool = False
    ) -> dict[Key, PlaneObjects]:
        """The plane on the screen, and others that change with it, in the order of the planes."""
        made = self.made
        if made is None:
            return {}
        choice = made.seen.choice
        kept = self.of(choice.layer)
        here = made.origin, choice.plane
        planes = {here: made.plane}
        linked = linked and kept.links is not None
        deep = None if linked else made.volume
        among = None if deep is None else {one.plane for one in deep.choices}
        if among is not None or linked:
            found = kept.with_numbers(numbers, whole_sides(choice))
            planes |= {
                key: one
                for key, one in found.items()
                if key != here and (among is None or key[1] in among)
            }
        return dict(sorted(planes.items()))

    def highest(self) -> int:
        """Return the highest number that any object of the image ever had."""
        return 0 if self.made is None else self.of(self.made.seen.choice.layer).highest()

    def undo(self) -> None:
        """Undo the last edit of an object."""
        self._step(KeptObjects.undo, ui_text.EDIT_UNDONE, ui_text.NO_EDIT)

    def redo(self) -> None:
        """Redo the last undone edit."""
        self._step(KeptObjects.redo, ui_text.EDIT_REDONE, ui_text.NO_EDIT)

    def _step(
        self, step: Callable[[KeptObjects], list[PlaneStep]], done: str, nothing: str
    ) -> None:
        choice = self._state.on_screen
        if choice is None:
            self.say_error(self._state.why_nothing_seen)
            return
        kept = self.of(choice.layer)
        taken = step(kept)
        if not taken:
            self.message.emit(nothing, False)
            return
        layer = self._display.of(choice.layer)
        for one in taken:
            origin, plane = one.key
            if layer is None or plane == choice.plane or origin != kept.saved.origin:
                continue
            if isinstance(one.step, Renumbering):
                layer.renumber(plane, one.step.inverse().numbers)
            elif (objects := kept.of(one.key, whole_sides(choice))) is not None:
                layer.show_planes({plane: objects.objects.numbers})
        now = kept.of(kept.key(choice.plane), whole_sides(choice))
        if now is not None:
            self._use(choice, kept.saved.origin, now, done)
        else:  # on other planes only
            self._store(choice, changed=True)
            self.message.emit(done, False)

    def use_linked(self, choice: ImageChoice, linked: LinkedObjectsOfImage, message: str) -> None:
        """Show linked objects on all planes, as one undo step."""
        planes = linked.found.planes
        layer = self._display.of(choice.layer)
        if layer is not None:
            others = {at: one for at, one in planes.items() if at != choice.plane}
            layer.show_planes({at: one.objects.numbers for at, one in others.items()})
        now = self._state.on_screen
        shown = None if now is None or now.layer is not choice.layer else planes.get(now.plane)
        if now is not None and shown is not None:
            self._use(now, linked.origin, shown, message)
        else:
            self._store(choice, changed=True)

    def _use(self, choice: ImageChoice, origin: str, plane: PlaneObjects, message: str) -> None:
        """Show edited objects at once, save them, and bring counts and scores up to date."""
        made = self.made
        if made and (made.origin, made.seen.choice.key[:2]) == (origin, choice.key[:2]):
            kept, sides = self.of(choice.layer), whole_sides(choice)
            deep = made.volume and made.volume.edited(lambda at: kept.of((origin, at), sides))
            self.made = replace(made, plane=plane, volume=deep)
            layer = self._display.of(choice.layer)
            if layer is not None:
                layer.show(choice, plane.objects.numbers)
        self._store(choice, changed=True)
        self._making.request()
        self.message.emit(message, False)

    def _on_choice(self, choice: ObjectsChoice) -> None:
        on_screen = self._state.on_screen
        if on_screen is None:
            return
        kept = self.of(on_screen.layer)
        if choice != kept.saved.choice:
            kept.choose(choice)
            self._store(on_screen, changed=True)
            self.follow()

    # ------------------------------------------------------------------ the page

    def row_of(self, name: str) -> ClassRow | None:
        """Return a class by its name, of the table or of the objects."""
        made = self.made
        rows = (*self._state.labelled_rows, *(() if made is None else made.plane.classes.values()))
        return next((row for row in rows if row.name.casefold() == name.casefold()), None)

    def _show(self) -> None:
        """Show counts, and what can be done."""
        made = self.made
        self._linking.show()
        if made is None:
            self._page.show_none(self._origin())
        else:
            self._page.show(made, self.of(made.seen.choice.layer), busy=self.table.writes)

    def _origin(self) -> str:
        choice = self._state.on_screen
        return "" if choice is None else self.of(choice.layer).saved.origin

    def _on_remove(self) -> None:
        self._state.annotations.remove_smaller(self._panel.value().smallest)
