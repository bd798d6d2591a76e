"""The tools for corrections, of which at most one is active."""

from __future__ import annotations

from typing import Literal, get_args

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget
from superqt.utils import signals_blocked

from .. import ui_text

Tool = Literal["click", "object", "brush", "erase", "region"]
TOOLS: tuple[Tool, ...] = get_args(Tool)


class ToolsRow(QWidget):
    """Checkable buttons; `valueChanged` carries the tool that the user chooses, or None."""

    valueChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        self.buttons: dict[Tool, QPushButton] = {}
        for name in TOOLS:
            button = QPushButton(ui_text.TOOLS[name][0])
            button.setCheckable(True)
            button.setStyleSheet("padding: 2px;")
            button.toggled.connect(lambda on, name=name: self._on_toggled(name, on))
            row.addWidget(button, 1)
            self.buttons[name] = button
        self.set_available("")

    def value(self) -> Tool | None:
        """The active tool, or None."""
        return next((name for name, one in self.buttons.items() if one.isChecked()), None)

    def setValue(self, tool: Tool | None) -> None:
        """Show which tool is active, without a signal."""
        for name, button in self.buttons.items():
            with signals_blocked(button):
                button.setChecked(name == tool)

    def set_available(self, why_not: str) -> None:
        """Enable the tools, or disable them with the reason as tooltip."""
        for name, button in self.buttons.items():
            button.setEnabled(not why_not)
            button.setToolTip(why_not or ui_text.TOOLS[name][1])

    def _on_toggled(self, name: Tool, on: bool) -> None:
        self.setValue(name if on else None)
        self.valueChanged.emit(name if on else None)
