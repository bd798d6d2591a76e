"""What small tables on a page have in common."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QSizePolicy, QTableView


def make_compact(table: QTableView) -> tuple[QHeaderView, int]:
    """Show rows of one line, which are selected as a whole, without grid and row numbers.

    Returns
    -------
    columns : QHeaderView
    height : int
        Of a row, in pixels.
    """
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setTabKeyNavigation(False)  # Tab leaves the table; arrows walk in it
    table.setWordWrap(False)
    table.setShowGrid(False)
    table.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
    rows, columns = table.verticalHeader(), table.horizontalHeader()
    assert rows is not None  # noqa: S101 - for the types; a table has both
    assert columns is not None  # noqa: S101
    height = table.fontMetrics().height() + 10
    rows.hide()
    rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    rows.setMinimumSectionSize(height)
    rows.setDefaultSectionSize(height)
    columns.setHighlightSections(False)
    columns.setSectionsClickable(False)
    columns.setMinimumSectionSize(16)
    columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    return columns, height
