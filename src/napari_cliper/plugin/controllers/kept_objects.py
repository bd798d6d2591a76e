"""The objects of one image while its dock is open: planes, settings, and the history of edits."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...annotation.class_change import ClassChange
from ...annotation.saved_objects import Key, SavedObjects, plane_from_record, plane_record
from ...objects.edited_objects import Renumbering, Step
from ...objects.linked_planes import LinkedPlanes, LinkEvent, Plane
from ...objects.object_features import ObjectFeatures
from ...objects.plane_objects import Classes, ObjectsChoice, PlaneObjects

_STEPS_KEPT = 100  # as in napari's Labels layers

Record = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class PlaneStep:
    """Undoes an edit of a plane.

    Parameters
    ----------
    key : Key
    step : Step
    classes : mapping of int to ClassRow
        Of the labels of the step, which may change later.
    records : (mapping, mapping), optional
        The objects before and after the edit, as saved, if both are known. Where nothing has
        changed since, they save the time for packing them.
    """

    key: Key
    step: Step
    classes: Classes
    records: tuple[Record, Record] | None = None


Links = Mapping[str, tuple[LinkEvent, ...]]
"""The links before a step, by origin."""


class KeptObjects:
    """The objects of one image.

    Parameters
    ----------
    saved : SavedObjects or None
        The objects saved with the annotation; None if there are none.
    """

    def __init__(self, saved: SavedObjects | None) -> None:
        self.saved = saved or SavedObjects()
        self.sizing = saved is None
        """Whether the smallest size is to be set from the next objects."""
        self._size_chosen = saved is not None
        self.measured: ObjectFeatures | None = None
        """Features of the objects of another program that were classified last."""
        self.version = 0
        """Increases with each edit; results made from an earlier version are dropped."""
        self._planes: dict[Key, PlaneObjects] = {}
        self._done: deque[tuple[list[PlaneStep], Links]] = deque(maxlen=_STEPS_KEPT)
        self._undone: deque[tuple[list[PlaneStep], Links]] = deque(maxlen=_STEPS_KEPT)

    # ------------------------------------------------------------------ planes

    def key(self, plane: tuple[int, ...]) -> Key:
        """Return the key of a plane of the objects that are shown."""
        return self.saved.origin, plane

    def of(self, key: Key, shape: tuple[int, ...]) -> PlaneObjects | None:
        """Return the objects of a plane; None if it has none of this shape."""
        found = self._planes.get(key)
        if found is None and key in self.saved.planes:
            found = plane_from_record(self.saved.planes[key], shape)
        return found if found is not None and found.objects.numbers.shape == shape else None

    def source(self, key: Key, shape: tuple[int, int]) -> PlaneObjects | Record | None:
        """Return the objects of a plane, or their record, which a thread can read."""
        found = self._planes.get(key)
        if found is not None and found.objects.numbers.shape == shape:
            return found
        return self.saved.planes.get(key)

    @property
    def links(self) -> tuple[LinkEvent, ...] | None:
        """Splits and merges of the objects that are shown; None if they are not linked."""
        return self.saved.links.get(self.saved.origin)

    def with_numbers(
        self, numbers: Collection[int], shape: tuple[int, int]
    ) -> dict[Key, PlaneObjects]:
        """Return the planes of the objects that are shown on which one of the numbers occurs."""
        found, wanted = {}, {*numbers}
        for key, record in self.saved.planes.items():
            if key[0] != self.saved.origin:
                continue
            shown = self._planes.get(key)
            if wanted.isdisjoint(record.get("ids", ()) if shown is None else _ids(shown)):
                continue
            plane = self.of(key, shape)
            if plane is not None and not wanted.isdisjoint(_ids(plane)):
                found[key] = plane
        return found

    def highest(self) -> int:
        """Return the highest number ever used in any plane."""
        shown = [one.edited.highest for one in self._planes.values()]
        return max([*shown, self.saved.highest])

    def keep(self, key: Key, plane: PlaneObjects, record: object = None) -> None:
        """Use other objects of a plane; `record` is theirs if it is known already."""
        if not isinstance(record, dict):
            record = plane_record(plane, self._planes.get(key), self.saved.planes.get(key))
        self._planes[key] = plane
        self._record(key, record)

    def _record(self, key: Key, record: Mapping[str, Any]) -> None:
        self.saved = self.saved.with_plane(key, record)

    def keep_volume(
        self, planes: Mapping[Plane, PlaneObjects], records: Mapping[Plane, Record]
    ) -> None:
        """Use other objects of several planes; `records` has those that have changed."""
        for plane, objects in planes.items():
            key = self.key(plane)
            self._planes[key] = objects
            if plane in records:
                self._record(key, records[plane])

    def choose(self, choice: ObjectsChoice) -> None:
        """Use other settings of the user.

        For volumes, the smallest size is set again, unless the user has chosen it. Splitting in 3-D
        gives other numbers than splitting by plane, so links are dropped.
        """
        before, links = self.saved.choice, self.saved.links
        if choice.volume != before.volume:
            links = {origin: events for origin, events in links.items() if origin}
        self._size_chosen |= choice.smallest != before.smallest
        self.sizing = not self._size_chosen and (self.sizing or choice.volume != before.volume)
        self.saved = replace(self.saved, choice=choice, links=links)
        self.version += 1

    def set_smallest(self, smallest: int) -> None:
        """Use the smallest size that was set from the objects."""
        self.saved = replace(self.saved, choice=replace(self.saved.choice, smallest=smallest))
        self.sizing = False

    def come_from(self, origin: str) -> None:
        """Show the objects of another origin."""
        self.saved = replace(self.saved, origin=origin)
        self.version += 1

    def change_class(self, change: ClassChange) -> None:
        """Rename, merge or delete a class."""
        new = "" if change.new is None else change.new.name
        self.saved = self.saved.renamed({change.old.casefold(): new})
        self.version += 1
        for key, plane in self._planes.items():
            self._planes[key] = replace(plane, classes=_changed(plane.classes, change))
        for steps in (self._done, self._undone):
            for planes, _links in steps:
                planes[:] = [
                    replace(one, classes=_changed(one.classes, change), records=None)
                    for one in planes
                ]

    # ------------------------------------------------------------------ edits

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to undo."""
        return bool(self._done)

    def edit_planes(self, planes: Mapping[Key, tuple[PlaneObjects, PlaneObjects]]) -> None:
        """Use edited objects of several planes, as one undo step.

        Parameters
        ----------
        planes : mapping of Key to (PlaneObjects, PlaneObjects)
            Before and after.
        """
        steps = [
            PlaneStep(key, before.edited.before_edit(after.edited), before.classes)
            for key, (before, after) in planes.items()
        ]
        self._begin(steps)
        for key, (_before, after) in planes.items():
            self.keep(key, after)

    def link(
        self, origin: str, linked: LinkedPlanes, records: Mapping[Plane, tuple[Record, Record]]
    ) -> None:
        """Use linked objects of all planes, as one undo step.

        Parameters
        ----------
        origin : str
        linked : LinkedPlanes
        records : mapping of tuple to (mapping, mapping)
            Of each plane, before and after, as saved.
        """
        steps = []
        for plane, objects in linked.planes.items():
            new = {after: before for before, after in linked.new[plane].items()}
            step = Renumbering(objects.objects.numbers.shape, new)
            steps.append(PlaneStep((origin, plane), step, objects.classes, records[plane]))
        self._begin(steps)
        for plane, objects in linked.planes.items():
            if (origin, plane) in self._planes:
                self._planes[origin, plane] = objects
        own = {(origin, plane): after for plane, (_before, after) in records.items()}
        self.saved = replace(
            self.saved,
            planes={**self.saved.planes, **own},
            links={**self.saved.links, origin: linked.events},
        )

    def _begin(self, steps: list[PlaneStep]) -> None:
        self._done.append((steps, self.saved.links))
        self._undone.clear()
        self.version += 1

    def undo(self) -> list[PlaneStep]:
        """Undo the last edit; returns the step that redoes it, or nothing if there is none."""
        return self._step(self._done, self._undone)

    def redo(self) -> list[PlaneStep]:
        """Redo the last undone edit; returns the step that undoes it again."""
        return self._step(self._undone, self._done)

    def _step(
        self,
        taken: deque[tuple[list[PlaneStep], Links]],
        given: deque[tuple[list[PlaneStep], Links]],
    ) -> list[PlaneStep]:
        while taken:
            steps, links = taken.pop()
            back: list[PlaneStep] = []
            for one in steps:
                again = self._take_back(one)
                if again is not None:
                    back.append(again)
            if back:
                given.append((back, self.saved.links))
                self.saved = replace(self.saved, links=links)
                self.version += 1
                return back
        return []

    def _take_back(self, one: PlaneStep) -> PlaneStep | None:
        """Undo an edit of a plane; returns the step that redoes it, None if the plane is gone."""
        key = one.key
        if one.records is not None and key not in self._planes:
            before, after = one.records
            if self.saved.planes.get(key) is after and isinstance(one.step, Renumbering):
                self._record(key, before)
                return replace(one, step=one.step.inverse(), records=(after, before))
        now = self.of(key, one.step.shape)
        if now is None:
            return None  # the image was replaced by one of another size
        then = now.with_classes(one.classes)
        edited, again = then.edited.taken_back(one.step)
        objects = replace(then, edited=edited).with_classes(now.classes)
        if key in self._planes:
            self._planes[key] = objects
        self._record(key, plane_record(objects))
        return PlaneStep(key, again, then.classes)


def _ids(plane: PlaneObjects) -> list[int]:
    numbers: list[int] = plane.objects.ids.tolist()
    return numbers


def _changed(classes: Classes, change: ClassChange) -> Classes:
    """Classes by label after a class was renamed, merged or deleted."""
    rows = {
        label: row if not change.is_of(row.name) else change.new for label, row in classes.items()
    }
    return {label: row for label, row in rows.items() if row is not None}
