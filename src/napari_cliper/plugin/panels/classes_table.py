"""The view of the classes: swatches, synonyms in grey, keys, and a height that fits its rows."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import (
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
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
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from ..qt.compact_table import make_compact
from ..qt.theme_colours import tone_colours
from .classes_model import COLOUR_ROLE, SYNONYMS_ROLE, ClassesModel, Column
from .score_bar import ScoreBar

ROWS_SHOWN, ROWS_AT_LEAST = 6, 1
"""The maximum number of visible rows, and the number if other panels need the room."""
_GREY = QColor(128, 128, 128)  # of what is drawn around and in place of a colour
_GAP = 6  # pixels between a name and its synonyms
_LOOKED_AT = 64
"""The number of rows that are measured for the width of a column."""

_Key = Qt.Key
_ENTER = (_Key.Key_Return, _Key.Key_Enter)


class SwatchDelegate(QStyledItemDelegate):
    """Paints the colour of a class; hatching if it has no label."""

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Paint the cell, then the colour in it."""
        super().paint(painter, option, index)
        if painter is None:
            return
        colour = index.data(COLOUR_ROLE)
        rect = QRect(option.rect).adjusted(4, 4, -4, -4)
        painter.save()
        painter.setPen(_GREY)
        painter.setBrush(
            QBrush(_GREY, Qt.BrushStyle.BDiagPattern) if colour is None else QColor(*colour)
        )
        painter.drawRect(rect.adjusted(0, 0, -1, -1))
        painter.restore()


class NameDelegate(QStyledItemDelegate):
    """Paints the name of a class, and its synonyms in grey if there is room."""

    grey = QColor()

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Paint the cell, then the synonyms."""
        super().paint(painter, option, index)
        synonyms = index.data(SYNONYMS_ROLE)
        if painter is None or not synonyms:
            return
        cell = QStyleOptionViewItem(option)
        self.initStyleOption(cell, index)
        style = cell.widget.style()
        place = style.subElementRect(
            QStyle.SubElement.SE_ItemViewItemText, cell, cell.widget
        ).adjusted(cell.fontMetrics.horizontalAdvance(cell.text) + _GAP, 0, 0, 0)
        if place.width() < 2 * _GAP:
            return
        chosen = cell.state & QStyle.StateFlag.State_Selected
        painter.save()
        painter.setFont(cell.font)
        painter.setPen(cell.palette.text().color() if chosen else self.grey)
        text = cell.fontMetrics.elidedText(synonyms, Qt.TextElideMode.ElideRight, place.width())
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
        painter.restore()


class ClassesTable(QTableView):
    """A table of classes; emits the selected row and the actions of its keys."""

    chosen = Signal(int)
    """A row was selected by mouse or keyboard, even if it was already selected."""
    colour_wanted = Signal(int)
    remove_wanted = Signal()
    move_wanted = Signal(int)
    undo_wanted = Signal()
    redo_wanted = Signal()

    def __init__(self, model: ClassesModel) -> None:
        super().__init__()
        self._classes = model
        self.setModel(model)
        self.setItemDelegateForColumn(Column.COLOUR, SwatchDelegate(self))
        self._names, self._bars = NameDelegate(self), ScoreBar(tone_colours("dark"), self)
        self.setItemDelegateForColumn(Column.NAME, self._names)
        self.setItemDelegateForColumn(Column.SCORE, self._bars)
        self.set_theme("dark")
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.doubleClicked.connect(self._on_double_clicked)

        columns, self._row_height = make_compact(self)
        self._columns = columns
        columns.setResizeContentsPrecision(_LOOKED_AT)
        columns.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        columns.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)

    def set_theme(self, theme: str) -> None:
        """Use the colours of a theme of napari."""
        colours = tone_colours(theme)
        self._names.grey, self._bars.colours = QColor(colours["muted"]), colours
        viewport = self.viewport()
        if viewport is not None:
            viewport.update()

    def fit_columns(self) -> None:
        """Give each column the width that it needs, and the names the rest."""
        for column in (Column.COLOUR, Column.SCORE, Column.VISIBLE):
            self._columns.resizeSection(column, self._wanted(column))
        self.updateGeometry()  # there may be more or fewer rows

    def sizeHint(self) -> QSize:  # noqa: N802
        """As high as the rows, up to six of them."""
        count = min(max(self._classes.rowCount(), 1), ROWS_SHOWN)
        return QSize(super().sizeHint().width(), self._height(count))

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """One row; the others can be scrolled to."""
        return QSize(super().minimumSizeHint().width(), self._height(ROWS_AT_LEAST))

    def _height(self, rows: int) -> int:
        return self._columns.sizeHint().height() + rows * self._row_height + 2 * self.frameWidth()

    def _wanted(self, column: Column) -> int:
        if column == Column.COLOUR:
            return self.fontMetrics().height() + 10
        return max(self._columns.sectionSizeHint(column), self.sizeHintForColumn(column))

    def chosen_rows(self) -> list[int]:
        """Return the selected rows, from top to bottom."""
        selection = self.selectionModel()
        return sorted(index.row() for index in selection.selectedRows()) if selection else []

    def choose(self, rows: Iterable[int]) -> None:
        """Select rows; the first becomes the current one."""
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
        """Commit the cell that is being edited."""
        editor = self.indexWidget(self.currentIndex())
        if editor is not None and self.state() == QAbstractItemView.State.EditingState:
            self.commitData(editor)
            self.closeEditor(editor, QStyledItemDelegate.EndEditHint.NoHint)

    # ------------------------------------------------------------------ Qt

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Fit the columns to the width."""
        self.fit_columns()
        super().resizeEvent(event)

    def currentChanged(  # noqa: N802
        self, current: QModelIndex, previous: QModelIndex
    ) -> None:
        """Emit that another row is selected."""
        super().currentChanged(current, previous)
        if current.isValid() and current.row() != previous.row():
            self.chosen.emit(current.row())

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Emit that a selected row was clicked again; ticking its box does not count."""
        before = self.currentIndex().row()
        super().mousePressEvent(event)
        if event is not None:
            index = self.indexAt(event.pos())
            boxed = index.flags() & Qt.ItemFlag.ItemIsUserCheckable
            if index.isValid() and index.row() == before and not boxed:
                self.chosen.emit(before)

    def event(self, event: QEvent | None) -> bool:
        """Keep the keys of the table from triggering shortcuts of the window."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and self._action(event) is not None
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Handle undo and redo, Delete, Alt with arrows, Enter and Space."""
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
        """The action of a key, or None."""
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
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            return None  # Ctrl+Enter runs
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
