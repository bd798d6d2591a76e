"""The buttons under the table of classes; what is grey says why."""

from __future__ import annotations

from collections.abc import Collection

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QWidget

from .. import ui_text


class ClassesButtons(QWidget):
    """Add, remove, up, down, undo, redo, load and save, in a row."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)

        def button(text: str, name: str) -> QToolButton:
            made = QToolButton()
            made.setText(text)
            made.setAccessibleName(name)
            made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # a click ends the editing of a cell
            row.addWidget(made)
            return made

        self.add = button("+", ui_text.ADD)
        self.remove = button("\N{MINUS SIGN}", ui_text.REMOVE)
        self.up = button("\N{UPWARDS ARROW}", ui_text.MOVE_UP)
        self.down = button("\N{DOWNWARDS ARROW}", ui_text.MOVE_DOWN)
        self.undo = button("\N{ANTICLOCKWISE OPEN CIRCLE ARROW}", ui_text.UNDO)
        self.redo = button("\N{CLOCKWISE OPEN CIRCLE ARROW}", ui_text.REDO)
        row.addStretch(1)
        self.load = button(ui_text.LOAD_CLASSES, ui_text.LOAD_CLASSES_NAME)
        self.save = button(ui_text.SAVE_CLASSES, ui_text.SAVE_CLASSES_NAME)
        self.load.setToolTip(ui_text.LOAD_CLASSES_TIP)

    def show_state(
        self,
        *,
        chosen: Collection[int],
        count: int,
        pending: bool,
        can_undo: bool,
        can_redo: bool,
    ) -> None:
        """Grey out what cannot be done now, and say why in the tooltip.

        Parameters
        ----------
        chosen : collection of int
            The chosen rows.
        count : int
            Of all rows.
        pending : bool
            Whether there are words in the field.
        can_undo, can_redo : bool
        """
        some, size = set(chosen), len(chosen)
        states = (
            (self.add, pending, ui_text.ADD_TIP,
             ui_text.ADD_WHY_NOT),
            (self.remove, size > 0, ui_text.REMOVE_CLASSES_TIP, ui_text.NO_ROW_SELECTED),
            (self.up, bool(some - set(range(size))), ui_text.MOVE_UP_TIP,
             ui_text.MOVE_UP_WHY_NOT if size else ui_text.NO_ROW_SELECTED),
            (self.down, bool(some - set(range(count - size, count))),
             ui_text.MOVE_DOWN_TIP,
             ui_text.MOVE_DOWN_WHY_NOT if size else ui_text.NO_ROW_SELECTED),
            (self.undo, can_undo, ui_text.UNDO_CLASSES_TIP,
             ui_text.NOTHING_TO_UNDO),
            (self.redo, can_redo, ui_text.REDO_CLASSES_TIP,
             ui_text.NOTHING_TO_REDO),
            (self.save, count > 0,
             ui_text.SAVE_CLASSES_TIP,
             ui_text.SAVE_CLASSES_WHY_NOT),
        )  # fmt: skip
        for button, enabled, tooltip, why_not in states:
            button.setEnabled(enabled)
            button.setToolTip(tooltip if enabled else why_not)
