"""A button that opens controls in a small window below it."""

from __future__ import annotations

from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget

from .focus import focus_first


class PopupButton(QToolButton):
    """Opens `popup`; Tab goes through the controls in it, Esc or a click elsewhere closes it.

    A menu would keep the keyboard from the controls.

    Parameters
    ----------
    text : str
    name : str
        The accessible name.
    tip : str
    inside : QWidget
        The controls.
    """

    def __init__(self, text: str, name: str, tip: str, inside: QWidget) -> None:
        super().__init__()
        self.setText(text)
        self.setAccessibleName(name)
        self.setToolTip(tip)
        self.popup = QWidget(self, Qt.WindowType.Popup)
        column = QVBoxLayout(self.popup)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(inside)
        self.clicked.connect(self._open)

    def _open(self) -> None:
        self.popup.adjustSize()
        screen = self.screen()
        at = self.mapToGlobal(QPoint(self.width() - self.popup.width(), self.height()))
        if screen is not None:
            room = screen.availableGeometry()
            at.setX(max(room.left(), min(at.x(), room.right() - self.popup.width())))
            at.setY(max(room.top(), min(at.y(), room.bottom() - self.popup.height())))
        self.popup.move(at)
        self.popup.show()
        focus_first(self.popup)
