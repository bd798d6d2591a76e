"""A field for words, the table of classes, its menu, and class files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from ...annotation.class_change import ClassChange, change_rows
from ...io.class_list import read_classes, write_classes
from ...io.files import FileError
from ...labels.label_class import ClassRow, check_rows, rows_of, with_colours
from ...segmentation import InvalidInputError, parse_classes
from .. import ui_text
from ..qt.theme_colours import set_tone
from ..qt.wrapping_label import wrapping
from .classes_menu import ClassesMenu, TableState
from .classes_model import ClassesModel, Column, Rows, moved, words_of
from .classes_table import ClassesTable

_FIELD_LIMIT = 2**22
_LONG_WORD = re.compile(r"([\\/_]|[^\s\\/_]{24}(?=[^\s\\/_]))")


def one_line(text: str) -> str:
    """Join pasted lines with commas; empty lines are dropped."""
    lines = (line.strip().rstrip(",;") for line in text.splitlines())
    return ", ".join(line for line in lines if line)


def breakable(text: str) -> str:
    """Insert zero-width spaces at which a long word or path may wrap."""
    return _LONG_WORD.sub("\\1\N{ZERO WIDTH SPACE}", text)


class ClassesPanel(QWidget):
    """The classes to look for.

    The value is a tuple of `ClassRow`.
    """

    valueChanged = Signal(object)
    """The classes have changed; carries them."""
    words_changed = Signal()
    """Words, synonyms, background flags or order have changed: a run would differ."""
    appearance_changed = Signal()
    """The colour or visibility of a class has changed."""
    selected = Signal(int)
    """The user has selected a row; carries its label, 0 for background."""
    pending_changed = Signal(bool)
    """Carries whether the field has words that are not in the table yet."""
    renamed = Signal(object)
    """A class was renamed in the table; carries a `ClassChange`."""
    change_wanted = Signal(object)
    """A class is to be merged or deleted everywhere; carries a `ClassChange`."""
    loaded = Signal(object)
    """Carries the file that the classes were read from."""
    saved = Signal(object)
    """Carries the file that the classes were written to."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = ""
        self._pending = False
        self.model = ClassesModel(self)
        self.table = ClassesTable(self.model)
        self.table.setAccessibleName(ui_text.CLASSES_NAME)
        self.field = QLineEdit()
        self.field.setMaxLength(_FIELD_LIMIT)
        self.field.setClearButtonEnabled(True)
        self.field.setPlaceholderText(ui_text.WORDS_PLACEHOLDER)
        self.field.setToolTip(ui_text.WORDS_TIP)
        self.field.setAccessibleName(ui_text.WORDS_NAME)
        self.message = wrapping(parent=self)
        """Why words were refused, for a place of its own."""
        set_tone(self.message, "error")
        self.message.hide()
        self.add_button = QToolButton()
        self.add_button.setText("+")
        self.add_button.setAccessibleName(ui_text.ADD)
        self.menu = ClassesMenu(self)
        self.menu_button = QToolButton()
        self.menu_button.setText("...")
        self.menu_button.setAccessibleName(ui_text.CLASSES_MENU_NAME)
        self.menu_button.setToolTip(ui_text.CLASSES_MENU_TIP)
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button.setMenu(self.menu)
        set_tone(self.menu_button, "menu")
        words = QHBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.field, 1)
        for button in (self.add_button, self.menu_button):
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # a click ends the editing of a cell
            words.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(words)
        column.addWidget(self.table)
        self._connect()
        self._update_buttons()

    def _connect(self) -> None:
        self.field.returnPressed.connect(self._on_add)
        self.field.textChanged.connect(self._on_field_changed)
        self.add_button.clicked.connect(self._on_add)
        self.menu.remove.triggered.connect(self._on_remove)
        self.menu.up.triggered.connect(self._on_up)
        self.menu.down.triggered.connect(self._on_down)
        self.menu.background.triggered.connect(self._on_background)
        self.menu.rename.triggered.connect(self._on_rename)
        self.menu.merge_wanted.connect(self._on_merge)
        self.menu.delete.triggered.connect(self._on_delete)
        self.menu.undo.triggered.connect(self.undo)
        self.menu.redo.triggered.connect(self.redo)
        self.menu.load.triggered.connect(self._on_load)
        self.menu.save.triggered.connect(self._on_save)
        self.model.replaced.connect(self._on_replaced)
        self.model.renamed.connect(self.renamed)
        self.model.refused.connect(self._say)
        self.table.chosen.connect(self._on_chosen)
        self.table.colour_wanted.connect(self._on_colour_wanted)
        self.table.remove_wanted.connect(self._on_remove)
        self.table.move_wanted.connect(self._move)
        self.table.undo_wanted.connect(self.undo)
        self.table.redo_wanted.connect(self.redo)
        selection = self.table.selectionModel()
        if selection is not None:
            selection.selectionChanged.connect(self._update_buttons)

    # ------------------------------------------------------------------ values in and out

    def value(self) -> Rows:
        """Return the classes from top to bottom; each one with a label has a colour."""
        return self.model.rows

    def setValue(self, rows: Iterable[ClassRow], *, undoable: bool = True) -> None:
        """Replace all classes.

        Parameters
        ----------
        rows : iterable of ClassRow
        undoable : bool
            Whether this is one undo step; otherwise the history is cleared.

        Raises
        ------
        InvalidInputError
            For a repeated word; the table stays as it is.
        """
        new = with_colours(tuple(rows))
        check_rows(new)
        if undoable:
            self.model.propose(new)
        else:
            self.model.reset_to(new)

    def set_scores(self, scores: Mapping[str, float] | None) -> None:
        """Show the scores of a run by class name; None removes them."""
        self.model.set_scores(scores)
        self.table.fit_columns()

    def set_threshold(self, threshold: float, top: float) -> None:
        """Draw the class threshold in the score bars.

        Parameters
        ----------
        threshold : float
        top : float
            The end of the bars: where the slider of the threshold ends.
        """
        self.model.set_threshold(threshold, top)

    def add_words(self, text: str) -> bool:
        """Add classes written as ``cat, dog=puppy|hound, sky`` or as lines.

        Returns
        -------
        bool
            False if a word is invalid; the message below the table says why.
        """
        try:
            new = rows_of(parse_classes(one_line(text)))
        except InvalidInputError as error:
            self._say(str(error))
            return False
        if not self.model.propose((*self.value(), *new)):
            return False
        self._choose([len(self.value()) - 1] if new else [])
        return True

    def type_words(self) -> None:
        """Put the cursor into the field for words."""
        self.field.setFocus()

    def pending(self) -> str:
        """Return the words in the field that are not in the table yet."""
        return self.field.text().strip()

    def take_back_renamed(self) -> None:
        """Restore the old name of a class, because it could not be renamed everywhere."""
        self._step(self.model.take_back_renamed)

    def drop(self, change: ClassChange) -> None:
        """Remove a class that was merged or deleted everywhere; this cannot be undone."""
        self.setValue(change_rows(self.value(), change), undoable=False)

    def finish_editing(self) -> bool:
        """Commit what is typed in a cell or in the field; call it before a run.

        Returns
        -------
        bool
            False if it is refused; the message below the table says why.
        """
        self._say("")
        self.table.commit_editor()
        if self.message.text():
            return False
        return self._on_add() if self.pending() else True

    def problem(self) -> str:
        """Return why these classes cannot be run, or ``""``."""
        if not self.value():
            return ui_text.NO_WORDS
        if all(row.background for row in self.value()):
            return ui_text.ALL_BACKGROUND
        return ""

    def select(self, name: str) -> None:
        """Select the row of a class, as by a click; does nothing if there is no such row."""
        for index, row in enumerate(self.value()):
            if row.name.casefold() == name.casefold():
                self._choose([index])
                self._on_chosen(index)

    def undo(self) -> None:
        """Undo the last change of the classes."""
        self._step(self.model.undo)

    def redo(self) -> None:
        """Redo the change that was undone last."""
        self._step(self.model.redo)

    def load_from(self, path: str | Path) -> bool:
        """Replace the classes by those of a file; shows a message and returns False on failure."""
        try:
            rows = read_classes(path)
            check_rows(rows)
        except FileError as error:
            self._say(str(error))
            return False
        except InvalidInputError as error:
            self._say(ui_text.cannot_read(path=path, error=error))
            return False
        if not rows:
            self._say(ui_text.no_classes_in(path))
            return False
        self._folder = str(Path(path).parent)
        if not self.model.propose(rows):
            return False
        self.loaded.emit(Path(path))
        return True

    def save_to(self, path: str | Path) -> bool:
        """Write the classes to a file; shows a message and returns False on failure."""
        try:
            write_classes(path, self.value())
        except FileError as error:
            self._say(str(error))
            return False
        self._folder = str(Path(path).parent)
        self._say("")
        self.saved.emit(Path(path))
        return True

    # ------------------------------------------------------------------ slots

    def _on_add(self) -> bool:
        if not self.add_words(self.field.text()):
            return False
        self.field.clear()
        return True

    def _on_field_changed(self, text: str) -> None:
        if len(text.splitlines()) > 1:  # pasted lines
            with signals_blocked(self.field):
                self.field.setText(one_line(text))
        self._say("")
        if bool(self.pending()) != self._pending:
            self._pending = not self._pending
            self._update_buttons()
            self.pending_changed.emit(self._pending)

    def _on_remove(self) -> None:
        gone = set(self.table.chosen_rows())
        if gone:
            self.model.propose(row for index, row in enumerate(self.value()) if index not in gone)
            self._choose([min(*gone, len(self.value()) - 1)] if self.value() else [])

    def _on_up(self) -> None:
        self._move(-1)

    def _on_down(self) -> None:
        self._move(1)

    def _move(self, step: int) -> None:
        rows, places = moved(self.value(), self.table.chosen_rows(), step)
        if rows != self.value():
            self.model.propose(rows)
            self._choose(places)

    def _on_rename(self) -> None:
        for row in self.table.chosen_rows()[:1]:
            self.table.edit(self.model.index(row, Column.NAME))

    def _on_merge(self, into: int) -> None:
        rows = self.value()
        for row in self.table.chosen_rows()[:1]:
            self.change_wanted.emit(ClassChange(rows[row].name, rows[into], merge=True))

    def _on_delete(self) -> None:
        for row in self.table.chosen_rows()[:1]:
            self.change_wanted.emit(ClassChange(self.value()[row].name))

    def _on_background(self, wanted: bool) -> None:
        chosen = self.table.chosen_rows()
        rows = list(self.value())
        for index in chosen:
            rows[index] = replace(rows[index], background=wanted)
        self.model.propose(rows)
        self._choose(chosen)

    def _on_chosen(self, row: int) -> None:
        self.selected.emit(self.model.label(row))

    def _on_colour_wanted(self, row: int) -> None:
        one = self.value()[row]
        if one.background or one.colour is None:
            return
        chosen = QColorDialog.getColor(QColor(*one.colour), self, ui_text.colour_title(one.name))
        # The dialog let events pass: the row may have moved or gone.
        if chosen.isValid() and one in self.value():
            colour = (chosen.red(), chosen.green(), chosen.blue())
            self.model.change(self.value().index(one), colour=colour)

    def _on_load(self) -> None:
        filters = ";;".join((ui_text.CLASS_FILES, *ui_text.CLASS_FILE_FORMATS))
        path, _ = QFileDialog.getOpenFileName(
            self, ui_text.LOAD_CLASSES_TITLE, self._folder, filters
        )
        if path:
            self.load_from(path)

    def _on_save(self) -> None:
        dialog = QFileDialog(
            self, ui_text.SAVE_CLASSES_TITLE, self._folder, ";;".join(ui_text.CLASS_FILE_FORMATS)
        )
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("yaml")
        dialog.filterSelected.connect(
            lambda name: dialog.setDefaultSuffix(ui_text.CLASS_FILE_FORMATS[name])
        )
        if dialog.exec():
            self.save_to(dialog.selectedFiles()[0])
        dialog.deleteLater()

    def _on_replaced(self, old: Rows, new: Rows) -> None:
        self._say("")
        self.table.fit_columns()
        self._update_buttons()
        if old != new:
            self.valueChanged.emit(new)
        if [words_of(row) for row in old] != [words_of(row) for row in new]:
            self.words_changed.emit()
        prototype_weight = {row.name: (row.colour, row.visible) for row in old}
        if any(
            prototype_weight.get(row.name, look) != look
            for row in new
            for look in [(row.colour, row.visible)]
        ):
            self.appearance_changed.emit()

    # ------------------------------------------------------------------ helpers

    def _step(self, step: Callable[[], None]) -> None:
        rows = self.table.chosen_rows()
        step()
        self._choose([row for row in rows if row < len(self.value())])

    def _choose(self, rows: Iterable[int]) -> None:
        """Select rows without a signal."""
        with signals_blocked(self.table):
            self.table.choose(rows)
        self._update_buttons()

    def _say(self, text: str) -> None:
        self.message.setText(breakable(text))
        self.message.setVisible(bool(text))

    def _update_buttons(self) -> None:
        self.add_button.setEnabled(self._pending)
        self.add_button.setToolTip(ui_text.ADD_TIP if self._pending else ui_text.ADD_WHY_NOT)
        self.menu.show_state(
            TableState(
                self.value(), self.table.chosen_rows(), self.model.can_undo, self.model.can_redo
            )
        )
