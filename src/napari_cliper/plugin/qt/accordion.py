"""Collapsible sections; at most one is open, so that a page keeps its height."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QSizePolicy, QVBoxLayout, QWidget

_OPEN = "\N{BLACK DOWN-POINTING TRIANGLE}"
_CLOSED = "\N{BLACK RIGHT-POINTING TRIANGLE}"
_ALL_THAT_IS_LEFT = 1000  # stretch factor; the empty space below the folds has 1


class Fold(QWidget):
    """A header that opens and closes what is below it.

    Parameters
    ----------
    title : str
        ``&`` stands before the letter that works with Alt.
    content : QWidget
    """

    toggled = Signal(bool)

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__()
        self._title = title
        self.content = content
        self.header = QPushButton()
        self.header.setCheckable(True)
        self.header.setAutoDefault(False)
        self.header.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.header.setStyleSheet(
            "QPushButton {text-align: left; border: none; padding: 2px; background: transparent;}"
            "QPushButton:checked {background: transparent;}"
            "QPushButton:focus {text-decoration: underline;}"
        )
        self.header.setAccessibleName(title.replace("&", ""))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.header)
        column.addWidget(content)
        self.header.toggled.connect(self._on_toggled)
        self._show(is_open=False)

    @property
    def is_open(self) -> bool:
        """Whether the content is shown."""
        return self.header.isChecked()

    def set_open(self, *, is_open: bool) -> None:
        """Show or hide the content; Tab skips hidden content."""
        self.header.setChecked(is_open)

    def set_title(self, title: str) -> None:
        """Replace the title."""
        self._title = title
        self.header.setAccessibleName(title.replace("&", ""))
        self._show(is_open=self.is_open)

    def _on_toggled(self, is_open: bool) -> None:
        self._show(is_open=is_open)
        self.toggled.emit(is_open)

    def _show(self, *, is_open: bool) -> None:
        self.header.setText(f"{_OPEN if is_open else _CLOSED} {self._title}")
        self.content.setVisible(is_open)


class Accordion(QWidget):
    """Collapsible sections (`Fold`); at most one is open."""

    def __init__(self) -> None:
        super().__init__()
        self.folds: list[Fold] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        self._column.addStretch(1)

    def add(self, title: str, content: QWidget, *, fills: bool = False) -> Fold:
        """Add a closed fold below the others.

        Parameters
        ----------
        title : str
        content : QWidget
        fills : bool
            Whether the open fold takes the remaining height.
        """
        fold = Fold(title, content)
        fold.toggled.connect(self._on_toggled)
        if fills:
            fold.toggled.connect(
                lambda is_open: self._column.setStretchFactor(fold, _ALL_THAT_IS_LEFT * is_open)
            )
        self.folds.append(fold)
        self._column.insertWidget(self._column.count() - 1, fold)
        return fold

    def _on_toggled(self, is_open: bool) -> None:
        if is_open:
            for fold in self.folds:
                if fold is not self.sender():
                    fold.set_open(is_open=False)
