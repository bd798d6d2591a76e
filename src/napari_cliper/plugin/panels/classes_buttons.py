"""The buttons under the table of classes; what is grey says why."""

from __future__ import annotations

from collections.abc import Collection

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QWidget

_NONE_CHOSEN = "Choose a row first."


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

        self.add = button("+", "Add")
        self.remove = button("\N{MINUS SIGN}", "Remove")
        self.up = button("\N{UPWARDS ARROW}", "Move up")
        self.down = button("\N{DOWNWARDS ARROW}", "Move down")
        self.undo = button("\N{ANTICLOCKWISE OPEN CIRCLE ARROW}", "Undo")
        self.redo = button("\N{CLOCKWISE OPEN CIRCLE ARROW}", "Redo")
        row.addStretch(1)
        self.load = button("Loa&d\N{HORIZONTAL ELLIPSIS}", "Load classes")
        self.save = button("&Save\N{HORIZONTAL ELLIPSIS}", "Save classes")
        self.load.setToolTip(
            "Read classes from a file: YAML, JSON, or text with one class per line."
        )

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
            (self.add, pending, "Add the words above (Enter).",
             "Type words into the field above first."),
            (self.remove, size > 0, "Remove the chosen classes (Delete).", _NONE_CHOSEN),
            (self.up, bool(some - set(range(size))), "Move the chosen classes up (Alt+Up).",
             "The first already." if size else _NONE_CHOSEN),
            (self.down, bool(some - set(range(count - size, count))),
             "Move the chosen classes down (Alt+Down).",
             "The last already." if size else _NONE_CHOSEN),
            (self.undo, can_undo, "Undo the last change of the classes (Ctrl+Z).",
             "There is nothing to undo."),
            (self.redo, can_redo, "Redo what was undone (Ctrl+Shift+Z).",
             "There is nothing to redo."),
            (self.save, count > 0,
             "Write the classes to a file: YAML, JSON, or text with one class per line.",
             "There are no classes to save."),
        )  # fmt: skip
        for button, enabled, tooltip, why_not in states:
            button.setEnabled(enabled)
            button.setToolTip(tooltip if enabled else why_not)
