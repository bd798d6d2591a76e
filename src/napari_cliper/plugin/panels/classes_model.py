"""The classes as a Qt model: valid rows, their undo history and their scores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from enum import IntEnum
from html import escape
from types import MappingProxyType
from typing import Any, NamedTuple

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Signal
from qtpy.QtGui import QFont

from ...annotation.class_change import ClassChange
from ...labels.label_class import ClassRow, check_rows, with_colours
from ...segmentation import InvalidInputError, parse_classes
from .. import ui_text
from .score_bar import SCORE_ROLE, Score

Role = Qt.ItemDataRole
Rows = tuple[ClassRow, ...]

HISTORY = 200
"""Steps that can be undone."""

COLOUR_ROLE = int(Role.UserRole)
"""Red, green and blue of a class that has a label; None for background."""

SYNONYMS_ROLE = COLOUR_ROLE + 1
"""The synonyms of a class as shown behind its name; empty for none."""


Renamed = tuple[ClassRow, ClassRow]
"""A class before and after it is renamed."""


class Step(NamedTuple):
    """A step of the history: the rows, and the class that it renames."""

    rows: Rows
    renamed: Renamed | None


class Column(IntEnum):
    """The columns of the table."""

    COLOUR = 0
    NAME = 1
    SCORE = 2
    VISIBLE = 3


HEADERS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        Column.COLOUR: ("", ui_text.COLOUR_HEADER_TIP),
        Column.NAME: (ui_text.NAME_HEADER, ui_text.NAME_HEADER_TIP),
        Column.SCORE: (
            ui_text.SCORE_HEADER,
            ui_text.SCORE_HEADER_TIP,
        ),
        Column.VISIBLE: (ui_text.SHOW_HEADER, ui_text.SHOW_HEADER_TIP),
    }
)


def words_of(row: ClassRow) -> tuple[str, tuple[str, ...], str | None, bool]:
    """The part of a row that a run uses."""
    return row.name, row.synonyms, row.prompt, row.background


def moved(rows: Rows, chosen: Collection[int], step: int) -> tuple[Rows, list[int]]:
    """Move the selected rows up (`step` -1) or down (1); returns rows and selected indices."""
    order = list(rows)
    places: list[int] = []
    for index in sorted(chosen, reverse=step > 0):
        to = index + step
        if 0 <= to < len(order) and to not in places:
            order[index], order[to] = order[to], order[index]
            places.append(to)
        else:
            places.append(index)
    return tuple(order), places


class ClassesModel(QAbstractTableModel):
    """Rows of classes. Every change goes through `propose`, which refuses invalid words."""

    replaced = Signal(object, object)
    """The rows before and after, even if they are equal."""
    renamed = Signal(object)
    """A class was renamed, also by undo; carries a `ClassChange`."""
    refused = Signal(str)
    """Why a change was not made."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: Rows = ()
        self._past: deque[Step] = deque(maxlen=HISTORY)
        self._future: list[Step] = []
        self._take_back: Callable[[], object] = lambda: None
        self._scores: dict[object, float | None] = {}
        self._threshold = self._top = 0.0
        self._italic = QFont()
        self._italic.setItalic(True)
        self._ask: Mapping[int, Callable[[QModelIndex], Any]] = {
            Role.DisplayRole: self._text,
            Role.EditRole: self._typed,
            Role.CheckStateRole: self._check_state,
            Role.FontRole: self._font,
            Role.ToolTipRole: self._tooltip,
            Role.AccessibleTextRole: self._accessible,
            COLOUR_ROLE: self._colour,
            SYNONYMS_ROLE: self._synonyms,
            SCORE_ROLE: self._score,
        }

    # ------------------------------------------------------------------ rows

    @property
    def rows(self) -> Rows:
        """The classes, from top to bottom."""
        return self._rows

    def label(self, row: int) -> int:
        """Label of a row, counted from 1 among the classes that have one; 0 for background."""
        if not 0 <= row < len(self._rows) or self._rows[row].background:
            return 0
        return sum(not one.background for one in self._rows[: row + 1])

    def propose(self, rows: Iterable[ClassRow], renamed: Renamed | None = None) -> bool:
        """Replace the rows as one undo step; False if they are refused.

        Parameters
        ----------
        rows : iterable of ClassRow
        renamed : (ClassRow, ClassRow), optional
            The class that this step renames, before and after.
        """
        new = with_colours(tuple(rows))
        try:
            check_rows(new)
        except InvalidInputError as error:
            self.refused.emit(str(error))
            return False
        if new != self._rows:
            self._past.append(Step(self._rows, renamed))
            self._future.clear()
        self._swap(new)
        if renamed is not None:
            self._take_back = lambda: (self._back(), self._future.pop())
            self.renamed.emit(ClassChange(renamed[0].name, renamed[1]))
        return True

    def reset_to(self, rows: Iterable[ClassRow]) -> None:
        """Replace the rows and clear the history.

        Raises
        ------
        InvalidInputError
            For a repeated word.
        """
        new = with_colours(tuple(rows))
        check_rows(new)
        self._past.clear()
        self._future.clear()
        self._swap(new)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to redo."""
        return bool(self._future)

    def undo(self) -> None:
        """Undo the last step."""
        if self._past:
            renamed = self._back()
            if renamed is not None:
                self._take_back = self._forth
                self.renamed.emit(ClassChange(renamed[1].name, renamed[0]))

    def redo(self) -> None:
        """Redo the step that was undone last."""
        if self._future:
            renamed = self._forth()
            if renamed is not None:
                self._take_back = self._back
                self.renamed.emit(ClassChange(renamed[0].name, renamed[1]))

    def take_back_renamed(self) -> None:
        """Reverse the last renaming, which could not be done everywhere; emits no signal."""
        self._take_back()
        self._take_back = lambda: None

    def _back(self) -> Renamed | None:
        step = self._past.pop()
        self._future.append(Step(self._rows, step.renamed))
        self._swap(step.rows)
        return step.renamed

    def _forth(self) -> Renamed | None:
        step = self._future.pop()
        self._past.append(Step(self._rows, step.renamed))
        self._swap(step.rows)
        return step.renamed

    def _swap(self, new: Rows) -> None:
        old = self._rows
        if len(new) != len(old):
            self.beginResetModel()
            self._rows = new
            self.endResetModel()
        elif new != old:
            self._rows = new
            self._tell(Column.COLOUR, Column.VISIBLE)
        self.replaced.emit(old, new)

    def _tell(self, first: Column, last: Column) -> None:
        if self._rows:
            self.dataChanged.emit(self.index(0, first), self.index(len(self._rows) - 1, last))

    def change(self, row: int, **changes: Any) -> bool:
        """Change one row; False if that is refused."""
        try:
            changed = replace(self._rows[row], **changes)
        except InvalidInputError as error:
            self.refused.emit(str(error))
            return False
        return self.propose((*self._rows[:row], changed, *self._rows[row + 1 :]))

    def set_scores(self, scores: Mapping[str, float] | None) -> None:
        """Set the scores by class name; a score is shown until the words of its class change."""
        self._scores = (
            {} if scores is None else {words_of(row): scores.get(row.name) for row in self._rows}
        )
        self._tell(Column.SCORE, Column.SCORE)

    def set_threshold(self, threshold: float, top: float) -> None:
        """Set the class threshold that scores are compared with, and the end of its slider."""
        self._threshold, self._top = threshold, top
        self._tell(Column.SCORE, Column.SCORE)

    # ------------------------------------------------------------------ Qt

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """As Qt asks."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """As Qt asks."""
        return 0 if parent is not None and parent.isValid() else len(Column)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Role.DisplayRole
    ) -> Any:
        """As Qt asks."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        text, tooltip = HEADERS[section]
        if role == Role.DisplayRole:
            return text
        if role == Role.AccessibleTextRole:
            return text or ui_text.COLOUR_HEADER
        return tooltip if role == Role.ToolTipRole else None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """As Qt asks: words are edited, visibility is ticked."""
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() == Column.NAME:
            flags |= Qt.ItemFlag.ItemIsEditable
        if self._check_state(index) is not None:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        return flags

    def data(self, index: QModelIndex, role: int = Role.DisplayRole) -> Any:
        """As Qt asks."""
        if not index.isValid():
            return None
        ask = self._ask.get(role)
        return ask(index) if ask is not None else None

    def setData(  # noqa: N802
        self, index: QModelIndex, value: Any, role: int = Role.EditRole
    ) -> bool:
        """As Qt asks: words typed into a cell, or a box ticked."""
        row = index.row()
        if role == Role.CheckStateRole:
            return self.change(row, visible=Qt.CheckState(value) == Qt.CheckState.Checked)
        if role != Role.EditRole or index.column() != Column.NAME:
            return False
        text = str(value)
        if text == self._typed(index):
            return self.propose(self._rows)
        if not text.strip():
            self.refused.emit(ui_text.NO_NAME_TYPED)
            return False
        try:
            typed = parse_classes(text)
        except InvalidInputError as error:
            self.refused.emit(str(error))
            return False
        if len(typed) > 1:
            self.refused.emit(ui_text.name_with_comma(text))
            return False
        try:
            old, new = self._rows[row], typed[0]
            changed = replace(old, name=new.name, synonyms=new.synonyms)
        except InvalidInputError as error:
            self.refused.emit(str(error))
            return False
        rows = (*self._rows[:row], changed, *self._rows[row + 1 :])
        return self.propose(rows, None if changed.name == old.name else (old, changed))

    # ------------------------------------------------------------------ what a cell says

    def _score(self, index: QModelIndex) -> Score | None:
        score = self._scores.get(words_of(self._rows[index.row()]))
        if index.column() != Column.SCORE or score is None or score != score:  # nan
            return None
        return Score(score, self._threshold, self._top)

    def _typed(self, index: QModelIndex) -> str | None:
        """The words of a class as they are typed: ``cat=moggy|kitty``."""
        row = self._rows[index.row()]
        if index.column() != Column.NAME:
            return self._text(index)
        return "=".join([row.name, "|".join(row.synonyms)] if row.synonyms else [row.name])

    def _text(self, index: QModelIndex) -> str | None:
        row, column = self._rows[index.row()], index.column()
        if column == Column.NAME:
            return ui_text.background_row(row.name) if row.background else row.name
        if column == Column.SCORE and words_of(row) in self._scores:
            score = self._score(index)
            return "–" if score is None else f"{score.value:.2f}"  # noqa: RUF001 - a dash: none
        return None

    def _synonyms(self, index: QModelIndex) -> str | None:
        synonyms = self._rows[index.row()].synonyms
        return ui_text.synonyms_of(synonyms) if index.column() == Column.NAME else None

    def _check_state(self, index: QModelIndex) -> Qt.CheckState | None:
        row = self._rows[index.row()]
        if index.column() != Column.VISIBLE or row.background:
            return None
        return Qt.CheckState.Checked if row.visible else Qt.CheckState.Unchecked

    def _colour(self, index: QModelIndex) -> tuple[int, int, int] | None:
        row = self._rows[index.row()]
        return None if row.background else row.colour

    def _font(self, index: QModelIndex) -> QFont | None:
        return self._italic if self._rows[index.row()].background else None

    def _tooltip(self, index: QModelIndex) -> str | None:
        row, column = self._rows[index.row()], index.column()
        if row.background and column in (Column.COLOUR, Column.VISIBLE):
            return ui_text.BACKGROUND_CELL_TIP
        if column == Column.COLOUR:
            return ui_text.label_tip(self.label(index.row()))
        if column == Column.SCORE:
            score = self._score(index)
            return HEADERS[column][1] if score is None else score.tip
        if column != Column.NAME:
            return HEADERS[column][1]
        text = f"{self._text(index)} {ui_text.synonyms_of(row.synonyms)}".strip()
        if row.prompt is not None:
            text = ui_text.with_prompt(name=text, prompt=row.prompt)
        return f"<span>{escape(text)}</span>"

    def _accessible(self, index: QModelIndex) -> str | None:
        row, column = self._rows[index.row()], index.column()
        if column == Column.COLOUR:
            return (
                ui_text.BACKGROUND_NAME
                if row.background
                else "#{:02x}{:02x}{:02x}".format(*row.colour or ())
            )
        score = self._score(index)
        if score is not None:
            return score.tip
        return f"{self._text(index) or ''} {self._synonyms(index) or ''}".strip() or None
