"""The view of the classes: colour swatches, keys, and columns that fit 320 pixels."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import QEvent, QItemSelection, QItemSelectionModel, QModelIndex, QRect, Qt, Signal
from qtpy.QtGui import (
    QBrush,
    QColor,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QResizeEvent,
)
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from .classes_model import COLOUR_ROLE, GREY, ClassesModel, Column

_SYNONYMS_SHARE = 0.45
"""The most that synonyms take of the width that they share with names."""
_LOOKED_AT = 64
"""Rows whose contents are measured for the width of a column."""

_Key = Qt.Key
_ENTER = (_Key.Key_Return, _Key.Key_Enter)


class SwatchDelegate(QStyledItemDelegate):
    """Paints a class's colour; hatching where a class has no label."""

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """The cell as usual, then the colour within it."""
        super().paint(painter, option, index)
        if painter is None:
            return
        colour = index.data(COLOUR_ROLE)
        rect = QRect(option.rect).adjusted(4, 4, -4, -4)
        painter.save()
        painter.setPen(GREY)
        painter.setBrush(
            QBrush(GREY, Qt.BrushStyle.BDiagPattern) if colour is None else QColor(*colour)
        )
        painter.drawRect(rect.adjusted(0, 0, -1, -1))
        painter.restore()


class ClassesTable(QTableView):
    """A table of classes that tells which row is chosen and what its keys ask for."""

    chosen = Signal(int)
    """A row was chosen, by mouse or keyboard; also when it was the chosen one already."""
    colour_wanted = Signal(int)
    remove_wanted = Signal()
    move_wanted = Signal(int)
    undo_wanted = Signal()
    redo_wanted = Signal()

    def __init__(self, model: ClassesModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._classes = model
        self.setModel(model)
        self.setItemDelegateForColumn(Column.COLOUR, SwatchDelegate(self))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.setTabKeyNavigation(False)  # Tab leaves the table; arrows walk in it
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.doubleClicked.connect(self._on_double_clicked)

        rows, columns = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None  # noqa: S101 - for the types; a table has both
        assert columns is not None  # noqa: S101
        height = self.fontMetrics().height() + 10
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setMinimumSectionSize(height)
        rows.setDefaultSectionSize(height)
        columns.setHighlightSections(False)
        columns.setSectionsClickable(False)
        columns.setMinimumSectionSize(16)
        columns.setResizeContentsPrecision(_LOOKED_AT)
        columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        columns.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        columns.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)
        self._columns = columns
        self.setMinimumHeight(5 * height)

    def fit_columns(self) -> None:
        """Give each column what it needs, and names what is left."""
        viewport = self.viewport()
        left = viewport.width() if viewport is not None else 0
        for column in (Column.COLOUR, Column.BACKGROUND, Column.SCORE, Column.VISIBLE):
            width = self._wanted(column)
            self._columns.resizeSection(column, width)
            left -= width
        share = max(int(left * _SYNONYMS_SHARE), self._columns.sectionSizeHint(Column.SYNONYMS))
        self._columns.resizeSection(Column.SYNONYMS, min(self._wanted(Column.SYNONYMS), share))

    def _wanted(self, column: Column) -> int:
        if column == Column.COLOUR:
            return self.fontMetrics().height() + 10
        return max(self._columns.sectionSizeHint(column), self.sizeHintForColumn(column))

    def chosen_rows(self) -> list[int]:
        """The chosen rows, from top to bottom."""
        selection = self.selectionModel()
        return sorted(index.row() for index in selection.selectedRows()) if selection else []

    def choose(self, rows: Iterable[int]) -> None:
        """Choose these rows, the first of them as the current one."""
        selection, chosen = self.selectionModel(), list(rows)
        if selection is None:
            return
        flag = QItemSelectionModel.SelectionFlag
        column = max(self.currentIndex().column(), Column.NAME)
        wanted = QItemSelection()
        for row in chosen:
            cell = self._classes.index(row, column)
            wanted.select(cell, cell)
        selection.select(wanted, flag.ClearAndSelect | flag.Rows)
        if chosen:
            current = self._classes.index(chosen[0], column)
            selection.setCurrentIndex(current, flag.NoUpdate)
            self.scrollTo(current)

    def commit_editor(self) -> None:
        """Take over what stands in a cell that is being edited."""
        editor = self.indexWidget(self.currentIndex())
        if editor is not None and self.state() == QAbstractItemView.State.EditingState:
            self.commitData(editor)
            self.closeEditor(editor, QStyledItemDelegate.EndEditHint.NoHint)

    # ------------------------------------------------------------------ Qt

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Columns follow the width."""
        self.fit_columns()
        super().resizeEvent(event)

    def currentChanged(  # noqa: N802
        self, current: QModelIndex, previous: QModelIndex
    ) -> None:
        """Tell that another row is chosen."""
        super().currentChanged(current, previous)
        if current.isValid() and current.row() != previous.row():
            self.chosen.emit(current.row())

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Tell that a row is chosen again that is chosen already; a box ticked chooses none."""
        before = self.currentIndex().row()
        super().mousePressEvent(event)
        if event is not None:
            index = self.indexAt(event.pos())
            boxed = index.flags() & Qt.ItemFlag.ItemIsUserCheckable
            if index.isValid() and index.row() == before and not boxed:
                self.chosen.emit(before)

    def event(self, event: QEvent | None) -> bool:
        """Keep keys of the table from being taken for the window's."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and self._action(event) is not None
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Undo and redo, Delete, Alt with arrows, Enter and Space."""
        action = self._action(event) if event is not None else None
        if event is None or action is None:
            super().keyPressEvent(event)
            return
        event.accept()
        index = self.currentIndex()
        if action == "undo":
            self.undo_wanted.emit()
        elif action == "redo":
            self.redo_wanted.emit()
        elif action == "remove":
            self.remove_wanted.emit()
        elif action in ("up", "down"):
            self.move_wanted.emit(-1 if action == "up" else 1)
        elif action == "colour":
            self.colour_wanted.emit(index.row())
        else:
            self.edit(index)

    def _action(self, event: QKeyEvent) -> str | None:
        """What a key asks of the table, if anything."""
        standard = QKeySequence.StandardKey
        index, key = self.currentIndex(), event.key()
        if event.matches(standard.Undo):
            return "undo"
        if event.matches(standard.Redo):
            return "redo"
        if event.matches(standard.Delete) and self.chosen_rows():
            return "remove"
        if event.modifiers() & Qt.KeyboardModifier.AltModifier and key in (
            _Key.Key_Up,
            _Key.Key_Down,
        ):
            return "up" if key == _Key.Key_Up else "down"
        if index.isValid() and index.column() == Column.COLOUR and key in (*_ENTER, _Key.Key_Space):
            return "colour"
        if (
            index.isValid()
            and key in _ENTER
            and index.flags() & Qt.ItemFlag.ItemIsEditable
            and self.state() != QAbstractItemView.State.EditingState
        ):
            return "edit"
        return None

    def _on_double_clicked(self, index: QModelIndex) -> None:
        if index.column() == Column.COLOUR:
            self.colour_wanted.emit(index.row())
