"""Link the objects of a stack from plane to plane, and go to their splits and merges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Protocol

from napari.layers import Image

from ...annotation.saved_objects import SavedObjects
from ...objects.linked_planes import LinkEvent
from .. import ui_text
from ..layers.image_layers import ImageChoice, axis_name, depth_of, geometry_of, image_shape
from ..object_links import LinkedObjectsOfImage, LinkRequest, PlaneSource, link_objects
from ..panels.objects_panel import ObjectsPanel
from ..state import DockState, SeenLabels
from .base import Controller
from .kept_objects import KeptObjects
from .object_origins import ObjectOrigins


class LinkedHost(Protocol):
    """The objects that are linked."""

    def of(self, image: Image) -> KeptObjects:
        """Return the objects of an image."""

    def use_linked(self, choice: ImageChoice, linked: LinkedObjectsOfImage, message: str) -> None:
        """Show linked objects."""


class ObjectLinking(Controller):
    """The button *Link through z*.

    Parameters
    ----------
    state : DockState
    panel : ObjectsPanel
    origins : ObjectOrigins
    objects : LinkedHost
    """

    def __init__(
        self, state: DockState, panel: ObjectsPanel, origins: ObjectOrigins, objects: LinkedHost
    ) -> None:
        super().__init__(panel)
        self._state = state
        self._panel = panel
        self._origins = origins
        self._objects = objects
        panel.link_wanted.connect(self.link)
        state.main_job.busy_changed.connect(self.show)

    def show(self, _changed: object = None) -> None:
        """Offer the axes of the image on the screen."""
        choice = self._state.on_screen
        if choice is None:
            self._panel.show_stack((), "", deep=False)
            return
        why_not = ui_text.LINK_BUSY if self._state.main_job.job is not None else ""
        saved = self._objects.of(choice.layer).saved
        deep = depth_of(choice) is not None and not saved.origin
        axes = _axes(choice, _depth(choice, saved))
        if not axes and _axes(choice):
            axes, why_not = _axes(choice), ui_text.LINKED_3D
        names = [axis_name(choice.layer, axis) for axis in axes]
        self._panel.show_stack(names, why_not, deep=deep)

    def link(self) -> None:
        """Link the objects of all planes of the image on the screen."""
        choice = self._state.on_screen
        if choice is None:
            return
        kept = self._objects.of(choice.layer)
        if not _axes(choice, _depth(choice, kept.saved)):
            return
        with self.showing_errors():
            request = self._request(choice, kept)
            version = kept.version

            def on_linked(linked: LinkedObjectsOfImage) -> str:
                return self._on_linked(choice, kept, version, linked)

            self._state.main_job.start_told(partial(link_objects, request), on_linked)

    def _request(self, choice: ImageChoice, kept: KeptObjects) -> LinkRequest:
        sizes = image_shape(choice.layer)[:-2]
        planes = [replace(choice, plane=at, region=None) for at in product(*map(range, sizes))]
        origin = kept.saved.origin
        sources = plane_sources(self._state, kept, planes)
        if origin:
            classes = dict(enumerate(self._state.labelled_rows, 1))
            sources = [
                replace(one, first=self._origins.objects_in(origin, one.choice, classes))
                for one in sources
            ]
        axes = geometry_of(choice.layer)["axes"]
        moving = len(sizes) == 1 and axes[0] == "T"
        depth = _depth(choice, kept.saved)
        names = [axis_name(choice.layer, axis) for axis in _axes(choice, depth)]
        return LinkRequest(origin, sources, kept.saved.choice, kept.highest(), names, moving, depth)

    def _on_linked(
        self,
        choice: ImageChoice,
        kept: KeptObjects,
        version: int,
        linked: LinkedObjectsOfImage,
    ) -> str:
        if self.closed or kept is not self._objects.of(choice.layer):
            return ""
        if kept.version != version:
            return ui_text.LINK_AGAIN
        kept.link(linked.origin, linked.found, linked.records)
        found = linked.found
        message = ui_text.linked(
            axes=linked.axes,
            objects=found.objects,
            linked=found.linked,
            splits=sum(one.kind == "split" for one in found.events),
            merges=sum(one.kind == "merge" for one in found.events),
            farthest=found.farthest,
            volumes=found.depth is not None,
        )
        self._objects.use_linked(choice, linked, message)
        return message


def plane_sources(
    state: DockState, kept: KeptObjects, planes: Sequence[ImageChoice]
) -> list[PlaneSource]:
    """Return what the objects of some planes of the image on the screen are made from."""
    seen: list[Callable[[], SeenLabels | None] | None] = [None for _ in planes]
    if not kept.saved.origin:
        seen = state.labels_of_planes(planes)
    return [
        PlaneSource(plane, kept.source(kept.key(plane.plane), plane.shape), labels)
        for plane, labels in zip(planes, seen, strict=True)
    ]


def event_texts(choice: ImageChoice, events: tuple[LinkEvent, ...]) -> list[str]:
    """Return a line for each split and merge of the objects of an image."""
    sizes, texts = image_shape(choice.layer)[:-2], []
    for one in events:
        where = [
            ui_text.axis_index(axis=axis_name(choice.layer, axis), index=index)
            for axis, index in enumerate(one.plane)
            if axis < len(sizes) and sizes[axis] > 1
        ]
        tell = ui_text.link_split if one.kind == "split" else ui_text.link_merge
        texts.append(tell(where=", ".join(where), number=one.number, parts=one.parts))
    return texts


def _axes(choice: ImageChoice, depth: int | None = None) -> list[int]:
    """The axes of the planes or volumes of a stack, without those of length 1."""
    sizes = image_shape(choice.layer)[:-2]
    return [axis for axis, size in enumerate(sizes) if size > 1 and axis != depth]


def _depth(choice: ImageChoice, saved: SavedObjects) -> int | None:
    """The axis along which planes are split as one volume; None if they are split one by one."""
    return depth_of(choice) if saved.choice.volume and not saved.origin else None
