"""The order of the user's strokes and clicks, so that the newest is undone first."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

_STEPS_KEPT = 100  # as in napari's Labels layers


class Undoable(Protocol):
    """An object with its own undo: a Labels layer, or the clicks of an image."""

    def undo(self) -> None:
        """Undo the last step."""

    def redo(self) -> None:
        """Redo the step that was undone last."""


class HintHistory:
    """The undo steps of one image: those of its labels layer and those of its clicks."""

    def __init__(self) -> None:
        self._done: deque[Undoable] = deque(maxlen=_STEPS_KEPT)
        self._undone: deque[Undoable] = deque(maxlen=_STEPS_KEPT)

    def add(self, owner: Undoable) -> None:
        """Add a step of an owner; this clears redo."""
        self._done.append(owner)
        self._undone.clear()

    def forget(self, owner: Any) -> None:
        """Drop the steps of an owner whose layer was removed."""
        for steps in (self._done, self._undone):
            kept = [one for one in steps if one is not owner]
            steps.clear()
            steps.extend(kept)

    def undo(self) -> bool:
        """Undo the newest step; False if there is none."""
        if not self._done:
            return False
        owner = self._done.pop()
        self._undone.append(owner)
        owner.undo()
        return True

    def redo(self) -> bool:
        """Redo the step that was undone last; False if there is none."""
        if not self._undone:
            return False
        owner = self._undone.pop()
        self._done.append(owner)
        owner.redo()
        return True
