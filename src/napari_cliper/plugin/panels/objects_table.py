"""A table of classes with their number of objects, median area and typical diameter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)
from superqt.utils import signals_blocked

from ...labels.label_class import Colour
from .. import ui_text
from ..qt.compact_table import make_compact
from .classes_model import COLOUR_ROLE
from .classes_table import SwatchDelegate

_FEWEST = 3
"""Rows for which the table asks at least."""

NAME, COUNT, AREA, DIAMETER = 1, 2, 3, 4
"""Columns; the first one has the colours."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


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
    diameter : float or None
        Typical diameter in pixels; None if not known.
    by_hand : bool
        Whether the user has set the diameter.
    """

    name: str
    colour: Colour
    objects: int
    area: str
    diameter: float | None = None
    by_hand: bool = False


class ObjectsTable(QTableWidget):
    """Swatch, class, objects, median area and typical diameter, which can be edited.

    `chosen` carries the index of the row that was clicked or reached by a key, `activated_row`
    that of a double click or Enter. `diameter_set` carries the name of a class and the typed
    diameter in pixels, None for the estimate.
    """

    chosen = Signal(int)
    activated_row = Signal(int)
    diameter_set = Signal(str, object)

    def __init__(self) -> None:
        super().__init__(0, 5)
        self._rows: list[ObjectsRow] = []
        self.setAccessibleName(ui_text.OBJECTS_TABLE)
        self.show_volumes(volumes=False)
        self.setItemDelegateForColumn(0, SwatchDelegate(self))
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        columns, self._height = make_compact(self)
        self._header = columns
        columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
        columns.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        columns.resizeSection(0, self._height)
        self.cellClicked.connect(self._on_clicked)
        self.currentCellChanged.connect(self._on_current)
        self.cellActivated.connect(self._on_activated)
        self.cellDoubleClicked.connect(self._on_activated)
        self.itemChanged.connect(self._on_item)

    def show_volumes(self, *, volumes: bool) -> None:
        """Name the column of sizes: areas, or volumes."""
        name, number, area, diameter = ui_text.OBJECTS_COLUMNS
        size = ui_text.MEDIAN_VOLUME if volumes else area
        self.setHorizontalHeaderLabels(("", name, number, size, diameter))

    def show_rows(self, rows: Sequence[ObjectsRow]) -> None:
        """Replace all rows; the selected one stays selected, without a signal."""
        if list(rows) == self._rows:
            return  # a diameter that is being typed stays
        selected = self.selected()
        self._rows = list(rows)
        with signals_blocked(self):
            self.setRowCount(len(rows))
            for index, row in enumerate(rows):
                self._show_row(index, row)
            names = [row.name for row in rows]
            if selected in names:
                self.setCurrentCell(names.index(selected), NAME)
            else:
                self.clearSelection()
        self.updateGeometry()

    def _show_row(self, index: int, row: ObjectsRow) -> None:
        swatch = QTableWidgetItem()
        swatch.setData(COLOUR_ROLE, row.colour)
        items = [swatch, QTableWidgetItem(row.name)]
        diameter = ui_text.diameter(row.diameter, by_hand=row.by_hand)
        for text in (f"{row.objects:,}", row.area, diameter):
            item = QTableWidgetItem(text)
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            items.append(item)
        for column, item in enumerate(items):
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            item.setToolTip(ui_text.objects_row_tip(row.name))
            self.setItem(index, column, item)
        items[DIAMETER].setFlags(items[DIAMETER].flags() | Qt.ItemFlag.ItemIsEditable)
        items[DIAMETER].setToolTip(ui_text.DIAMETER_TIP)

    def selected(self) -> str:
        """The class of the selected row; empty for none."""
        row = self.currentRow() if self.selectedIndexes() else -1
        return self._rows[row].name if 0 <= row < len(self._rows) else ""

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

    def _on_activated(self, row: int, column: int) -> None:
        if column == DIAMETER:
            self.editItem(self.item(row, column))
        else:
            self.activated_row.emit(row)

    def _on_item(self, item: QTableWidgetItem) -> None:
        """A diameter was typed; an empty cell means the estimate."""
        if item.column() != DIAMETER:
            return
        row = self._rows[item.row()]
        found = _NUMBER.search(item.text())
        typed = float(found.group().replace(",", ".")) if found else None
        if item.text() != ui_text.diameter(row.diameter, by_hand=row.by_hand):
            self.diameter_set.emit(row.name, typed or None)
        with signals_blocked(self):
            self._show_row(item.row(), row)
