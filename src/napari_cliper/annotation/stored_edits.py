"""Edit labels and edit mask that are in a `LabelStore`, through a window of it in memory.

The editor, such as a napari Labels layer, shows and changes the window. Undo and redo are steps of
this module, in the coordinates of the image, so that they also work where the window was before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .chunks import ChunkChange, Part, Region, region_of_chunk
from .chunks import Index as ChunkIndex
from .class_change import Relabelled
from .edit_history import Box, Index, UndoSteps, union
from .edit_mask import PAINTED, EditMask, Labels
from .label_store import LabelStore

HISTORY_BYTES = 512_000_000
"""Memory of the undo steps; the oldest are dropped beyond it."""

COMPARED = 1 << 20
"""Pixels of the window that are compared at once."""

SHOWN_AT_ONCE = 8
"""Changed chunks that the window shows at once; `StoredEdits.catch_up` shows as many others."""

UNPACKED = 2
"""How many chunks take no longer to show than one that is not uncompressed in memory."""


class StoredArray:
    """The labels or the edit mask of a `LabelStore`, indexed like a numpy array, as copies.

    Parameters
    ----------
    store : LabelStore
    edit_mask : bool
        Whether these are the pixels of the edit mask, not the labels.
    """

    def __init__(self, store: LabelStore, *, edit_mask: bool) -> None:
        self._store = store
        self._read = store.read_edit_mask if edit_mask else store.read_labels
        self.shape = store.shape
        self.ndim = 2
        self.dtype = np.dtype(np.uint8 if edit_mask else np.uint16)

    def __getitem__(self, where: Any) -> Any:
        """Return a copy of the pixels of an index of integers and slices."""
        index = where if isinstance(where, tuple) else (where,)
        region = region_of(index, self.shape)
        part = tuple(0 if isinstance(one, int | np.integer) else slice(None) for one in index)
        return self._read(region)[part]

    def any(self) -> bool:
        """Return whether some pixel is not 0; of the labels, or of the edit mask."""
        counts = self._store.counts()
        return bool(counts.labels if self.dtype == np.uint16 else counts.decided)


class StoredEdits(UndoSteps[ChunkChange]):
    """Labels and edit mask in a store, the window of an editor, and the undo history.

    Has the methods of `edit_history.Edits`, and `undo` and `redo`.

    Parameters
    ----------
    store : LabelStore
    region : (slice, slice)
        Rows and columns of the window.
    """

    def __init__(self, store: LabelStore, region: Region) -> None:
        self.store = store
        self.labels = StoredArray(store, edit_mask=False)
        self.edit_mask = StoredArray(store, edit_mask=True)
        super().__init__()
        self._stroke: list[ChunkChange] | None = None  # the step of a stroke that may go on
        self._behind: dict[ChunkIndex, None] = {}  # changed chunks that the window does not show
        labels = store.read_labels(region)
        self.show(
            region, labels, np.zeros(labels.shape, np.uint16) if store.blank else labels.copy()
        )

    def show(self, region: Region, labels: Labels, copy: Labels) -> None:
        """Move the window.

        Parameters
        ----------
        region : (slice, slice)
        labels : uint16 array
            The labels of the region; shared with the editor, which changes it in place.
        copy : uint16 array
            A copy of them, which is kept.
        """
        self.region = region
        self.window = labels
        self._seen = copy
        self._behind.clear()

    @property
    def behind(self) -> bool:
        """Whether the window does not show all changes yet: call `catch_up`."""
        return bool(self._behind)

    def catch_up(self, *, fully: bool = False) -> bool:
        """Show more changed chunks in the window, or all; return whether it shows all.

        What is being painted stays: its chunk is shown when it was followed.
        """
        for index in list(self._behind if fully else self._at_once(self._behind)):
            rows, columns = region_of_chunk(index, self.store.shape)
            common = _common((rows, columns), self.region)
            if common is None or self._changed(common) is None:
                del self._behind[index]
                self._pull((rows, columns))
        return not self._behind

    def follow(
        self, *, painted: bool = False, box: Box | None = None, drawing: bool = False
    ) -> bool:
        """Take changes of the window as painting; return whether there were any.

        Parameters
        ----------
        painted : bool
            Ignored: undo and redo are not done by the editor.
        box : tuple of slices, optional
            Rows and columns of the image that may have changed. Default: the whole window.
        drawing : bool
            Whether a stroke is being drawn: what is painted next is a part of the same step.
        """
        del painted
        if self._step is not None:
            return False
        within = self.region if box is None else _common(region_of(box, self.store.shape),
                                                         self.region)  # fmt: skip
        changed = None if within is None else self._changed(within)
        stroke, self._stroke = self._stroke, self._stroke if drawing else None
        if changed is None:
            return False
        region, where = changed
        labels = self._part(self.window, region)
        changes = self.store.write(region, labels, np.uint8(PAINTED), where)
        self._pull(region)
        goes_on = bool(self._done) and self._done[-1] is stroke
        step = [*(self._done.pop() if goes_on else ()), *changes]
        self._remember(step)
        self._stroke = step if drawing else None
        return True

    def take(
        self,
        where: Index,
        labels: Labels,
        edit_mask: EditMask,
        inside: NDArray[np.bool_] | None = None,
    ) -> None:
        """Write a change other than painting, as one step; parameters as in `Edits.take`."""
        self.follow()
        region = region_of(where, self.store.shape)
        new_labels, new_edit_mask = self.store.read(region)
        _put(new_labels, labels, inside)
        _put(new_edit_mask, edit_mask, inside)
        self.take_changes(self.store.write(region, new_labels, new_edit_mask, inside))

    def replace(
        self, where: Index, labels: Labels, inside: NDArray[np.bool_] | None = None
    ) -> None:
        """Write labels outside of the undo history; parameters as in `Edits.replace`."""
        self.follow()
        region = region_of(where, self.store.shape)
        new = self.store.read_labels(region)
        _put(new, labels, inside)
        self.store.write(region, new, where=inside)
        self._pull(region)

    def merge(self, fork: LabelStore, changes: list[ChunkChange]) -> set[ChunkIndex]:
        """Take changes that were made in a fork of the store, as one step or in the present one.

        Returns which chunks have changed here since: their changes are not taken.
        """
        stale = self.store.merge(fork, changes)
        self.take_changes([one for one in changes if one.index not in stale])
        return stale

    def take_followed(self, fork: LabelStore, changes: list[ChunkChange]) -> set[ChunkIndex]:
        """Take changes of a fork, but not as a step, like `replace`; returns as `merge`."""
        self.follow()
        stale = self.store.merge(fork, changes)
        self._show(one for one in changes if one.index not in stale)
        return stale

    def take_changes(self, changes: list[ChunkChange]) -> None:
        """Show changes of the store, and make them a step or a part of the present one."""
        self._show(changes)
        if self._step is None:
            self._remember(changes)
        else:
            self._step += changes

    def relabel(self, relabelled: Relabelled) -> None:
        """Take other labels of the pixels of some classes; ends the undo history."""
        self.follow()
        what, changes = relabelled.relabelling, relabelled.changes
        for index in self.store.merge(relabelled.fork, changes):
            changes = [
                *changes,
                *self.store.relabel_chunk(index, what.old, what.new, opened=what.opened),
            ]
        self._show(changes)
        self._done.clear()
        self._undone.clear()

    def undo(self) -> Region | None:
        """Undo the last step; return the region that it changes, or None if there is no step."""
        return self._move(self._done, self._undone, undoing=True)

    def redo(self) -> Region | None:
        """Redo the step that was undone last; return its region, or None if there is no step."""
        return self._move(self._undone, self._done, undoing=False)

    def _move(
        self,
        steps: deque[list[ChunkChange]],
        others: deque[list[ChunkChange]],
        *,
        undoing: bool,
    ) -> Region | None:
        self.follow()
        if not steps:
            return None
        step = steps[-1]
        self.store.swap(step if undoing else [change.reverse for change in reversed(step)])
        others.append(steps.pop())
        self._show(step)
        rows, columns = union([change.region for change in step])
        return rows, columns

    def _remember(self, step: list[ChunkChange]) -> None:
        super()._remember(step)
        size = sum(change.nbytes for one in self._done for change in one)
        while size > HISTORY_BYTES and len(self._done) > 1:
            size -= sum(change.nbytes for change in self._done.popleft())

    def _changed(self, region: Region) -> tuple[Region, NDArray[np.bool_]] | None:
        """The smallest part of a region where the window has changed, and the pixels in it."""
        now, seen = self._part(self.window, region), self._part(self._seen, region)
        rows: list[NDArray[np.intp]] = []
        columns = np.zeros(now.shape[1], bool)
        at_once = max(COMPARED // max(now.shape[1], 1), 1)
        for start in range(0, now.shape[0], at_once):
            part = slice(start, start + at_once)
            differs = now[part] != seen[part]
            if differs.any():
                rows.append(np.flatnonzero(differs.any(1)) + start)
                columns |= differs.any(0)
        if not rows:
            return None
        across = np.flatnonzero(columns)
        high = slice(int(rows[0][0]), int(rows[-1][-1]) + 1)
        wide = slice(int(across[0]), int(across[-1]) + 1)
        where = now[high, wide] != seen[high, wide]
        corner = region[0].start, region[1].start
        return (
            slice(high.start + corner[0], high.stop + corner[0]),
            slice(wide.start + corner[1], wide.stop + corner[1]),
        ), where

    def _part(self, array: Labels, region: Region) -> Labels:
        """The part of the window that shows a region, as a view."""
        rows, columns = (
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(region, self.region, strict=True)
        )
        return array[rows, columns]

    def _show(self, changes: Iterable[ChunkChange]) -> None:
        """Show changes of the store in the window: some now, the others when it catches up."""
        waiting = [one for one in changes if _common(one.region, self.region) is not None]
        now = set(self._at_once(one.index for one in waiting))
        for change in waiting:
            if change.index in now:
                self._pull(change.region)
            else:
                self._behind[change.index] = None

    def _at_once(self, indices: Iterable[ChunkIndex]) -> Iterator[ChunkIndex]:
        """Yield the first chunks, as many as are shown at once, and one at least."""
        left = SHOWN_AT_ONCE
        for index in indices:
            if left <= 0:
                return
            left -= 1 if self.store.at_hand(index) else UNPACKED
            yield index

    def _pull(self, region: Part) -> None:
        """Show a region of the store in the window."""
        common = _common(region, self.region)
        if common is not None:
            labels = self.store.read_labels(common)
            self._part(self.window, common)[...] = labels
            self._part(self._seen, common)[...] = labels


def region_of(where: Any, shape: tuple[int, ...]) -> Region:
    """Return an index of integers and slices as rows and columns with start and stop."""
    parts = (*where, *(slice(None),) * (2 - len(where)))
    rows, columns = (
        slice(*part.indices(side)[:2]) if isinstance(part, slice)
        else slice(int(part), int(part) + 1)
        for part, side in zip(parts, shape, strict=True)
    )  # fmt: skip
    return rows, columns


def unpack(changes: Iterable[ChunkChange], window: Region) -> None:
    """Have the new pixels that a window will show uncompressed; for the thread that changed them.

    Parameters
    ----------
    changes : iterable of ChunkChange
        Of a fork; see `StoredEdits.merge` and `relabel`.
    window : (slice, slice)
        See `StoredEdits.region`.
    """
    for change in changes:
        if change.new is not None and _common(change.region, window) is not None:
            _ = change.new.pixels


def _common(region: Part, other: Region) -> Region | None:
    """The part that two regions share; None if there is none."""
    rows, columns = (
        slice(max(one.start, two.start), min(one.stop, two.stop))
        for one, two in zip(region, other, strict=True)
    )
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _put(array: NDArray[Any], values: NDArray[Any], inside: NDArray[np.bool_] | None) -> None:
    """Write values of the shape of an array, or those of the pixels of a mask."""
    if inside is None:
        array[...] = values.reshape(array.shape)
    else:
        array[inside] = values[inside] if values.shape == array.shape else values
