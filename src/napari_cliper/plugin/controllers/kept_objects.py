"""The objects of one image while its dock is open: planes, settings, and the history of edits."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from ...annotation.class_change import ClassChange
from ...annotation.saved_objects import Key, SavedObjects, plane_from_record, plane_record
from ...objects.edited_objects import EditStep
from ...objects.plane_objects import Classes, ObjectsChoice, PlaneObjects

_STEPS_KEPT = 100  # as in napari's Labels layers

Step = tuple[Key, EditStep, Classes]
"""What undoes an edit of a plane, with the classes of its labels, which may change later."""


class KeptObjects:
    """The objects of one image.

    Parameters
    ----------
    saved : SavedObjects
        As they were saved with the annotation.
    """

    def __init__(self, saved: SavedObjects) -> None:
        self.saved = saved
        self.version = 0
        """Grows with each edit; what was made from an earlier version is dropped."""
        self._planes: dict[Key, PlaneObjects] = {}
        self._done: deque[Step] = deque(maxlen=_STEPS_KEPT)
        self._undone: deque[Step] = deque(maxlen=_STEPS_KEPT)

    # ------------------------------------------------------------------ planes

    def key(self, plane: tuple[int, ...]) -> Key:
        """Return the key of a plane of the objects that are shown."""
        return self.saved.origin, plane

    def of(self, key: Key, shape: tuple[int, int]) -> PlaneObjects | None:
        """Return the objects of a plane; None if it has none of this shape."""
        found = self._planes.get(key)
        if found is None and key in self.saved.planes:
            found = plane_from_record(self.saved.planes[key], shape)
        return found if found is not None and found.objects.numbers.shape == shape else None

    def highest(self) -> int:
        """Return the highest number that was ever given in any plane."""
        shown = [one.edited.highest for one in self._planes.values()]
        return max([*shown, self.saved.highest])

    def keep(self, key: Key, plane: PlaneObjects, record: object = None) -> None:
        """Use other objects of a plane; `record` is theirs if it is known already."""
        self._planes[key] = plane
        own = record if isinstance(record, dict) else plane_record(plane)
        self.saved = self.saved.with_plane(key, own)

    def choose(self, choice: ObjectsChoice) -> None:
        """Use other settings."""
        self.saved = replace(self.saved, choice=choice)
        self.version += 1

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
            for _ in range(len(steps)):
                key, step, classes = steps.popleft()
                steps.append((key, step, _changed(classes, change)))

    # ------------------------------------------------------------------ edits

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._done)

    def edit(self, key: Key, before: PlaneObjects, after: PlaneObjects) -> None:
        """Use edited objects, as one undo step."""
        self._done.append((key, before.edited.before_edit(after.edited), before.classes))
        self._undone.clear()
        self.version += 1
        self.keep(key, after)

    def undo(self) -> bool:
        """Take back the last edit; False if there is none."""
        return self._step(self._done, self._undone)

    def redo(self) -> bool:
        """Make the last edit again that was taken back; False if there is none."""
        return self._step(self._undone, self._done)

    def _step(self, taken: deque[Step], given: deque[Step]) -> bool:
        while taken:
            key, step, classes = taken.pop()
            now = self._planes.get(key)
            if now is None or now.edited.removed.shape != step.shape:
                continue  # the image was replaced by one of another size
            then = now.with_classes(classes)
            after = replace(then, edited=then.edited.undone(step))
            given.append((key, then.edited.before_edit(after.edited), then.classes))
            self.version += 1
            self.keep(key, after.with_classes(now.classes))
            return True
        return False


def _changed(classes: Classes, change: ClassChange) -> Classes:
    """Classes by label after a class was renamed, merged or deleted."""
    rows = {
        label: row if not change.is_of(row.name) else change.new for label, row in classes.items()
    }
    return {label: row for label, row in rows.items() if row is not None}
