"""The class of the brush: chosen by its row in the table, in the palette, or by a key."""

from __future__ import annotations

from functools import partial

from napari.layers import Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from ...annotation.class_change import ClassChange
from ...labels.label_class import ClassRow
from .. import shortcuts, ui_text
from ..state import DockState
from .base import Controller


class Brush(Controller):
    """The class of the brush of the active Labels layer.

    Parameters
    ----------
    state : DockState
    panel : QWidget
    """

    brushed = Signal(str)
    """The class of the brush was chosen, by its row or by a key."""

    def __init__(self, state: DockState, panel: QWidget) -> None:
        super().__init__(panel)
        self._state = state
        self._viewer = state.viewer
        self._last_brushed = ""
        self.keys = {
            shortcuts.NEXT_CLASS: partial(self.brush_step, 1),
            shortcuts.PREVIOUS_CLASS: partial(self.brush_step, -1),
            **{
                key: partial(self.brush_nth, index) for index, key in enumerate(shortcuts.NTH_CLASS)
            },
        }
        state.class_selected.connect(self._on_selected)

    def brush(self, row: ClassRow) -> None:
        """Set the class of the active layer's brush."""
        active = self._viewer.layers.selection.active
        annotation, shown = self._state.annotations.behind(active), self._state.shown
        if annotation is not None:
            number = annotation.number_of(row)
            annotation.show_classes(list(self._state.labelled_rows))
            active.selected_label = number
        elif isinstance(active, Labels):
            rows = list(self._state.labelled_rows) if shown is None else list(shown.rows)
            names = [one.name for one in rows]
            if row.name in names:
                active.selected_label = names.index(row.name) + 1
        self._last_brushed = row.name
        self._viewer.status = ui_text.brush_paints(row.name)
        self.brushed.emit(row.name)

    def row_of(self, name: str) -> ClassRow | None:
        """Return the class with a name in the table; None for other names and background words."""
        return next((row for row in list(self._state.labelled_rows) if row.name == name), None)

    def brush_step(self, step: int) -> None:
        """Set the brush to the next (1) or previous (-1) class of the table."""
        rows = list(self._state.labelled_rows)
        if rows:
            at = self._brushed(rows)
            first = 0 if step > 0 else len(rows) - 1
            self.brush(rows[first if at is None else (at + step) % len(rows)])

    def brush_nth(self, index: int) -> None:
        """Set the brush to the class with an index in the table."""
        rows = list(self._state.labelled_rows)
        if index < len(rows):
            self.brush(rows[index])

    def _brushed(self, rows: list[ClassRow]) -> int | None:
        """Return the class of the active layer's brush."""
        active = self._viewer.layers.selection.active
        names = [row.name.casefold() for row in rows]
        if not isinstance(active, Labels):
            last = self._last_brushed.casefold()
            return names.index(last) if last in names else None
        annotation = self._state.annotations.behind(active)
        if annotation is None:
            return active.selected_label - 1 if 0 < active.selected_label <= len(rows) else None
        named = annotation.classes.get(active.selected_label)
        known = named is not None and named.name.casefold() in names
        return names.index(named.name.casefold()) if named is not None and known else None

    def change_class(self, change: ClassChange) -> None:
        """Use the new name of a class that was renamed or merged."""
        if change.is_of(self._last_brushed):
            self._last_brushed = "" if change.new is None else change.new.name

    def _on_selected(self, label: int) -> None:
        if label > 0:
            self.brush_nth(label - 1)
