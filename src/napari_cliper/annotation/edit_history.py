"""Keep the edit mask in step with labels that are painted, filled, undone and redone in an editor.

An editor such as napari does not report every change. So the labels are compared with their last
known values: a change that reverts the most recent changes is taken as undo (and its reverse as
redo) and restores their edit mask; any other change is taken as painting. This works with every
tool. Callers that know that a change is not an undo can say so, because erasing exactly what was
accepted cannot be told from one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..segmentation import InvalidInputError
from .chunks import region_of_chunk
from .edit_mask import PAINTED, EditMask, Labels
from .memory_store import MemoryStore

if TYPE_CHECKING:
    from .class_change import Relabelled

REMEMBERED = 100
"""Number of undo steps; the same as in napari."""

COMPARED = 1 << 20
"""Pixels that are compared at once, so that they stay in the processor's cache."""

Box = tuple[slice, ...]
"""A part of an array: a slice with start and stop for each axis."""

Index = tuple[int | slice | NDArray[np.intp], ...]
"""Either a part of an array (integers and slices), or an array of indices for each axis."""

Number = TypeVar("Number", np.uint8, np.uint16)


Change = TypeVar("Change")


class UndoSteps(ABC, Generic[Change]):
    """The steps that can be undone or redone; each is a list of changes."""

    def __init__(self) -> None:
        self._step: list[Change] | None = None  # changes that become one step
        self._done: deque[list[Change]] = deque(maxlen=REMEMBERED)
        self._undone: deque[list[Change]] = deque(maxlen=REMEMBERED)

    @abstractmethod
    def follow(self) -> bool:
        """Record what the editor has changed; return whether anything has."""

    @contextmanager
    def as_one_step(self) -> Iterator[None]:
        """Context manager: combine all changes into one step.

        In `Edits`, no pixel may change twice.
        """
        self.follow()
        step: list[Change] = []
        self._step = step
        try:
            yield
        finally:
            self._step = None
            self._remember(step)

    def _add(self, change: Change) -> None:
        """Remember a change, alone or in the present step."""
        if self._step is None:
            self._remember([change])
        else:
            self._step.append(change)

    def _remember(self, step: list[Change]) -> None:
        if step:
            self._done.append(step)
            self._undone.clear()


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Some pixels of an array: all of a box, those of a mask, or those of index arrays in it."""

    box: Box
    inside: NDArray[np.bool_] | tuple[NDArray[np.intp], ...] | None

    @classmethod
    def of_mask(cls, box: Box, mask: NDArray[np.bool_]) -> _Pixels:
        """Return the pixels of a mask over a box, in the form that takes the least memory."""
        count = int(np.count_nonzero(mask))
        if count == mask.size:
            return cls(box, None)
        return cls(box, mask if mask.size <= 8 * mask.ndim * count else mask.nonzero())

    @property
    def bounds(self) -> Box:
        """A small box that contains all pixels."""
        if not isinstance(self.inside, tuple) or not self.inside[0].size:
            return self.box
        return tuple(
            slice(part.start + int(at.min()), part.start + int(at.max()) + 1)
            for part, at in zip(self.box, self.inside, strict=True)
        )

    def read(self, array: NDArray[Number]) -> NDArray[Number]:
        """Return a copy of the pixels' values."""
        part = array[self.box]
        return part.copy() if self.inside is None else part[self.inside]

    def write(self, array: NDArray[Number], values: NDArray[Number] | Number) -> None:
        """Write values of the form that `read` returns, or one value, into an array."""
        array[self.box][... if self.inside is None else self.inside] = values


@dataclass(frozen=True, eq=False)
class _Change:
    """Labels and edit mask before and after a change of some pixels."""

    pixels: _Pixels
    old: Labels
    new: Labels
    old_edit_mask: EditMask
    new_edit_mask: EditMask | np.uint8


class Edits(UndoSteps[_Change]):
    """Labels and edit mask of an annotation that is being edited, with undo history.

    Parameters
    ----------
    labels : (..., Y, X) uint16 array
        C-contiguous; shared with the editor, which changes it in place.
    edit_mask : (..., Y, X) uint8 array or MemoryStore
        An array is copied; a store has a copy of the labels too, and is used.

    Raises
    ------
    InvalidInputError
        If the shapes differ or the labels are not C-contiguous.
    """

    def __init__(self, labels: Labels, edit_mask: EditMask | MemoryStore) -> None:
        if not labels.flags.c_contiguous:
            raise InvalidInputError("The labels must be contiguous.")
        self.labels = labels
        if not isinstance(edit_mask, MemoryStore):
            edit_mask = MemoryStore(labels.copy(), edit_mask.copy(order="C"))
        self.store = edit_mask
        """The labels that were seen last, and their edit mask; other threads may read it."""
        self.edit_mask = self.store.edit_mask
        self._seen = self.store.labels
        super().__init__()

    def follow(self, *, painted: bool = False, box: Box | None = None) -> bool:
        """Update the edit mask after the editor may have changed labels; return whether it did.

        Parameters
        ----------
        painted : bool
            Treat every change as painting, even one that equals an undo or redo.
        box : tuple of slices, optional
            The part that may have changed: only this is compared. Default: everything.
        """
        if self._step is not None:
            return False
        pixels = self._changed(self._box(()) if box is None else box)
        if pixels is None:
            return False
        now = pixels.read(self.labels)
        with self._changing(pixels):
            if not painted and (steps := self._steps_back(pixels, self._done, undoing=True)):
                self._move(self._done, self._undone, steps, undoing=True)
            elif not painted and (steps := self._steps_back(pixels, self._undone, undoing=False)):
                self._move(self._undone, self._done, steps, undoing=False)
            else:
                self._remember([self._change(pixels, now, np.uint8(PAINTED))])
            pixels.write(self._seen, now)
        return True

    def _move(
        self,
        steps: deque[list[_Change]],
        others: deque[list[_Change]],
        count: int,
        *,
        undoing: bool,
    ) -> None:
        """Undo or redo steps in the edit mask."""
        for _ in range(count):
            step = steps.pop()
            with self._changing(*(change.pixels for change in step)):
                for change in reversed(step) if undoing else step:
                    edit_mask = change.old_edit_mask if undoing else change.new_edit_mask
                    change.pixels.write(self.edit_mask, edit_mask)
            others.append(step)

    def _changing(self, *pixels: _Pixels) -> AbstractContextManager[None]:
        """Keep other threads from reading some pixels while they change."""
        return self.store.changing(*(one.bounds for one in pixels))

    def take(
        self,
        where: Index,
        labels: Labels,
        edit_mask: EditMask,
        inside: NDArray[np.bool_] | None = None,
    ) -> None:
        """Record a change other than painting, as one step that can be undone.

        The caller writes the same labels into the editor's array, as one undo step of the editor.

        Parameters
        ----------
        where : tuple
            Index of the part with the pixels, or an array of indices for each axis.
        labels : uint16 array
            Of the shape of that part; (n,) for the n pixels of `inside` or of index arrays.
        edit_mask : uint8 array
            Of the same shape.
        inside : bool array, optional
            Which pixels of the part change. Default: all.
        """
        self.follow()
        pixels = self._pixels(where, inside)
        if pixels.inside is None:
            shape = self.labels[pixels.box].shape
            labels, edit_mask = labels.reshape(shape), edit_mask.reshape(shape)
        with self._changing(pixels):
            self._add(self._change(pixels, labels, edit_mask))
            pixels.write(self._seen, labels)

    def replace(
        self, where: Index, labels: Labels, inside: NDArray[np.bool_] | None = None
    ) -> None:
        """Write labels that follow something else, outside of the undo history.

        Undo and redo of the steps before go on as they were. The edit mask does not change.

        Parameters
        ----------
        where, labels, inside
            As for `take`.
        """
        self.follow()
        pixels = self._pixels(where, inside)
        if pixels.inside is None:
            labels = labels.reshape(self.labels[pixels.box].shape)
        with self._changing(pixels):
            for array in (self.labels, self._seen):
                pixels.write(array, labels)

    def relabel(self, relabelled: Relabelled) -> None:
        """Take other labels of the pixels of some classes; ends the undo history.

        The editor continues with another array, `labels`.
        """
        self.follow()
        what, fork, labels = relabelled.relabelling, relabelled.fork, relabelled.labels
        assert isinstance(fork, MemoryStore)  # noqa: S101 - a fork of such a store
        assert labels is not None  # noqa: S101
        for index in self.store.changed_since(fork):
            part = region_of_chunk(index, fork.shape)
            with fork.changing(part):
                fork.labels[part], fork.edit_mask[part] = self._seen[part], self.edit_mask[part]
            fork.relabel_chunk(index, what.old, what.new, opened=what.opened)
            labels[part] = fork.labels[part]
        self.labels, self.store = labels, fork
        self.edit_mask, self._seen = fork.edit_mask, fork.labels
        self._done.clear()
        self._undone.clear()

    def _box(self, where: Sequence[int | slice | Any]) -> Box:
        """Return an index of integers and slices as a slice with start and stop for each axis."""
        parts = (*where, *(slice(None),) * (self.labels.ndim - len(where)))
        return tuple(
            slice(*part.indices(size)[:2]) if isinstance(part, slice) else slice(part, part + 1)
            for part, size in zip(parts, self.labels.shape, strict=True)
        )

    def _pixels(self, where: Index, inside: NDArray[np.bool_] | None) -> _Pixels:
        arrays = tuple(part for part in where if isinstance(part, np.ndarray))
        if arrays:
            return _Pixels(self._box(()), arrays)
        box = self._box(where)
        if inside is None:
            return _Pixels(box, None)
        return _Pixels.of_mask(box, inside.reshape(self.labels[box].shape))

    def _changed(self, box: Box) -> _Pixels | None:
        """Return which pixels of a box differ from what was seen last; None if there are none."""
        now, seen = self.labels[box], self._seen[box]
        rows_at_once = max(1, COMPARED // max(now.shape[-1], 1))
        found: list[list[tuple[int, int]]] = []
        for plane in np.ndindex(now.shape[:-2]):
            for start in range(0, now.shape[-2], rows_at_once):
                place = (*plane, slice(start, start + rows_at_once))
                differs = now[place] != seen[place]
                if differs.any():
                    rows, columns = (np.flatnonzero(differs.any(axis)) for axis in (1, 0))
                    found.append(
                        [(index, index) for index in plane]
                        + [(start + rows[0], start + rows[-1]), (columns[0], columns[-1])]
                    )
        if not found:
            return None
        bounds = np.array(found)
        corners = zip(box, bounds[..., 0].min(0), bounds[..., 1].max(0), strict=True)
        smallest = tuple(
            slice(part.start + int(low), part.start + int(high) + 1) for part, low, high in corners
        )
        return _Pixels.of_mask(smallest, self.labels[smallest] != self._seen[smallest])

    def _remember(self, step: list[_Change]) -> None:
        if any((one.old != one.new).any() for one in step):  # else the editor has no undo step
            super()._remember(step)

    def _change(self, pixels: _Pixels, labels: Labels, edit_mask: EditMask | np.uint8) -> _Change:
        """Change the edit mask, and return the change."""
        old = pixels.read(self.edit_mask)
        pixels.write(self.edit_mask, edit_mask)
        return _Change(pixels, pixels.read(self._seen), labels, old, edit_mask)

    def _steps_back(self, changed: _Pixels, steps: deque[list[_Change]], *, undoing: bool) -> int:
        """Return how many of the last steps must be undone or redone to get the labels; 0 if none.

        Parameters
        ----------
        changed : _Pixels
            The pixels that differ from what was seen last.
        steps : deque of lists of _Change
        undoing : bool
        """
        box, trial = changed.box, self._seen[changed.box].copy()
        for count, step in enumerate(reversed(steps), 1):
            wider = union([box, *(change.pixels.box for change in step)])
            if wider != box:
                larger = self._seen[wider].copy()
                larger[_relative(box, wider)] = trial
                box, trial = wider, larger
            for change in reversed(step) if undoing else step:
                place = _Pixels(_relative(change.pixels.box, box), change.pixels.inside)
                place.write(trial, change.old if undoing else change.new)
            inner = _relative(changed.box, box)
            if np.array_equal(trial[inner], self.labels[changed.box]) and np.array_equal(
                trial, self.labels[box]
            ):
                return count
        return 0


def union(boxes: Sequence[Box]) -> Box:
    """Return the smallest box that contains all boxes."""
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*boxes, strict=True)
    )


def _relative(box: Box, outer: Box) -> Box:
    """Return a box as a part of an outer box."""
    return tuple(
        slice(part.start - whole.start, part.stop - whole.start)
        for part, whole in zip(box, outer, strict=True)
    )
