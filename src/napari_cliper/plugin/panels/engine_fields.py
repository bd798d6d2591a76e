"""The fields of the engine form. A field returns exactly the value it was given.

A field that shows its value as text also stores the value. It returns this value until the text is
edited, even if the text cannot represent it exactly. A field can be disabled with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qtpy.QtCore import QRegularExpression, Qt, Signal
from qtpy.QtGui import QRegularExpressionValidator, QWheelEvent
from qtpy.QtWidgets import (
    QComboBox,
    QCompleter,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from .. import ui_text
from ..qt.eliding_combo_box import ElidingComboBox


class _Own:
    """The value of the entry for typed text."""


OWN: Final = _Own()
_MOST_COMPLETIONS = 12  # visible without scrolling
PUBLISHED: Final = None  # as in `SegmentationConfig`


class Choice(ElidingComboBox):
    """A combo box of named values; the wheel changes it only while it has the focus.

    Parameters
    ----------
    tip : str
    entries : iterable of (value, text, tooltip)
    """

    elide = Qt.TextElideMode.ElideRight  # names are at the start

    def __init__(self, tip: str, entries: Iterable[tuple[Any, str, str]] = ()) -> None:
        super().__init__(tip)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._values: list[Any] = []
        self._more: list[tuple[Any, str, str]] = []
        for entry in entries:
            self.add(*entry)

    def add(self, value: Any, text: str, tip: str = "") -> None:
        """Add an entry."""
        self._values.append(value)  # first: adding the first item selects it
        self.offer(text, tip)

    def offer_after(self, count: int, more: Sequence[tuple[Any, str, str]]) -> None:
        """Replace all entries after the first ones; a choice that is gone becomes the first one.

        Parameters
        ----------
        count : int
            How many entries stay.
        more : sequence of (value, text, tooltip)
        """
        if more == self._more:
            return
        self._more, before = list(more), self.value()
        with signals_blocked(self):
            while self.count() > count:
                self.removeItem(self.count() - 1)
                self._values.pop()
            for value, text, tip in more:
                self.add(value, text, tip)
            self.setCurrentIndex(self._values.index(before) if self.has(before) else 0)
        if self.value() != before:
            self.currentIndexChanged.emit(self.currentIndex())

    def value(self) -> Any:
        """The chosen value."""
        return self._values[self.currentIndex()]

    def has(self, value: Any) -> bool:
        """Whether there is an entry for the value."""
        return value in self._values

    def choose(self, value: Any) -> None:
        """Select the entry of a value; a missing one is added under its own name."""
        if not self.has(value):
            self.add(value, str(value))
        self.setCurrentIndex(self._values.index(value))

    def relabel(self, value: Any, text: str) -> None:
        """Change the text of an entry."""
        index = self._values.index(value)
        if self.itemText(index) == self.itemData(index, Qt.ItemDataRole.ToolTipRole):
            self.setItemData(index, text, Qt.ItemDataRole.ToolTipRole)
        self.setItemText(index, text)

    def permit(self, value: Any, why_grey: str, tip: str = "") -> None:
        """Disable an entry with a reason, or enable it."""
        item = self.model().item(self._values.index(value))
        item.setEnabled(not why_grey)
        item.setToolTip(why_grey or tip)

    def showPopup(self) -> None:  # noqa: N802 - Qt's name
        """Open the list as wide as its longest entry, even if the dock is narrower."""
        view = self.view()
        view.setMinimumWidth(view.sizeHintForColumn(0) + 2 * view.frameWidth() + 24)
        super().showPopup()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """Pass the wheel on to the dock unless the box has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class DeviceBox(Choice):
    """A combo box that also takes typed names."""

    def __init__(self, tip: str, entries: Iterable[tuple[Any, str, str]] = ()) -> None:
        super().__init__(tip, entries)
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setCompleter(None)  # "c" would become "cpu" on the way to "cuda:1"
        self._given = ("", "auto")

    def value(self) -> str:
        """The name of the device."""
        text = self.currentText()
        return self._given[1] if text == self._given[0] else text.strip() or "auto"

    def choose(self, value: str) -> None:
        """Show a device, which need not be an entry."""
        if self.has(value):
            super().choose(value)
        else:
            self.setEditText(value)
            self._given = (self.currentText(), value)


class NumberEdit(QLineEdit):
    """A field for a whole number; empty or 0 means the default, which is the placeholder.

    Parameters
    ----------
    tip : str
    zero : optional
        What 0 or an empty field means.
    """

    def __init__(self, tip: str, zero: Any = PUBLISHED) -> None:
        super().__init__()
        self._tip = tip
        self._zero = zero
        self._given: tuple[str, Any] = ("", zero)
        self.setToolTip(tip)
        self.setMinimumWidth(60)
        self.setValidator(QRegularExpressionValidator(QRegularExpression(r"\d{0,19}"), self))

    def value(self) -> Any:
        """The number, or the default."""
        text = self.text()
        if text == self._given[0]:
            return self._given[1]
        return (int(text) if text.isdecimal() else 0) or self._zero

    def set_value(self, value: Any) -> None:
        """Show a number; the default leaves the field empty."""
        self.setText("" if value == self._zero else str(value))
        self._given = (self.text(), value)

    def explain(self, why_grey: str) -> None:
        """Disable the field with a reason, or enable it."""
        self.setEnabled(not why_grey)
        self.setToolTip(why_grey or self._tip)


class BoxAndLine(QWidget):
    """A combo box with an edit line below it.

    Parameters
    ----------
    tip : str
    edit : QLineEdit
    """

    changed = Signal()

    def __init__(self, tip: str, edit: QLineEdit) -> None:
        super().__init__()
        self.box = Choice(tip)
        self.edit = edit
        self.edit.setMinimumWidth(40)
        self.line = QHBoxLayout()
        self.line.setSpacing(2)
        self.line.addWidget(self.edit, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.box)
        column.addLayout(self.line)
        self.setFocusProxy(self.box)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def setAccessibleName(self, name: str) -> None:  # noqa: N802 - Qt's name
        """Name the box and the line, which get the focus."""
        super().setAccessibleName(name)
        self.box.setAccessibleName(name)
        self.edit.setAccessibleName(name)

    def explain(self, why_grey: str) -> None:
        """Disable both with a reason, or enable them."""
        self.box.explain(why_grey)
        for index in range(self.line.count()):
            widget = self.line.itemAt(index).widget()
            widget.setEnabled(not why_grey)
        self.edit.setToolTip(why_grey or self.edit.text() or self.edit.placeholderText())


@dataclass(frozen=True)
class Own:
    """The last entry of an `OwnChoice`, for a value that the user types.

    Parameters
    ----------
    entry, placeholder : str
        Its text in the box, and the placeholder of the edit line.
    parse, show : callable
        Convert the text to the value, and back.
    browse : callable, optional
        Asks for a file or folder; returns its path, or an empty string.
    """

    entry: str
    placeholder: str
    parse: Callable[[str], Any] = str.strip
    show: Callable[[Any], str] = str
    browse: Callable[[QWidget], str] | None = None


class OwnChoice(BoxAndLine):
    """A combo box whose last entry shows an edit line for a typed value."""

    def __init__(self, tip: str, entries: Iterable[tuple[Any, str, str]], own: Own) -> None:
        super().__init__(tip, QLineEdit())
        self._own = own
        self._given: tuple[str, Any] | None = None
        for value, text, what in entries:
            self.box.add(value, text, what)
        self.box.add(OWN, own.entry, own.placeholder)
        self.edit.setPlaceholderText(own.placeholder)
        self.edit.setToolTip(own.placeholder)
        self.browse = QPushButton(ui_text.BROWSE)
        self.browse.setAutoDefault(False)
        self.browse.setToolTip(ui_text.browse_tip(own.placeholder))
        self.line.addWidget(self.browse)
        self._show_line()
        self.box.currentIndexChanged.connect(self._on_index)
        self.edit.textChanged.connect(self.changed)
        self.browse.clicked.connect(self._on_browse)

    def value(self) -> Any:
        """The selected or typed value."""
        chosen = self.box.value()
        if chosen is not OWN:
            return chosen
        text = self.edit.text()
        if self._given is not None and text == self._given[0]:
            return self._given[1]
        return self._own.parse(text)

    def set_value(self, value: Any) -> None:
        """Select a value, or show it in the edit line if it is no entry."""
        if self.box.has(value):
            self.box.choose(value)
        else:
            self.box.choose(OWN)
            self.edit.setText(self._own.show(value))
            self._given = (self.edit.text(), value)
        self._show_line()

    def set_completions(self, texts: Iterable[str]) -> None:
        """Set the completions of the edit line: all while it is empty, then those that match."""
        completer = QCompleter(list(texts), self)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setMaxVisibleItems(_MOST_COMPLETIONS)
        self.edit.setCompleter(completer)

    def _show_line(self) -> None:
        own = self.box.value() is OWN
        self.edit.setVisible(own)
        self.browse.setVisible(own and self._own.browse is not None)

    def _on_index(self) -> None:
        self._show_line()
        if self.box.value() is OWN and self.isVisible():
            self.edit.setFocus()
            completer = self.edit.completer()
            if completer is not None and not self.edit.text():
                completer.setCompletionPrefix("")
                completer.complete()
        self.changed.emit()

    def _on_browse(self) -> None:
        path = self._own.browse(self) if self._own.browse is not None else ""
        if path:
            self.edit.setText(path)
