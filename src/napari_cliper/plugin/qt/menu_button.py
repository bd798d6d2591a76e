"""A wide button with a menu of variants beside it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton, QSizePolicy, QToolButton, QWidget


class MenuButton(QWidget):
    """A wide button, which emits `clicked`, and an arrow that opens `menu`.

    Parameters
    ----------
    text : str
    menu_name : str
        The accessible name and tooltip of the arrow.
    """

    clicked = Signal()

    def __init__(self, text: str, menu_name: str) -> None:
        super().__init__()
        self.button = QPushButton(text)
        self.button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        self.arrow = QToolButton()
        self.arrow.setText("\N{BLACK DOWN-POINTING SMALL TRIANGLE}")
        self.arrow.setAccessibleName(menu_name)
        self.arrow.setToolTip(menu_name)
        self.arrow.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.arrow.setMenu(self.menu)
        self.arrow.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.arrow.setStyleSheet("QToolButton::menu-indicator {image: none;}")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(1)
        row.addWidget(self.button, 1)
        row.addWidget(self.arrow)
        self.button.clicked.connect(self.clicked)
