"""Marks that follow the labels while these are painted, filled, undone and redone.

An editor such as napari changes the labels in its own ways, and tells of some of them. So the
labels are compared with what they were: a change that takes back the last changes brings their
marks back too, and any other is a person's. That holds for every tool and for undo and redo,
without knowing how any of them works. Who knows that it was no undo may say so: erasing just what
was accepted looks like one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..segmentation import InvalidInputError
from .edit_mask import PAINTED, EditMask, Labels

REMEMBERED = 100
"""As many steps as napari keeps."""


@dataclass(frozen=True, eq=False)
class _Change:
    """Pixels that changed together; flat indices."""

    pixels: NDArray[np.intp]
    old: Labels
    new: Labels
    old_edit_mask: EditMask
    new_edit_mask: EditMask


class Edits:
    """The labels and marks of an annotation that is being edited.

    Parameters
    ----------
    labels : (..., Y, X) uint16 array
        Contiguous; shared with the editor, which changes it in place.
    edit_mask : (..., Y, X) uint8 array
        Copied.

    Raises
    ------
    InvalidInputError
        For arrays that do not fit.
    """

    def __init__(self, labels: Labels, edit_mask: EditMask) -> None:
        if labels.shape != edit_mask.shape or not labels.flags.c_contiguous:
            raise InvalidInputError(
                f"Labels {labels.shape} and marks {edit_mask.shape} must be of one shape, and the "
                "labels contiguous."
            )
        self.labels = labels
        self.edit_mask = edit_mask.copy(order="C")
        self._seen = labels.copy()
        self._done: deque[_Change] = deque(maxlen=REMEMBERED)
        self._undone: deque[_Change] = deque(maxlen=REMEMBERED)

    def follow(self, *, painted: bool = False) -> bool:
        """Bring the marks up to the labels; whether there was anything to do.

        Costs one comparison of the labels where nothing changed.

        Parameters
        ----------
        painted : bool
            Whether what has changed is known to be a person's, whatever it looks like.
        """
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

    def take(
        self, where: tuple[NDArray[np.intp], ...], labels: Labels, edit_mask: EditMask
    ) -> None:
        """Make a change that is no painting, as one step that can be taken back.

        The editor's own array is not touched: whoever calls this writes the same labels into it,
        as one step of the editor's undo.

        Parameters
        ----------
        where : tuple of arrays of int
            An index for each axis of the n pixels.
        labels : (n,) uint16 array
        edit_mask : (n,) uint8 array
        """
        self.follow()
        seen = self._seen.ravel()
        pixels = np.ravel_multi_index(where, self.labels.shape).astype(np.intp)
        if np.array_equal(labels, seen[pixels]):  # no step of the editor's: none of ours
            self.edit_mask.ravel()[pixels] = edit_mask
            return
        self._remember(pixels, seen[pixels], labels, edit_mask)
        seen[pixels] = labels

    def _remember(
        self, pixels: NDArray[np.intp], old: Labels, new: Labels, new_edit_mask: EditMask
    ) -> None:
        old_edit_mask = self.edit_mask.ravel()[pixels]
        self._done.append(_Change(pixels, old, new, old_edit_mask, new_edit_mask))
        self._undone.clear()
        self.edit_mask.ravel()[pixels] = new_edit_mask

    def _steps_back(
        self, now: Labels, pixels: NDArray[np.intp], changes: deque[_Change], *, undoing: bool
    ) -> int:
        """How many of the last changes, taken back (or made again), give the labels; 0 for none."""
        trial = self._seen.ravel().copy()
        for steps, change in enumerate(reversed(changes), 1):
            trial[change.pixels] = change.old if undoing else change.new
            if np.array_equal(trial[pixels], now[pixels]) and np.array_equal(trial, now):
                return steps
        return 0
