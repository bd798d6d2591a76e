"""The menu of the table of classes; disabled entries have the reason as tooltip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMenu, QWidget

from ...labels.label_class import ClassRow
from .. import ui_text


@dataclass(frozen=True)
class TableState:
    """The state of the table that enables or disables entries.

    Parameters
    ----------
    rows : sequence of ClassRow
    chosen : sequence of int
        The chosen rows, from top to bottom.
    can_undo, can_redo : bool
    """

    rows: Sequence[ClassRow]
    chosen: Sequence[int]
    can_undo: bool
    can_redo: bool


class ClassesMenu(QMenu):
    """Remove, move, background, rename, merge, delete, undo, redo, load and save."""

    merge_wanted = Signal(int)
    """The row of the class to merge the selected one into."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTipsVisible(True)
        self.remove = self._action(ui_text.REMOVE)
        self.up = self._action(ui_text.MOVE_UP)
        self.down = self._action(ui_text.MOVE_DOWN)
        self.background = self._action(ui_text.AS_BACKGROUND)
        self.background.setCheckable(True)
        self.addSeparator()
        self.rename = self._action(ui_text.RENAME_CLASS)
        self.merge = QMenu(ui_text.MERGE_CLASS, self)
        self.merge.setToolTipsVisible(True)
        self.addMenu(self.merge)
        self.delete = self._action(ui_text.DELETE_CLASS)
        self.addSeparator()
        self.undo = self._action(ui_text.UNDO)
        self.redo = self._action(ui_text.REDO)
        self.addSeparator()
        self.load = self._action(ui_text.LOAD_CLASSES)
        self.load.setToolTip(ui_text.LOAD_CLASSES_TIP)
        self.save = self._action(ui_text.SAVE_CLASSES)

    def _action(self, text: str) -> QAction:
        made = QAction(text, self)
        self.addAction(made)
        return made

    def _on_merge(self, index: int, _checked: bool = False) -> None:
        self.merge_wanted.emit(index)

    def show_state(self, state: TableState) -> None:
        """Enable or disable the entries, with the reason as tooltip."""
        some, size, count = set(state.chosen), len(state.chosen), len(state.rows)
        none = "" if size else ui_text.NO_ROW_SELECTED
        can_up, can_down = some - set(range(size)), some - set(range(count - size, count))
        states = (
            (self.remove, none, ui_text.REMOVE_CLASSES_TIP),
            (self.up, none or ("" if can_up else ui_text.MOVE_UP_WHY_NOT), ui_text.MOVE_UP_TIP),
            (
                self.down,
                none or ("" if can_down else ui_text.MOVE_DOWN_WHY_NOT),
                ui_text.MOVE_DOWN_TIP,
            ),
            (self.background, none, ui_text.AS_BACKGROUND_TIP),
            (
                self.undo,
                "" if state.can_undo else ui_text.NOTHING_TO_UNDO,
                ui_text.UNDO_CLASSES_TIP,
            ),
            (
                self.redo,
                "" if state.can_redo else ui_text.NOTHING_TO_REDO,
                ui_text.REDO_CLASSES_TIP,
            ),
            (self.save, "" if count else ui_text.SAVE_CLASSES_WHY_NOT, ui_text.SAVE_CLASSES_TIP),
        )
        one = none or ("" if size == 1 else ui_text.SELECT_ONE_CLASS)
        labelled = one or ("" if not state.rows[state.chosen[0]].background else ui_text.NO_LABEL)
        others = [
            index
            for index, row in enumerate(state.rows)
            if not row.background and index not in some
        ]
        no_merge = labelled or ("" if others else ui_text.NO_OTHER_CLASS)
        merge = self.merge.menuAction()
        states += (
            (self.rename, one, ui_text.RENAME_CLASS_TIP),
            (self.delete, labelled, ui_text.DELETE_CLASS_TIP),
            *(((merge, no_merge, ui_text.MERGE_CLASS_TIP),) if merge is not None else ()),
        )
        self.merge.clear()
        for index in () if no_merge else others:
            into = self.merge.addAction(state.rows[index].name.replace("&", "&&"))
            if into is not None:
                into.triggered.connect(partial(self._on_merge, index))
        for action, why_not, tip in states:
            action.setEnabled(not why_not)
            action.setToolTip(why_not or tip)
        self.background.setChecked(
            bool(some) and all(state.rows[index].background for index in some)
        )
