"""Move the viewer to an object, or to a split or merge."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from napari.layers import Image

from ...objects.linked_planes import LinkEvent
from .. import ui_text
from ..layers.image_view import go_to_box, go_to_plane
from ..object_work import MadeObjects
from ..panels.objects_panel import ObjectsPanel
from ..state import DockState
from .base import Controller
from .kept_objects import KeptObjects


class PlacedObjects(Protocol):
    """The objects to go to."""

    made: MadeObjects | None

    def of(self, image: Image) -> KeptObjects:
        """Return the objects of an image."""


class ObjectPlaces(Controller):
    """Moves sliders and camera.

    Parameters
    ----------
    state : DockState
    panel : ObjectsPanel
    objects : PlacedObjects
    """

    def __init__(self, state: DockState, panel: ObjectsPanel, objects: PlacedObjects) -> None:
        super().__init__(panel)
        self._state = state
        self._objects = objects
        panel.largest_wanted.connect(self.go_to_largest)

    def go_to(self, number: int) -> None:
        """Move the view to an object; in 3-D, also to one that is on other planes."""
        made = self._objects.made
        if made is None:
            return
        with self.showing_errors():
            choice, plane = replace(made.seen.choice, region=None), made.plane
            if made.volume is not None and number not in plane.objects.ids:
                first = made.volume.whole.objects.box_of(number)[0].start
                choice = made.volume.choices[first]
                plane = made.volume.planes[choice.plane]
            rows, columns = plane.objects.box_of(number)
            go_to_box(self._state.viewer, choice, (rows, columns))

    def go_to_largest(self, name: str) -> None:
        """Move the view to the largest object of a class."""
        made = self._objects.made
        if made is None:
            return
        number = made.every.objects.largest_of(made.every.label_of(name))
        if number:
            self.go_to(number)
        else:
            self.message.emit(ui_text.no_object_of(name), False)

    def go_to_event(self, event: LinkEvent) -> None:
        """Move the sliders and the view to a split or merge."""
        choice = self._state.on_screen
        if choice is None:
            return
        kept = self._objects.of(choice.layer)
        there = replace(choice, plane=event.plane, region=None)
        with self.showing_errors():
            go_to_plane(self._state.viewer, there)
            plane = kept.of(kept.key(event.plane), there.shape)
            if plane is None or event.number not in plane.objects.ids:
                self.message.emit(ui_text.object_gone(event.number), False)
                return
            rows, columns = plane.objects.box_of(event.number)
            go_to_box(self._state.viewer, there, (rows, columns))
