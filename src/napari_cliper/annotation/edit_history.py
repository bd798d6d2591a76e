"""Keep the edit mask in step with labels that are painted, filled, undone and redone in an editor.

An editor such as napari does not report every change. So the labels are compared with their last
known values: a change that reverts the most recent changes is taken as undo (and its reverse as
redo) and restores their edit mask; any other change is taken as painting. This works with every
tool. Callers that know that a change is not an undo can say so, because erasing exactly what was
accepted cannot be told from one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..segmentation import InvalidInputError
from .edit_mask import PAINTED, EditMask, Labels

REMEMBERED = 100
"""Number of undo steps; the same as in napari."""


@dataclass(frozen=True, eq=False)
class _Change:
    """Pixels that changed in one step, as flat indices."""

    pixels: NDArray[np.intp]
    old: Labels
    new: Labels
    old_edit_mask: EditMask
    new_edit_mask: EditMask


class Edits:
    """Labels and edit mask of an annotation that is being edited, with undo history.

    Parameters
    ----------
    labels : (..., Y, X) uint16 array
        C-contiguous; shared with the editor, which changes it in place.
    edit_mask : (..., Y, X) uint8 array
        Copied.

    Raises
    ------
    InvalidInputError
        If the shapes differ or the labels are not C-contiguous.
    """

    def __init__(self, labels: Labels, edit_mask: EditMask) -> None:
        if labels.shape != edit_mask.shape or not labels.flags.c_contiguous:
            raise InvalidInputError(
                f"Labels {labels.shape} and edit mask {edit_mask.shape} must have the same shape, "
                "and the labels must be contiguous."
            )
        self.labels = labels
        self.edit_mask = edit_mask.copy(order="C")
        self._seen = labels.copy()
        self._step: list[_Change] | None = None  # changes that become one step
        self._done: deque[_Change] = deque(maxlen=REMEMBERED)
        self._undone: deque[_Change] = deque(maxlen=REMEMBERED)

    def follow(self, *, painted: bool = False) -> bool:
        """Update the edit mask after the editor may have changed labels; return whether it did.

        Parameters
        ----------
        painted : bool
            Treat every change as painting, even one that equals an undo or redo.
        """
        if self._step is not None:
            return False
        now, seen = self.labels.ravel(), self._seen.ravel()
        pixels = np.flatnonzero(now != seen)
        if not pixels.size:
            return False
        if painted:
            edit_mask = np.full(pixels.size, PAINTED, np.uint8)
            self._remember(pixels, seen[pixels], now[pixels], edit_mask)
        elif steps := self._steps_back(now, pixels, self._done, undoing=True):
            for _ in range(steps):
                change = self._done.pop()
                self.edit_mask.ravel()[change.pixels] = change.old_edit_mask
                self._undone.append(change)
        elif steps := self._steps_back(now, pixels, self._undone, undoing=False):
            for _ in range(steps):
                change = self._undone.pop()
                self.edit_mask.ravel()[change.pixels] = change.new_edit_mask
                self._done.append(change)
        else:
            edit_mask = np.full(pixels.size, PAINTED, np.uint8)
            self._remember(pixels, seen[pixels], now[pixels], edit_mask)
        seen[pixels] = now[pixels]
        return True

    @contextmanager
    def as_one_step(self) -> Iterator[None]:
        """Make one step of all changes that are taken meanwhile; no pixel may change twice."""
        self.follow()
        step: list[_Change] = []
        self._step = step
        try:
            yield
        finally:
            self._step = None
        if step and any((one.old != one.new).any() for one in step):
            names = ("pixels", "old", "new", "old_edit_mask", "new_edit_mask")
            parts = ([getattr(one, name) for one in step] for name in names)
            self._done.append(_Change(*(np.concatenate(part) for part in parts)))
            self._undone.clear()

    def take(
        self, where: tuple[NDArray[np.intp], ...], labels: Labels, edit_mask: EditMask
    ) -> None:
        """Record a change other than painting, as one step that can be undone.

        The caller writes the same labels into the editor's array, as one undo step of the editor.

        Parameters
        ----------
        where : tuple of arrays of int
            Indices of the n pixels, one array per axis.
        labels : (n,) uint16 array
        edit_mask : (n,) uint8 array
        """
        self.follow()
        seen = self._seen.ravel()
        pixels = np.ravel_multi_index(where, self.labels.shape).astype(np.intp)
        if self._step is not None:
            self._step.append(self._change(pixels, seen[pixels], labels, edit_mask))
            seen[pixels] = labels
            return
        if np.array_equal(labels, seen[pixels]):  # the editor has no undo step
            self.edit_mask.ravel()[pixels] = edit_mask
            return
        self._remember(pixels, seen[pixels], labels, edit_mask)
        seen[pixels] = labels

    def replace(self, where: tuple[NDArray[np.intp], ...], labels: Labels) -> None:
        """Write labels that follow something else, outside of the undo history.

        Undo and redo of the steps before go on as they were. The edit mask does not change.

        Parameters
        ----------
        where : tuple of arrays of int
            Indices of the n pixels, one array per axis.
        labels : (n,) uint16 array
        """
        self.follow()
        self.labels[where] = labels
        self._seen[where] = labels

    def _remember(
        self, pixels: NDArray[np.intp], old: Labels, new: Labels, new_edit_mask: EditMask
    ) -> None:
        self._done.append(self._change(pixels, old, new, new_edit_mask))
        self._undone.clear()

    def _change(
        self, pixels: NDArray[np.intp], old: Labels, new: Labels, new_edit_mask: EditMask
    ) -> _Change:
        """Change the edit mask, and return the change."""
        old_edit_mask = self.edit_mask.ravel()[pixels]
        self.edit_mask.ravel()[pixels] = new_edit_mask
        return _Change(pixels, old, new, old_edit_mask, new_edit_mask)

    def _steps_back(
        self, now: Labels, pixels: NDArray[np.intp], changes: deque[_Change], *, undoing: bool
    ) -> int:
        """Return how many of the last changes must be undone or redone to get `now`; 0 if none."""
        trial = self._seen.ravel().copy()
        for steps, change in enumerate(reversed(changes), 1):
            trial[change.pixels] = change.old if undoing else change.new
            if np.array_equal(trial[pixels], now[pixels]) and np.array_equal(trial, now):
                return steps
        return 0
