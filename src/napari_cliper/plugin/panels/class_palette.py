"""The classes to paint and click, as buttons with their colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QButtonGroup,
    QFrame,
    QGridLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QWidget,
)

from ...annotation.user_hints import BACKGROUND
from .. import ui_text

_COLUMNS = 2
_ROWS_SEEN, _ROWS_AT_LEAST = 4, 2  # more are scrolled to
_SWATCH = 12  # pixels

Colour = tuple[float, float, float, float]


class ClassPalette(QScrollArea):
    """One button for each class, and one for the background; `chosen` carries the class name.

    `show_classes` replaces the buttons, `choose` presses one without a signal.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Maximum)
        inside = QWidget()
        self._grid = QGridLayout(inside)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(2)
        for column in range(_COLUMNS):
            self._grid.setColumnStretch(column, 1)
        self.setWidget(inside)
        self._group = QButtonGroup(self)
        self._group.buttonClicked.connect(self._on_clicked)
        self._chosen = BACKGROUND
        self.buttons: dict[str, QPushButton] = {}

    def show_classes(self, colours: Mapping[str, Colour], chosen: str) -> None:
        """Show these classes, in their order and colours.

        Parameters
        ----------
        colours : mapping of str to colour
            Red, green, blue and alpha, 0 to 1, by name; the background among them.
        chosen : str
        """
        names = [*(name for name in colours if name != BACKGROUND), BACKGROUND]
        if [*self.buttons] != names:
            self._make(names)
        for number, (name, button) in enumerate(self.buttons.items(), 1):
            swatch = QPixmap(_SWATCH, _SWATCH)
            swatch.fill(QColor.fromRgbF(*colours[name]))
            button.setIcon(QIcon(swatch))
            shown = 0 if name == BACKGROUND else number
            button.setText(ui_text.palette_entry(name=_fitted(button, name), number=shown))
            button.setToolTip(ui_text.palette_tip(name=name, number=shown))
            button.setAccessibleName(name)
        self.choose(chosen)

    def choose(self, name: str) -> None:
        """Press the button of a class; for an unknown name, none is pressed."""
        self._chosen = name
        self._group.setExclusive(False)  # else one stays pressed
        for one, button in self.buttons.items():
            button.setChecked(one == name)
        self._group.setExclusive(True)

    def chosen_class(self) -> str:
        """Return the class that is painted and clicked."""
        return self._chosen

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As high as the rows, up to a maximum."""
        return QSize(80, self._height(_ROWS_SEEN))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """A few rows; the others can be scrolled to."""
        return QSize(80, self._height(_ROWS_AT_LEAST))

    def _height(self, most: int) -> int:
        """The height of the rows, up to the maximum that is visible at once."""
        rows = min(max(-(-len(self.buttons) // _COLUMNS), 1), most)
        height = next(iter(self.buttons.values())).sizeHint().height() if self.buttons else 0
        frame = self.contentsMargins()  # napari's style sheet draws one
        return rows * height + (rows - 1) * self._grid.spacing() + frame.top() + frame.bottom()

    def _make(self, names: Sequence[str]) -> None:
        for button in self.buttons.values():
            self._group.removeButton(button)
            self._grid.removeWidget(button)
            button.deleteLater()
        self.buttons = {}
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # or Qt would not order what comes after it
        before: QWidget = self
        for index, name in enumerate(names):
            button = QPushButton()
            button.setCheckable(True)
            button.setIconSize(QSize(_SWATCH, _SWATCH))
            button.setStyleSheet("text-align: left; padding: 2px 4px;")
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            self._group.addButton(button)
            self._grid.addWidget(button, index // _COLUMNS, index % _COLUMNS)
            self.buttons[name] = button
            QWidget.setTabOrder(before, button)
            before = button
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Tab goes from button to button
        self.updateGeometry()

    def _on_clicked(self, button: QPushButton) -> None:
        self._chosen = next(name for name, one in self.buttons.items() if one is button)
        self.chosen.emit(self._chosen)


def _fitted(button: QPushButton, name: str) -> str:
    """A name, elided to half the width of the dock."""
    room = 14 * button.fontMetrics().averageCharWidth()
    return (
        button.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, room).replace("&", "&&")
    )
