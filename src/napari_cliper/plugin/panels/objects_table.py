"""A table of classes with their number of objects and median area."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from ...labels.label_class import Colour
from .. import ui_text
from .classes_model import COLOUR_ROLE
from .classes_table import SwatchDelegate

_FEWEST = 3
"""Rows for which the table asks at least."""


@dataclass(frozen=True)
class ObjectsRow:
    """One row of the table.

    Parameters
    ----------
    name : str
    colour : (int, int, int)
    objects : int
    area : str
        Median area in print; empty without an object.
    """

    name: str
    colour: Colour
    objects: int
    area: str


class ObjectsTable(QTableWidget):
    """Swatch, class, objects and median area.

    `chosen` carries the index of the row that was clicked or reached by a key, `activated_row`
    that of a double click or Enter.
    """

    chosen = Signal(int)
    activated_row = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 4, parent)
        self.setAccessibleName(ui_text.OBJECTS_TABLE)
        titles = ("", ui_text.OBJECTS_CLASS, ui_text.OBJECTS_COUNT, ui_text.OBJECTS_AREA)
        self.setHorizontalHeaderLabels(titles)
        self.setItemDelegateForColumn(0, SwatchDelegate(self))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)  # Tab leaves the table; arrows walk in it
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        self.setSizePolicy(policy)
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None  # noqa: S101 - for the types; a table has both
        assert columns is not None  # noqa: S101
        self._height = self.fontMetrics().height() + 10
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setMinimumSectionSize(self._height)
        rows.setDefaultSectionSize(self._height)
        columns.setHighlightSections(False)
        columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        columns.setSectionsClickable(False)
        columns.setMinimumSectionSize(16)
        columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
        columns.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        columns.resizeSection(0, self._height)
        self._header = columns
        self.cellClicked.connect(self._on_clicked)
        self.currentCellChanged.connect(self._on_current)
        self.cellActivated.connect(self._on_activated)
        self.cellDoubleClicked.connect(self._on_activated)

    def show_rows(self, rows: Sequence[ObjectsRow]) -> None:
        """Replace all rows; the selected one stays selected, without a signal."""
        current = self.currentRow()
        before = self.item(current, 1)
        selected = "" if before is None or not self.selectedIndexes() else before.text()
        blocked = self.blockSignals(True)
        self.setRowCount(len(rows))
        for index, row in enumerate(rows):
            swatch = QTableWidgetItem()
            swatch.setData(COLOUR_ROLE, row.colour)
            items = [swatch, QTableWidgetItem(row.name)]
            for text in (f"{row.objects:,}", row.area):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                items.append(item)
            for column, item in enumerate(items):
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                item.setToolTip(ui_text.objects_row_tip(row.name))
                self.setItem(index, column, item)
        names = [row.name for row in rows]
        self.setCurrentCell(
            names.index(selected), 1
        ) if selected in names else self.clearSelection()
        self.blockSignals(blocked)
        self.updateGeometry()

    def _heights(self, rows: int) -> int:
        return self._header.sizeHint().height() + rows * self._height + 2 * self.frameWidth() + 2

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As high as its rows."""
        return QSize(super().sizeHint().width(), self._heights(max(self.rowCount(), 1)))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As high as a few rows; the others are scrolled to."""
        return QSize(180, self._heights(min(max(self.rowCount(), 1), _FEWEST)))

    def _on_clicked(self, row: int, _column: int) -> None:
        self.chosen.emit(row)

    def _on_current(self, row: int, _column: int, before: int, _before: int) -> None:
        if row >= 0 and row != before:
            self.chosen.emit(row)

    def _on_activated(self, row: int, _column: int) -> None:
        self.activated_row.emit(row)
