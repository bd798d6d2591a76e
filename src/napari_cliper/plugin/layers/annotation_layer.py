"""The annotation of one image: a Labels layer and its edit mask."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Image, Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from ...annotation.chunks import decided_in
from ...annotation.class_change import ClassChange, Relabelled, change_state, relabelled_by
from ...annotation.edit_history import Box, Edits, union
from ...annotation.edit_mask import ACCEPTED, PAINTED, AnnotationState
from ...annotation.label_store import LabelStore
from ...annotation.memory_store import MemoryStore
from ...annotation.merge import Rule, accept, following, moved_by_hint
from ...annotation.saved_objects import OBJECTS, SavedObjects, objects_in
from ...annotation.stored_edits import StoredEdits
from ...annotation.stored_state import StoredState, memory_store_of
from ...annotation.user_hints import CLICKS, Clicks, clicks_in
from ...labels.label_class import ClassRow
from ...labels.labelled_image import LabelledImage
from ...labels.regions import bounding_box
from ...segmentation import Monitor
from .. import ui_text
from ..qt.listeners import Listeners
from ..qt.timers import once
from .annotation_export import gathering
from .image_layers import (
    OUTPUT_KEY,
    ImageChoice,
    Key,
    Region,
    geometry_of,
    labels_shape,
    transforms,
)
from .label_colours import colours_of_labels
from .labels_history import Place, part_of, part_of_step, write_step
from .quick_layers import drawn_when_used


class AnnotationLayer(QObject):
    """A Labels layer of the whole image, with an edit mask that follows changes of the layer.

    Parameters
    ----------
    image : Image
        The annotated image.
    name : str
        Name of the image.
    state : AnnotationState, optional
        Initial annotation. Default: empty.
    """

    changed = Signal()
    """Labels or edit mask have changed."""
    stepped = Signal(bool)
    """The layer has a new undo step; carries whether the user drew it."""
    refused = Signal(str)
    """The layer was given an invalid array, which was replaced; carries the reason."""
    relabelled: Relabelled | None = None

    def __init__(self, image: Image, name: str, state: AnnotationState | None = None) -> None:
        super().__init__()
        self.image = image
        self.name = name
        self.classes: dict[int, ClassRow] = {} if state is None else dict(state.classes)
        self.record: dict[str, Any] = {} if state is None else dict(state.record)
        self.clicks: Clicks = clicks_in(self.record.pop(CLICKS, None))
        self.objects: SavedObjects | None = objects_in(self.record.pop(OBJECTS, None))
        self.edits: Edits | StoredEdits
        self.layer, self.edits = self._opened(state)
        drawn_when_used(self.layer).locked = True  # napari's buttons and keys do not delete it then
        # napari emits an event before it changes the data, or none, so look afterwards.
        self._timer = once(self, 0, self._on_timer)
        self._follows: tuple[Key, NDArray[np.bool_]] | None = None  # pixels that follow hints
        self._painted = False  # napari emits an event for edits, but not for undo and redo
        self._painted_box: Box | None = None  # the part that was painted; None if unknown
        self._writing = False  # the current edit is made by this class
        self._listeners = Listeners()
        for event, slot in (
            ("paint", self._soon),
            ("set_data", self._now),
            ("data", self._on_data),
        ):
            self._listeners.connect(self.layer, getattr(self.layer.events, event), slot)
        for event in ("axis_labels", "units", "scale", "translate", "rotate", "shear", "affine"):
            self._listeners.connect(image, getattr(image.events, event), self._on_moved)
        self._coloured: dict[int, ClassRow] | None = None  # the classes that the layer shows
        self.show_classes(())

    def _opened(self, state: AnnotationState | None) -> tuple[Labels, Edits | StoredEdits]:
        """Make the layer, and the edits that share its array."""
        if state is None:
            shape = labels_shape(self._shown())
            store = MemoryStore(np.zeros(shape, np.uint16), np.zeros(shape, np.uint8))
        else:
            store = memory_store_of(state)
        layer = Labels(store.labels.copy(), **self._layer_properties())
        return layer, Edits(layer.data, store)

    def _layer_properties(self) -> dict[str, Any]:
        return {
            "name": ui_text.annotation_layer(self.name),
            "metadata": {OUTPUT_KEY: {"annotation_of": self.name}},
            **transforms(self._shown()),
        }

    def _shown(self) -> ImageChoice:
        """The part of the image that the layer shows: all of it."""
        return ImageChoice(self.image, self.name)

    def _on_moved(self) -> None:
        """Copy transform, axes and units of the image to the layer."""
        if self.image.ndim == self.layer.ndim:
            for name, value in transforms(self._shown()).items():
                setattr(self.layer, name, value)

    def close(self) -> None:
        """Disconnect all signals; the layer stays."""
        self.follow()
        self._timer.stop()
        self._listeners.clear()

    # ------------------------------------------------------------------ classes

    def number_of(self, row: ClassRow, preferred: int = 0) -> int:
        """The label of a class; for a new class the preferred one, or the next if that is taken."""
        for label, known in self.classes.items():
            if known.name.casefold() == row.name.casefold():
                return label
        free = preferred > 0 and preferred not in self.classes
        label = preferred if free else max(self.classes, default=0) + 1
        self.classes[label] = row
        return label

    def show_classes(self, rows: Sequence[ClassRow]) -> None:
        """Show the classes in the colours of these rows, and name them under the cursor."""
        by_name = {row.name.casefold(): row for row in rows}
        for label, known in self.classes.items():
            self.classes[label] = by_name.get(known.name.casefold(), known)
        if self.classes == self._coloured:  # napari maps all pixels again for new colours
            return
        self._coloured = dict(self.classes)
        self.layer.colormap = colours_of_labels(self.classes)
        self.layer.features = pd.DataFrame(
            {
                "index": [0, *self.classes],
                "class": [ui_text.BACKGROUND_NAME, *(row.name for row in self.classes.values())],
            }
        )

    def relabelling(self, change: ClassChange) -> Callable[[Monitor], Relabelled | None]:
        """Return what a thread does before `change_class`, which takes it from `relabelled`."""
        return partial(relabelled_by, self.edits.store, dict(self.classes), change)

    def change_class(self, change: ClassChange) -> None:
        """Rename, merge or delete a class; merging and deleting end the layer's undo history."""
        self.follow()
        done, self.relabelled = self.relabelled, None
        done = relabelled_by(self.edits.store, self.classes, change, done=done)
        if done is not None:
            self.edits.relabel(done)
            self._show_relabelled()
        record = {CLICKS: self.clicks, **self._objects_record()}
        before = StoredState(LabelStore((1, 1)), self.classes, record)  # labels are changed
        after = change_state(before, change)
        if after is before:
            return
        gone = set(self.classes) - set(after.classes)
        self.classes = dict(after.classes)
        self.clicks = clicks_in(after.record.get(CLICKS))
        self.objects = objects_in(after.record.get(OBJECTS))
        if self.layer.selected_label in gone:
            new = change.new
            left = [n for n, row in self.classes.items() if new and row.name == new.name]
            self.layer.selected_label = next(iter(left or self.classes), 1)
        self.changed.emit()

    def _show_relabelled(self) -> None:
        """Continue with another array of labels."""
        mode, self.layer.editable = self.layer.mode, False  # ends napari's history too
        self.layer.editable = True
        self.layer.mode = mode
        self.layer.data = self._whole.labels

    # ------------------------------------------------------------------ changes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the annotation, which is that of the image without the axis of colours."""
        return self.edits.labels.shape

    def part(self, choice: ImageChoice) -> ImageChoice:
        """Return the part of a choice on which tools for a whole plane work: all of it."""
        return choice

    def decided_in(self, choice: ImageChoice) -> tuple[bool, bool]:
        """Return whether a choice has decided pixels, and whether some of them have a label."""
        place = self.place_of(choice)
        return decided_in(self.edits.labels[place], self.edits.edit_mask[place])

    def place_of(self, choice: ImageChoice) -> Place:
        """The index of a choice's pixels in the annotation."""
        return (*choice.plane, *self.region_of(choice))

    def region_of(self, choice: ImageChoice) -> Region:
        """The rows and columns of a choice's pixels in its plane."""
        return choice.region or (slice(None), slice(None))

    def accept(
        self,
        choice: ImageChoice,
        prediction: NDArray[np.integer],
        rows: Sequence[ClassRow],
        rule: Rule,
        *,
        chosen: Collection[str] | None = None,
        where: NDArray[np.bool_] | None = None,
    ) -> int:
        """Accept a prediction, as one undo step.

        Parameters
        ----------
        choice : ImageChoice
            The image, plane and region of the prediction.
        prediction : (Y, X) array of int
            Label i + 1 is ``rows[i]``; other labels are ignored.
        rows : sequence of ClassRow
        rule, where
            As for `napari_cliper.annotation.merge.accept`.
        chosen : collection of str, optional
            Names of the classes to take; None for all and the background.

        Returns
        -------
        int
            Number of pixels whose label changed.
        """
        self.follow()
        self.forget_following()
        numbers = self.numbers_of(rows, prediction)
        place = self.place_of(choice)
        new, edit_mask = accept(
            self.edits.labels[place],
            self.edits.edit_mask[place],
            numbers[prediction],
            rule,
            chosen=self.labels_named(chosen),
            where=where,
        )
        self.show_classes(rows)
        return self.write(place, new, edit_mask)

    def labels_named(self, names: Collection[str] | None) -> set[int] | None:
        """Return the labels of classes with some names; None for None."""
        if names is None:
            return None
        wanted = {name.casefold() for name in names}
        return {label for label, row in self.classes.items() if row.name.casefold() in wanted}

    def numbers_of(
        self, rows: Sequence[ClassRow], prediction: NDArray[np.integer]
    ) -> NDArray[np.uint16]:
        """Annotation labels by prediction label; 0 for labels of no class."""
        numbers = np.zeros(max(len(rows), int(prediction.max(initial=0))) + 1, np.uint16)
        for label, row in enumerate(rows, 1):  # all, so that every image numbers them alike
            numbers[label] = self.number_of(row)
        return numbers

    def follow_hint(
        self,
        choice: ImageChoice,
        before: NDArray[np.integer],
        after: NDArray[np.integer],
        rows: Sequence[ClassRow],
    ) -> int:
        """Update accepted pixels to a prediction that a hint has changed; no undo step.

        Parameters
        ----------
        choice : ImageChoice
            The image, plane and region of the prediction.
        before, after : (Y, X) arrays of int
            Predicted labels; label i + 1 is ``rows[i]``.
        rows : sequence of ClassRow

        Returns
        -------
        int
            Number of pixels whose label changed.
        """
        self.follow()
        place, key = self.place_of(choice), choice.key
        edit_mask = self.edits.edit_mask[place]
        if not (edit_mask == ACCEPTED).any():  # and classes that were only predicted stay out
            return 0
        old, new = (self.numbers_of(rows, one)[one] for one in (before, after))
        if self._follows is None or self._follows[0] != key:
            self._follows = key, following(self.edits.labels[place], edit_mask, old)
        moved = moved_by_hint(edit_mask, self._follows[1], old, new)
        if moved.any():
            self.edits.replace(place, new[moved], moved)
            self.layer.refresh()
            self.changed.emit()
        return int(np.count_nonzero(moved))

    def forget_following(self) -> None:
        """Reset which pixels follow hints: something else has changed."""
        self._follows = None

    def keep_clicks(self, clicks: Clicks) -> None:
        """Store the clicks with the annotation, in place of the earlier ones."""
        if clicks != self.clicks:
            self.clicks = clicks
            self.changed.emit()

    def keep_objects(self, objects: SavedObjects, *, changed: bool) -> None:
        """Store the objects with the annotation; `changed` tells that they must be saved."""
        self.objects = objects
        if changed:
            self.changed.emit()

    def add_labels(self, place: Place, labels: NDArray[np.uint16]) -> int:
        """Write the labels that are not 0 as painted ones, as one undo step; see `rewrite`."""
        return self.rewrite(place, np.where(labels > 0, labels, self.edits.labels[place]))

    def rewrite(self, place: Place, labels: NDArray[np.uint16], value: int = PAINTED) -> int:
        """Write labels as one undo step; returns how many pixels changed.

        Parameters
        ----------
        place : tuple
            See `place_of`.
        labels : (Y, X) uint16 array
        value : int
            Of the edit mask, for the pixels that change.
        """
        self.follow()
        differs = labels != self.edits.labels[place]
        edit_mask = np.where(differs, np.uint8(value), self.edits.edit_mask[place])
        return self.write(place, labels, edit_mask)

    def write(self, place: Place, labels: NDArray[np.uint16], edit_mask: NDArray[np.uint8]) -> int:
        """Write a place, as one undo step, and keep the arrays; returns how many labels changed."""
        differs = labels != self.edits.labels[place]
        touched = differs | (edit_mask != self.edits.edit_mask[place])
        part = bounding_box(touched)
        if part is None:
            return 0
        place = part_of(place, part)
        labels, edit_mask = labels[part], edit_mask[part]
        differs, touched = differs[part], touched[part]
        inside = ... if touched.all() else touched
        self.edits.take(place, labels[inside], edit_mask[inside], touched)
        outer, self._writing = self._writing, True
        try:
            if part := bounding_box(differs):
                inner = part_of(place, part)
                write_step(self.layer, inner, labels[part], differs[part], refresh=not outer)
        finally:
            self._writing = outer
        self.changed.emit()
        return int(np.count_nonzero(differs))

    @contextmanager
    def as_one_step(self) -> Iterator[None]:
        """Make one undo step of what is accepted on several planes meanwhile.

        If an exception ends it, the planes before it are the step.
        """
        self.follow()
        self._writing = True
        try:
            with self.edits.as_one_step(), self.layer.block_history():
                try:
                    yield
                finally:
                    with self.layer.block_history():
                        pass  # makes the step; the outer one makes none after an error
        finally:
            self._writing = False
            self.layer.refresh()

    # ------------------------------------------------------------------ following

    def follow(self) -> None:
        """Update the edit mask to the current labels."""
        self._follow(None)

    def _follow(self, box: Box | None) -> None:
        """Update the edit mask where labels may have changed; None is everywhere."""
        if self.edits.follow(painted=self._painted, box=box):
            self._painted = False
            self.changed.emit()

    @property
    def blank(self) -> bool:
        """Whether nothing was accepted, painted or clicked, and no object edited."""
        self.follow()
        touched = self.objects is not None and self.objects.touched
        return not (self.clicks or touched or self.edits.edit_mask.any() or self.edits.labels.any())

    @property
    def fits(self) -> bool:
        """Whether the image still has the size of its annotation."""
        return labels_shape(ImageChoice(self.image, self.name)) == self.shape

    def _soon(self, event: Any) -> None:
        if not self._writing:
            box = self._box_of(event.value)
            if self._painted and box is not None and self._painted_box is not None:
                box = union([self._painted_box, box])
            self._painted_box = None if self._painted and self._painted_box is None else box
            self._painted = True
            self._timer.start()
        self.stepped.emit(not self._writing)

    def _box_of(self, step: Sequence[Any]) -> Box | None:
        """The smallest part of the image that contains a step of the layer, if known."""
        return part_of_step(step, self.layer.data.shape)

    def _on_timer(self) -> None:
        self._follow(self._painted_box)
        self._painted = False

    def _now(self, _event: Any = None) -> None:
        if not self._writing:
            self.follow()

    def _on_data(self, _event: Any = None) -> None:
        """Accept another array of the layer; pixels that differ count as painted."""
        ours = self._editable
        data = self.layer.data
        if data is ours:
            return
        given = np.asarray(data)
        new = np.ascontiguousarray(given.astype(np.uint16))
        if given.shape != ours.shape or not np.array_equal(new, given):
            self.layer.data = ours
            self.refused.emit(
                ui_text.labels_refused(
                    layer=self.layer.name,
                    shape=ours.shape,
                    dtype=given.dtype,
                    given=given.shape,
                    low=given.min(initial=0),
                    high=given.max(initial=0),
                )
            )
            return
        ours[...] = new
        self.edits.follow(painted=True)
        self._take_array(new)
        self.changed.emit()

    @property
    def _editable(self) -> NDArray[np.uint16]:
        """The array of the layer."""
        return self._whole.labels

    @property
    def _whole(self) -> Edits:
        """The edits of arrays of the whole image."""
        assert isinstance(self.edits, Edits)  # noqa: S101 - as `_opened` made them
        return self.edits

    def _take_array(self, new: NDArray[np.uint16]) -> None:
        """Continue with an array of the same labels that was given to the layer."""
        self.edits = Edits(new, self._whole.store)
        if new is not self.layer.data:
            self.layer.data = new

    def _objects_record(self) -> dict[str, Any]:
        return {} if self.objects is None else {OBJECTS: self.objects.to_record()}

    def gathered(self) -> Callable[[], LabelledImage]:
        """Return what reads the current annotation in a thread, for an export."""
        return gathering(self.state(), ImageChoice(self.image, self.name))

    def state(self) -> AnnotationState:
        """The annotation for a thread or a file: a copy, except for stacks, which keep changing."""
        self.follow()
        edits, classes, record = self._whole, dict(self.classes), self._full_record()
        if edits.labels.ndim > 2:
            return StoredState(edits.store, classes, record)
        return AnnotationState(edits.labels.copy(), edits.edit_mask.copy(), classes, record)

    def _full_record(self) -> dict[str, Any]:
        record = {**self.record, "geometry": geometry_of(self.layer)}
        if self.clicks:
            record[CLICKS] = {name: list(points) for name, points in self.clicks.items()}
        return record | self._objects_record()
