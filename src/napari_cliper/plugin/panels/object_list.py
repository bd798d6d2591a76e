"""A window with a table of single objects, which can be sorted by each column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSize, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHeaderView,
    QLabel,
    QListWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from .. import ui_text

_DIGITS = 4


class ObjectsModel(QAbstractTableModel):
    """Columns of equal length, one row for each object."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: list[str] = []
        self._columns: list[Sequence[Any]] = []
        self._order: list[int] = []
        self._sorted: tuple[int, Qt.SortOrder] = (0, Qt.SortOrder.AscendingOrder)

    def show_columns(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Replace all rows; they stay sorted by the same column."""
        self.beginResetModel()
        self._names, self._columns = list(columns), list(columns.values())
        self._order = list(range(len(self._columns[0]) if self._columns else 0))
        self._sort()
        self.endResetModel()

    def number_at(self, row: int) -> int:
        """Return the number of the object in a row."""
        return int(self._columns[0][self._order[row]])

    def column_of(self, name: str) -> int:
        """Return the index of a column; 0 if there is none of this name."""
        return self._names.index(name) if name in self._names else 0

    def rowCount(self, _parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Return the number of objects."""
        return len(self._order)

    def columnCount(self, _parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Return the number of columns."""
        return len(self._names)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell, or its alignment."""
        value = self._columns[index.column()][self._order[index.row()]]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(value)
        if role == Qt.ItemDataRole.TextAlignmentRole and number:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(  # noqa: N802 - Qt's name
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return the name of a column."""
        shown = role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole)
        return self._names[section] if shown and orientation == Qt.Orientation.Horizontal else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; unknown values are last."""
        self._sorted = column, order
        self.layoutAboutToBeChanged.emit()
        self._sort()
        self.layoutChanged.emit()

    def _sort(self) -> None:
        column, order = self._sorted
        if column >= len(self._columns):
            return
        values = self._columns[column]
        known = [at for at in sorted(self._order) if not _unknown(values[at])]
        known.sort(key=values.__getitem__, reverse=order == Qt.SortOrder.DescendingOrder)
        self._order = known + [at for at in sorted(self._order) if _unknown(values[at])]


class ObjectList(QDialog):
    """The table of objects in a window of its own, and the list of their splits and merges.

    `chosen` carries the number of a clicked object, and `event_chosen` the index of a clicked line
    of the list.
    """

    chosen = Signal(int)
    event_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = ObjectsModel(self)
        self.view = QTableView()
        self.view.setAccessibleName(ui_text.OBJECT_LIST)
        self.view.setModel(self.model)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header, rows = self.view.horizontalHeader(), self.view.verticalHeader()
        assert header is not None  # noqa: S101 - for the types; a table has both
        assert rows is not None  # noqa: S101
        rows.hide()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setResizeContentsPrecision(0)  # only visible rows, not a thousand
        self.view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.view.setSortingEnabled(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self.view, 3)
        self.events = QListWidget()
        self.events.setAccessibleName(ui_text.LINK_EVENTS)
        self._events_label = QLabel(ui_text.LINK_EVENTS)
        column.addWidget(self._events_label)
        column.addWidget(self.events, 1)
        self.show_events(())
        self.events.itemClicked.connect(self._on_event)
        self.events.itemActivated.connect(self._on_event)
        self.view.clicked.connect(self._on_clicked)
        self.view.activated.connect(self._on_clicked)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Wide enough for most columns."""
        return QSize(760, 360)

    def show_objects(self, image: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Show the objects of an image; the first column has their numbers."""
        self.setWindowTitle(ui_text.object_list_title(image))
        self.model.show_columns(columns)

    def show_events(self, texts: Sequence[str]) -> None:
        """Show splits and merges; none hides the list."""
        if [self.events.item(row).text() for row in range(self.events.count())] != list(texts):
            self.events.clear()
            self.events.addItems(list(texts))
        for one in (self.events, self._events_label):
            one.setVisible(bool(texts))

    def _on_event(self, _item: object) -> None:
        self.event_chosen.emit(self.events.currentRow())

    def sort_by(self, name: str) -> None:
        """Sort by a column, the lowest value first."""
        self.view.sortByColumn(self.model.column_of(name), Qt.SortOrder.AscendingOrder)

    def _on_clicked(self, index: QModelIndex) -> None:
        self.chosen.emit(self.model.number_at(index.row()))


def _unknown(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _text(value: Any) -> str:
    if _unknown(value):
        return ""
    if isinstance(value, bool):
        return ui_text.YES if value else ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10**_DIGITS else f"{value:.{_DIGITS}g}"
    return str(value)
