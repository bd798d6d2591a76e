"""The annotation of a large image: labels in chunks, and a Labels layer over them or a part."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray
from qtpy.QtCore import Signal

from ...annotation.chunks import Index, Region
from ...annotation.edit_history import Box
from ...annotation.edit_mask import AnnotationState
from ...annotation.label_store import LabelStore
from ...annotation.merge import Rule
from ...annotation.stored_accept import FEW, Accepted, StoredAccept
from ...annotation.stored_edits import StoredEdits, region_of
from ...annotation.stored_follow import StoredFollow
from ...annotation.stored_rewrite import Rewritten
from ...annotation.stored_state import StoredState, in_chunks
from ...io.files import FileError
from ...labels.label_class import ClassRow
from ...labels.regions import bounding_box
from ..qt.timers import once
from .annotation_layer import AnnotationLayer
from .image_layers import (
    ImageChoice,
    Key,
    exceeds_memory,
    goes_in_chunks,
    image_shape,
    is_in_chunks,
    transforms,
)
from .labels_history import Place, part_of_step
from .window_labels import WindowLabels
from .window_region import WINDOW_KEY, fits_window, window_around

NEAR = 0.75
"""The middle of the view must be within this central fraction of the window."""

COMPARED_AFTER = 30  # milliseconds after a drawing, in which the window responds

BLOCK = 2048
"""Side of the parts in which a large prediction is accepted, or labels are imported."""


def annotation_of(image: Image, name: str, state: AnnotationState | None = None) -> AnnotationLayer:
    """Return a new annotation of an image: of a large one with labels in chunks."""
    stored = isinstance(state, StoredState) and not state.store.in_memory
    if stored or is_in_chunks(image):
        return LargeAnnotationLayer(image, name, state)
    return AnnotationLayer(image, name, state)


class LargeAnnotationLayer(AnnotationLayer):
    """An annotation whose labels are in chunks, with a Labels layer as a window over them.

    The window shows all of the image, or a part of one whose labels are not in memory as a whole.
    Strokes are written to the store at once. Undo and redo work on all of the image.
    """

    gone_to = Signal(object)
    """A step was undone or redone; carries its region."""
    fell_behind = Signal()
    """The layer does not show all changes yet: call `catch_up`, again and again."""

    layer: WindowLabels
    edits: StoredEdits

    following: tuple[Key, StoredFollow] | None = None
    """Which pixels follow hints, and on which image, plane and region; see `following_pixels`."""

    def _opened(self, state: AnnotationState | None) -> tuple[Labels, StoredEdits]:
        store = _store_of(state, image_shape(self.image))
        rows, columns = store.shape
        edits = StoredEdits(store, window_around((slice(0, rows), slice(0, columns)), store.shape))
        self.edits = edits
        self._compare = once(self, COMPARED_AFTER, self.follow)
        layer = WindowLabels(edits.window, visible=False, **self._layer_properties())
        if exceeds_memory(store.shape):
            layer.metadata[WINDOW_KEY] = edits.region
        layer.undo_by, layer.redo_by = partial(self._go, edits.undo), partial(self._go, edits.redo)
        return layer, edits

    def close(self) -> None:
        """Disconnect all signals; the layer stays, with napari's undo."""
        super().close()
        self._compare.stop()
        self.catch_up(fully=True)
        self.layer.undo_by = self.layer.redo_by = None

    @property
    def store(self) -> LabelStore:
        """The labels and the edit mask of the whole image."""
        return self.edits.store

    # ------------------------------------------------------------------ the window

    def _shown(self) -> ImageChoice:
        return ImageChoice(self.image, self.name, region=self.edits.region)

    def wanted_window(self, view: Region) -> Region | None:
        """Return where the window should be for a view; None if it may stay."""
        near = window_around(view, self.store.shape, NEAR)
        return None if self.contains(near) else window_around(view, self.store.shape)

    def contains(self, view: Region) -> bool:
        """Whether the window contains a view."""
        return all(
            whole.start <= part.start and part.stop <= whole.stop
            for part, whole in zip(view, self.edits.region, strict=True)
        )

    def catch_up(self, *, fully: bool = False) -> bool:
        """Show some more changes of the store, or all; return whether the layer shows all."""
        if not self.edits.behind:
            return True
        if self.drawing and not fully:
            return False
        done = self.edits.catch_up(fully=fully)
        if done:
            self._draw()
        return done

    def move(
        self, region: Region, labels: NDArray[np.uint16], copy: NDArray[np.uint16], version: int
    ) -> bool:
        """Move the window to a region; return False if its labels are out of date.

        Parameters
        ----------
        region : (slice, slice)
        labels, copy : uint16 array
            Of the store, as they were at a version of it, and a copy.
        version : int
            See `LabelStore.version`.

        Raises
        ------
        FileError
            If what was painted cannot be stored; the window then stays.
        """
        self._store_painted()
        if version != self.store.version:
            return False
        self._writing = True
        try:
            self.edits.show(region, labels, copy)
            self.layer.data = labels
            if WINDOW_KEY in self.layer.metadata:
                self.layer.metadata[WINDOW_KEY] = region
            self.layer.translate = transforms(self._shown())["translate"]
        finally:
            self._writing = False
        return True

    def show_others(self, classes: Mapping[int, ClassRow]) -> None:
        """Show what the store has taken from another program, and name its classes.

        Parameters
        ----------
        classes : mapping of int to ClassRow
            By label; those of other labels are added.
        """
        for label, row in classes.items():
            self.classes.setdefault(label, row)
        self.show_classes([*self.classes.values()])
        labels = self.store.read_labels(self.edits.region)
        self.move(self.edits.region, labels, labels.copy(), self.store.version)

    @property
    def drawing(self) -> bool:
        """Whether the user is in the middle of a stroke or a polygon, which ends in this window."""
        polygon: Any = self.layer._overlays["polygon"]  # noqa: SLF001 - as `_in_stroke`
        return self._in_stroke or bool(polygon.points)

    @property
    def _in_stroke(self) -> bool:
        return bool(self.layer._block_history)  # noqa: SLF001 - there is no public way to know

    def part(self, choice: ImageChoice) -> ImageChoice:
        """Return the part in the window of a choice that is larger than a window."""
        if fits_window(choice.shape, self.store.shape):
            return choice
        parts = choice.region or tuple(slice(0, side) for side in self.store.shape)
        rows, columns = (
            slice(max(one.start, two.start), min(one.stop, two.stop))
            for one, two in zip(parts, self.edits.region, strict=True)
        )
        return replace(choice, region=(rows, columns))

    def decided_in(self, choice: ImageChoice) -> tuple[bool, bool]:
        """Return whether a choice has decided pixels, and whether some of them have a label."""
        place = self.place_of(self.part(choice))
        return self.store.decided_in(region_of(place, self.store.shape))

    # ------------------------------------------------------------------ changes

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
        """Accept a prediction as one undo step; see `AnnotationLayer.accept`."""
        work = self.accepting(choice, prediction, rows, rule, chosen=chosen)
        return self._accept_in(replace(work, where=where), work.chunks(self.store))

    def accepting(
        self,
        choice: ImageChoice,
        prediction: Any,
        rows: Sequence[ClassRow],
        rule: Rule,
        *,
        chosen: Collection[str] | None = None,
        point: tuple[int, int] | None = None,
    ) -> StoredAccept:
        """Return the work of accepting a prediction, for a thread; then call `take_accepted`.

        Parameters
        ----------
        choice, prediction, rows, rule, chosen
            As for `accept`.
        point : (int, int), optional
            See `StoredAccept`.
        """
        self.follow()
        self.forget_following()
        numbers = numbers_of(rows, self.number_of)
        region = region_of(self.place_of(choice), self.store.shape)
        self.show_classes(rows)
        wanted = self.labels_named(chosen)
        return StoredAccept(region, prediction, numbers, rule, wanted, point=point)

    def take_accepted(self, accepted: Accepted) -> int | None:
        """Take what a thread has accepted, as one undo step.

        Returns
        -------
        int or None
            Number of pixels whose label changed. None if other changes since then require accepting
            again.
        """
        work, found = accepted.work, accepted.changes
        with self.as_one_step():
            stale = self.store.changed_since(accepted.fork) & found.keys()
            if len(stale) > FEW:
                return None
            self.edits.merge(
                accepted.fork, [one for changes, _ in found.values() for one in changes]
            )
            again = self._accept_in(work, sorted(stale))
        return again + sum(changed for index, (_, changed) in found.items() if index not in stale)

    def take_rewritten(self, found: Rewritten) -> int | None:
        """Take labels that a thread has changed, as one undo step.

        Returns
        -------
        int or None
            Number of pixels whose label changed. None if the labels have changed meanwhile.
        """
        with self.as_one_step():
            if found.outdated(self.store):
                return None
            self.edits.merge(found.fork, found.changes)
        return found.changed

    def forget_following(self) -> None:
        """Reset which pixels follow hints: something else has changed."""
        super().forget_following()
        self.following = None

    def _accept_in(self, work: StoredAccept, chunks: Sequence[Index]) -> int:
        changed = 0
        with self.as_one_step():
            for index in chunks:
                changes, here = work.accept_chunk(self.store, index)
                self.edits.take_changes(changes)
                changed += here
        return changed

    def add_labels(self, place: Place, labels: NDArray[np.uint16]) -> int:
        """Write the labels that are not 0 part by part, as one undo step."""
        changed = 0
        region = region_of(place, self.store.shape)
        choice = ImageChoice(self.image, self.name, region=region)
        with self.as_one_step():
            for part, inner in _parts_of(choice):
                changed += super().add_labels(self.place_of(part), labels[inner])
        return changed

    def write(self, place: Place, labels: NDArray[np.uint16], edit_mask: NDArray[np.uint8]) -> int:
        """Write a place; see `AnnotationLayer.write`."""
        region = region_of(place, self.store.shape)
        old, old_edit_mask = self.store.read(region)
        differs = labels != old
        touched = differs | (edit_mask != old_edit_mask)
        part = bounding_box(touched)
        if part is None:
            return 0
        smallest = tuple(
            slice(whole.start + one.start, whole.start + one.stop)
            for whole, one in zip(region, part, strict=True)
        )
        self.edits.take(smallest, labels[part], edit_mask[part], touched[part])
        if not self._writing:
            self._step_taken()
        return int(np.count_nonzero(differs))

    def _step_taken(self) -> None:
        self.show_changes()
        self.stepped.emit(False)
        self.changed.emit()

    def show_changes(self) -> None:
        """Draw the layer, at once or as soon as it shows all changes."""
        if self.edits.behind:
            self.fell_behind.emit()
        else:
            self._draw()

    def _draw(self) -> None:
        outer, self._writing = self._writing, True
        try:
            self.layer.refresh()
        finally:
            self._writing = outer

    @contextmanager
    def as_one_step(self) -> Iterator[None]:
        """Make one undo step of what is accepted meanwhile."""
        if self._writing:  # a part of a step
            yield
            return
        version = painted = self.store.version
        self._writing = True
        try:
            with self.edits.as_one_step():
                painted = self.store.version
                yield
        finally:
            self._writing = False
            if self.store.version != painted:
                self._step_taken()
            elif painted != version:
                self.changed.emit()

    def _go(self, step: Callable[[], Region | None]) -> None:
        """Undo or redo a step, if the disk is there."""
        version, region = self.store.version, None
        try:
            region = step()
        except FileError as error:
            self.refused.emit(str(error))
        if region is not None:
            self.show_changes()
            self.gone_to.emit(region)
        if self.store.version != version:
            self.changed.emit()

    def _follow(self, box: Box | None) -> None:
        """Store what was painted, if the disk is there; a stroke is one undo step."""
        try:
            self._store_painted(box)
        except FileError as error:  # the stroke stays in the window, and is stored later
            self.refused.emit(str(error))

    def _store_painted(self, box: Box | None = None) -> None:
        if self.edits.follow(box=box, drawing=self._in_stroke):
            self.changed.emit()

    def _now(self, _event: Any = None) -> None:
        """Compare all pixels after the drawing that may show a change, not in the same turn."""
        if not self._in_stroke and not self._writing:  # napari reports the end of a stroke
            self._compare.start()

    def _box_of(self, step: Sequence[Any]) -> Box | None:
        box = part_of_step(step, self.layer.data.shape)
        if box is None:
            return None
        return tuple(
            slice(part.start + whole.start, part.stop + whole.start)
            for part, whole in zip(box, self.edits.region, strict=True)
        )

    @property
    def _editable(self) -> NDArray[np.uint16]:
        return self.edits.window

    def _take_array(self, new: NDArray[np.uint16]) -> None:
        if new is not self.edits.window:
            self.layer.data = self.edits.window

    # ------------------------------------------------------------------ the whole

    def _show_relabelled(self) -> None:
        self.show_changes()

    @property
    def blank(self) -> bool:
        """Whether nothing was accepted, painted or clicked, and no object edited."""
        self.follow()
        touched = self.objects is not None and self.objects.touched
        return not (self.clicks or touched) and self.store.blank

    def state(self) -> StoredState:
        """The annotation; its labels stay on disk and go on changing."""
        self.follow()
        return StoredState(self.store, dict(self.classes), self._full_record())


def numbers_of(
    rows: Sequence[ClassRow], number_of: Callable[[ClassRow], int]
) -> NDArray[np.uint16]:
    """Return the label in an annotation of each label of a prediction; 0 for those of no class."""
    numbers = np.zeros(1 << 16, np.uint16)
    numbers[: len(rows) + 1] = 0, *map(number_of, rows)
    return numbers


def ready(state: AnnotationState | None) -> AnnotationState | None:
    """Return a loaded annotation as `annotation_of` takes it without a wait; call it in a thread.

    Earlier versions have saved that of an image of up to 8192 x 8192 px as two whole arrays.
    """
    return in_chunks(state) if state is not None and goes_in_chunks(state.shape) else state


def _store_of(state: AnnotationState | None, shape: tuple[int, ...]) -> LabelStore:
    return LabelStore(shape) if state is None else in_chunks(state).store


def _parts_of(choice: ImageChoice) -> Iterator[tuple[ImageChoice, Region]]:
    """Yield the parts of a choice, and where each is in it."""
    top, left = (0, 0) if choice.region is None else (part.start for part in choice.region)
    rows, columns = choice.shape
    for row, column in product(range(0, rows, BLOCK), range(0, columns, BLOCK)):
        inner = slice(row, min(row + BLOCK, rows)), slice(column, min(column + BLOCK, columns))
        down, across = (
            slice(part.start + start, part.stop + start)
            for part, start in zip(inner, (top, left), strict=True)
        )
        yield replace(choice, region=(down, across)), inner
