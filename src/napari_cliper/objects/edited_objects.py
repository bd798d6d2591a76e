"""Objects of a plane that a person edits, while the labels that they come from may still change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..labels.numbers import mapped
from ..labels.regions import bounding_box
from .numbering import keep_edits, remember
from .object_set import Numbers, Objects, no_objects


@dataclass(frozen=True, eq=False)
class EditedObjects:
    """Objects of a plane, and which of them a person has edited.

    Parameters
    ----------
    objects : Objects
        (Y, X).
    edited : frozenset of int
        Numbers of the edited objects.
    removed : (Y, X) bool array
        Pixels from which objects were deleted or erased.
    remembered : (Y, X) int32 array
        Numbers of present and earlier objects; see `numbering.remember`.
    highest : int
        The highest number ever used.
    """

    objects: Objects
    edited: frozenset[int]
    removed: NDArray[np.bool_]
    remembered: Numbers
    highest: int = 0

    @classmethod
    def of(cls, objects: Objects, highest: int = 0) -> EditedObjects:
        """Return objects that nobody has edited; `highest` as in the class."""
        highest = max(highest, int(objects.ids.max(initial=0)))
        nothing = np.zeros(objects.numbers.shape, bool)
        return cls(objects, frozenset(), nothing, objects.numbers, highest)

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> EditedObjects:
        """Return a plane without objects."""
        return cls.of(no_objects(shape))

    @property
    def touched(self) -> bool:
        """Whether a person has edited or deleted an object."""
        return bool(self.edited) or bool(self.removed.any())

    def after_edit(self, new: Objects) -> EditedObjects:
        """Return the objects after an edit: all that differ from the present ones are edited.

        Parameters
        ----------
        new : Objects
            Of `editing`, or with other classes.
        """
        old = self.objects
        both = np.isin(new.ids, old.ids)
        before = old.labels[np.searchsorted(old.ids, new.ids[both])]
        numbers = {*new.ids[both][new.labels[both] != before].tolist()}
        if new.numbers is old.numbers:
            return replace(self, objects=new, edited=self.edited | numbers)
        changed = old.numbers != new.numbers
        numbers |= {*np.unique(old.numbers[changed]).tolist()}
        numbers |= {*np.unique(new.numbers[changed]).tolist()}
        there = new.numbers > 0
        return replace(
            self,
            objects=new,
            edited=frozenset((self.edited | numbers) & {*new.ids.tolist()}),
            removed=(self.removed | ((old.numbers > 0) & ~there)) & ~there,
            remembered=remember(self.remembered, new),
            highest=max(self.highest, int(new.ids.max(initial=0))),
        )

    def after_split(self, found: Objects, highest: int = 0) -> EditedObjects:
        """Return newly found objects: unchanged ones keep their numbers, edited ones stay.

        Parameters
        ----------
        found : Objects
            Of the changed labels.
        highest : int
            The highest number in other planes of the image, so that new numbers are above it.
        """
        objects = keep_edits(
            found,
            self.objects,
            self.edited,
            removed=self.removed,
            remembered=self.remembered,
            highest=max(highest, self.highest),
        )
        return replace(
            self,
            objects=objects,
            remembered=remember(self.remembered, objects),
            highest=max(self.highest, int(objects.ids.max(initial=0))),
        )

    def relabelled(self, labels: Mapping[int, int]) -> EditedObjects:
        """Return the objects with other labels for the same classes.

        Parameters
        ----------
        labels : mapping of int to int
            New label by present label; other labels stay.
        """
        own = self.objects.labels.tolist()
        new = np.array([labels.get(label, label) for label in own], np.uint16)
        return replace(self, objects=replace(self.objects, labels=new))

    def renumbered(self, new: Mapping[int, int]) -> EditedObjects:
        """Return the objects with other numbers; pixels, classes and edits stay.

        Parameters
        ----------
        new : mapping of int to int
            New number by present number, all different. Other objects keep their numbers, and so do
            objects whose new number belongs to one that keeps its own.
        """
        old = self.objects
        moved = {one: new.get(one, one) for one in old.ids.tolist()}
        stay = {one for one, other in moved.items() if one == other}
        while taken := {one for one, other in moved.items() if other in stay} - stay:
            moved |= {one: one for one in taken}
            stay |= taken
        ids = np.array(list(moved.values()), np.int64)
        order = np.argsort(ids)
        objects = replace(
            old,
            numbers=mapped(old.numbers, old.ids, ids.astype(np.int32)),
            ids=ids[order],
            labels=old.labels[order],
            areas=old.areas[order],
        )
        earlier = np.where(np.isin(self.remembered, old.ids), np.int32(0), self.remembered)
        return replace(
            self,
            objects=objects,
            edited=frozenset(moved[one] for one in self.edited),
            remembered=remember(earlier, objects),
            highest=max(self.highest, int(ids.max(initial=0))),
        )

    def before_edit(self, new: EditedObjects) -> EditStep:
        """Return the step that undoes an edit of these objects, whose result is `new`."""
        pairs = (
            (self.objects.numbers, new.objects.numbers),
            (self.removed, new.removed),
            (self.remembered, new.remembered),
        )
        changed = np.zeros(self.removed.shape, bool)
        for old, other in pairs:
            if old is not other:
                changed |= old != other
        return self._step(bounding_box(changed) or (slice(0, 0),) * changed.ndim)

    def _step(self, box: tuple[slice, ...]) -> EditStep:
        """Return the step that restores these objects; nothing changes outside of `box`."""
        return EditStep(
            self.removed.shape,
            box,
            self.objects.numbers[box].copy(),
            self.removed[box].copy(),
            self.remembered[box].copy(),
            dict(zip(self.objects.ids.tolist(), self.objects.labels.tolist(), strict=True)),
            self.edited,
        )

    def undone(self, step: EditStep) -> EditedObjects:
        """Return the objects as before an edit; labels may have been split again since."""
        objects, removed, remembered = self.objects, self.removed, self.remembered
        if step.numbers.size:
            numbers = objects.numbers.copy()
            removed, remembered = removed.copy(), remembered.copy()
            numbers[step.box] = step.numbers
            removed[step.box] = step.removed
            remembered[step.box] = step.remembered
            objects = objects.with_numbers(numbers, step.box)
        ids = objects.ids.tolist()
        now = zip(ids, objects.labels.tolist(), strict=True)
        labels = [step.labels.get(one, label) for one, label in now]
        objects = replace(objects, labels=np.array(labels, np.uint16))
        edited = step.edited & {*ids}
        return replace(self, objects=objects, edited=edited, removed=removed, remembered=remembered)

    def taken_back(self, step: Step) -> tuple[EditedObjects, Step]:
        """Return the objects as before a step, and the step that redoes it."""
        if isinstance(step, EditStep):
            return self.undone(step), self._step(step.box)
        before = self.renumbered(step.numbers)
        return before, step.inverse()


@dataclass(frozen=True, eq=False)
class Renumbering:
    """Undoes a change of the numbers of objects.

    Parameters
    ----------
    shape : tuple of int
        Of the plane.
    numbers : mapping of int to int
        Earlier number by present number.
    """

    shape: tuple[int, ...]
    numbers: Mapping[int, int]

    def inverse(self) -> Renumbering:
        """Return the step that redoes it."""
        return Renumbering(self.shape, {new: old for old, new in self.numbers.items()})


@dataclass(frozen=True, eq=False)
class EditStep:
    """Undoes an edit: the pixels of a box and the classes of the objects, as they were before.

    Parameters
    ----------
    shape : tuple of int
        Of the plane.
    box : (slice, slice)
    numbers : int32 array
    removed : bool array
    remembered : int32 array
        In the box, before the edit; see `EditedObjects`.
    labels : mapping of int to int
        Labels of all objects by number, before the edit.
    edited : frozenset of int
    """

    shape: tuple[int, ...]
    box: tuple[slice, ...]
    numbers: Numbers
    removed: NDArray[np.bool_]
    remembered: Numbers
    labels: Mapping[int, int]
    edited: frozenset[int]


Step = EditStep | Renumbering
"""Undoes a change of the objects of a plane."""
