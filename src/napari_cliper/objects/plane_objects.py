"""The objects of a plane with the names of their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..labels.label_class import ClassRow
from .classifying import ClassifiedObjects
from .edited_objects import EditedObjects
from .labelled import NO_CLASS
from .numbering import keep_edits, split_region, with_reach
from .object_set import Numbers, Objects, objects_of
from .splitting import SplitSettings, split

Classes = Mapping[int, ClassRow]
"""Classes by label."""


@dataclass(frozen=True)
class ObjectsChoice:
    """How the labels of an image are split into objects.

    Parameters
    ----------
    smallest : int
        Objects with fewer pixels are left out.
    border : bool
        Whether objects that touch the border are objects too.
    diameters : tuple of (str, float)
        Typical diameters in pixels that the user has set, by the name of the class.
    volume : bool
        Whether the planes of a stack along Z are split as one volume.
    """

    smallest: int = 1
    border: bool = True
    diameters: tuple[tuple[str, float], ...] = ()
    volume: bool = False

    def settings(self, classes: Classes) -> SplitSettings:
        """Return the settings of `split` for labels with these classes."""
        given = {name.casefold(): diameter for name, diameter in self.diameters}
        diameters = {
            label: given[row.name.casefold()]
            for label, row in classes.items()
            if row.name.casefold() in given
        }
        return SplitSettings(smallest=self.smallest, border=self.border, diameters=diameters)


@dataclass(frozen=True, eq=False)
class PlaneObjects:
    """The objects of one plane, and their classes.

    Parameters
    ----------
    edited : EditedObjects
        In the shape of the plane.
    classes : mapping of int to ClassRow
        By label. A class is known by its name; its label may change.
    """

    edited: EditedObjects
    classes: Classes

    @classmethod
    def empty(cls, shape: tuple[int, ...], classes: Classes) -> PlaneObjects:
        """Return a plane without objects."""
        return cls(EditedObjects.empty(shape), classes)

    @property
    def objects(self) -> Objects:
        """The objects."""
        return self.edited.objects

    def same_as(self, other: PlaneObjects) -> bool:
        """Return whether the numbers, classes and edits are the same."""
        own, its = self.objects, other.objects
        return (
            self.edited.edited == other.edited.edited
            and np.array_equal(own.numbers, its.numbers)
            and np.array_equal(self.edited.removed, other.edited.removed)
            and [self.name_of(one) for one in own.labels] == [other.name_of(o) for o in its.labels]
        )

    @property
    def names(self) -> dict[int, str]:
        """The names of the classes by label."""
        return {label: row.name for label, row in self.classes.items()}

    def changed_classes(self, earlier: PlaneObjects) -> int:
        """Return how many objects that are not edited have another class than before."""
        both = {*self.objects.ids.tolist()} & {*earlier.objects.ids.tolist()}
        return sum(self.named(one) != earlier.named(one) for one in both - self.edited.edited)

    def named(self, number: int) -> str:
        """Return the name of the class of an object."""
        return self.name_of(self.objects.class_of(number))

    def name_of(self, label: int) -> str:
        """Return the name of a class by its label; ``"object"`` for no class."""
        row = self.classes.get(label)
        return NO_CLASS if row is None else row.name

    def label_of(self, name: str) -> int:
        """Return the label of a class by its name; 0 if there is none."""
        key = name.casefold()
        return next((n for n, row in self.classes.items() if row.name.casefold() == key), 0)

    def with_class(self, row: ClassRow) -> PlaneObjects:
        """Return the objects with one more class, if it is not there yet."""
        if self.label_of(row.name):
            return self
        return replace(self, classes={**self.classes, max(self.classes, default=0) + 1: row})

    def given(self, labels: Mapping[int, int]) -> PlaneObjects:
        """Return objects whose classes were given by hand, even if they do not change.

        Parameters
        ----------
        labels : mapping of int to int
            Labels by number.
        """
        edited = self.edited.after_edit(self.objects.with_labels(labels))
        return replace(self, edited=replace(edited, edited=edited.edited | {*labels}))

    def with_classes(self, classes: Classes) -> PlaneObjects:
        """Return the objects with the labels of other classes.

        Classes are the same if their names are. Those of objects that are not among the others
        stay, with labels above them. Objects whose class was deleted have no class afterwards.
        """
        merged = dict(classes)
        names = {row.name.casefold(): label for label, row in classes.items()}
        used = {*np.unique(self.objects.labels).tolist()}
        moved = dict.fromkeys(used - {*self.classes}, 0)
        free = max([*classes, *self.classes, 0]) + 1
        for label, row in self.classes.items():
            known = names.get(row.name.casefold())
            if known is not None:
                moved[label] = known
            elif label in used:
                moved[label], merged[free], free = free, row, free + 1
        return PlaneObjects(self.edited.relabelled(moved), merged)

    def split_again(
        self,
        labels: NDArray[Any],
        classes: Classes,
        choice: ObjectsChoice,
        *,
        region: tuple[slice, slice] | None = None,
        highest: int = 0,
        spacing: Sequence[float] | None = None,
    ) -> PlaneObjects:
        """Return the objects of changed labels, with the numbers and edits of these objects.

        Parameters
        ----------
        labels : (Y, X) or (Z, Y, X) array of unsigned int
            Of the plane or volume, or of a region of a plane.
        classes : mapping of int to ClassRow
            Of these labels.
        choice : ObjectsChoice
        region : (slice, slice), optional
        highest : int
            The highest number in other planes of the image, so that new numbers are above it.
        spacing : sequence of float, optional
            As in `splitting.split`.
        """
        found = split(labels, choice.settings(classes), spacing=spacing)
        if region is not None:
            numbers = np.zeros(self.objects.numbers.shape, np.int32)
            numbers[region] = found.numbers
            found = replace(found, numbers=numbers)
        known = self.with_classes(classes)
        return replace(known, edited=known.edited.after_split(found, highest))

    def split_part(
        self,
        labels: NDArray[Any],
        classes: Classes,
        choice: ObjectsChoice,
        part: tuple[slice, slice],
        highest: int = 0,
    ) -> Numbers:
        """Return the numbers of a part of `split_again`, such as the visible one, in less time.

        Parameters
        ----------
        labels : (Y, X) array of unsigned int
            Of the whole plane.
        classes, choice, highest
            As for `split_again`.
        part : (slice, slice)

        Returns
        -------
        int32 array
            In the shape of the part. New objects may have other numbers than in `split_again`.
        """
        edited = self.with_classes(classes).edited
        highest = max(highest, edited.highest)
        around, within = with_reach(part, labels.shape)
        found = split_region(
            labels, around, edited.remembered, choice.settings(classes), highest=highest
        )
        earlier = objects_of(edited.objects.numbers[around])
        here = edited.edited & {*earlier.ids.tolist()}
        removed, remembered = edited.removed[around], edited.remembered[around]
        return keep_edits(
            found, earlier, here, removed=removed, remembered=remembered, highest=highest
        ).numbers[within]

    def classified(self, found: ClassifiedObjects) -> PlaneObjects:
        """Return the objects with the classes that scores give them; edited ones keep theirs."""
        edited = self.edited.edited
        pairs = zip(found.objects.ids.tolist(), found.objects.labels.tolist(), strict=True)
        labels = {
            number: self.label_of(found.names[label - 1])
            for number, label in pairs
            if number not in edited
        }
        objects = self.objects.with_labels(labels)
        return replace(self, edited=replace(self.edited, objects=objects))
