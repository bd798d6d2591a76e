"""A Labels layer over a part of a large image, whose undo steps belong to the whole image."""

from __future__ import annotations

from collections.abc import Callable

from napari.layers import Labels


class WindowLabels(Labels):
    """A Labels layer that leaves undo and redo to its annotation.

    napari's own history is in the coordinates of the array, which changes when the window moves.
    """

    undo_by: Callable[[], object] | None = None
    """Called for undo, in place of napari's history."""

    redo_by: Callable[[], object] | None = None
    """Called for redo."""

    @property
    def _type_string(self) -> str:
        """The kind of layer in napari's menus and for writers."""
        return "labels"

    def undo(self) -> None:
        """Undo the last step of the annotation."""
        if self.undo_by is None:
            super().undo()
        else:
            self.undo_by()

    def redo(self) -> None:
        """Redo the step that was undone last."""
        if self.redo_by is None:
            super().redo()
        else:
            self.redo_by()
