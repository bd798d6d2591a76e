"""The order of a person's strokes and clicks, so that the newest is undone first."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

_STEPS_KEPT = 100  # as many as napari keeps of a Labels layer


class Undoable(Protocol):
    """What can take its own last step back: a Labels layer, or the clicks of an image."""

    def undo(self) -> None:
        """Take the last step back."""

    def redo(self) -> None:
        """Make the step again that was taken back last."""


class HintHistory:
    """The undo steps of one image: those of its labels layer and those of its clicks."""

    def __init__(self) -> None:
        self._done: deque[Undoable] = deque(maxlen=_STEPS_KEPT)
        self._undone: deque[Undoable] = deque(maxlen=_STEPS_KEPT)

    def add(self, owner: Undoable) -> None:
        """Remember that the owner has made a step; nothing can be redone from now on."""
        self._done.append(owner)
        self._undone.clear()

    def forget(self, owner: Any) -> None:
        """Drop the steps of an owner whose layer is gone."""
        for steps in (self._done, self._undone):
            kept = [one for one in steps if one is not owner]
            steps.clear()
            steps.extend(kept)

    def undo(self) -> bool:
        """Undo the newest step; False where there is none."""
        if not self._done:
            return False
        owner = self._done.pop()
        self._undone.append(owner)
        owner.undo()
        return True

    def redo(self) -> bool:
        """Redo the step that was undone last; False where there is none."""
        if not self._undone:
            return False
        owner = self._undone.pop()
        self._done.append(owner)
        owner.redo()
        return True
