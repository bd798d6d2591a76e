"""Buttons for tools; at most one is active."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget
from superqt.utils import signals_blocked

Tool = Literal["click", "object", "brush", "erase", "region"]
"""The tools of the page Correct."""


class ToolsRow(QWidget):
    """Checkable buttons; `valueChanged` carries the tool that the user chooses, or None.

    Parameters
    ----------
    tools : mapping of str to (str, str)
        Name and tooltip by tool.
    """

    valueChanged = Signal(object)

    def __init__(self, tools: Mapping[str, tuple[str, str]]) -> None:
        super().__init__()
        self._tools = tools
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        self.buttons: dict[str, QPushButton] = {}
        for name, (text, _) in tools.items():
            button = QPushButton(text)
            button.setCheckable(True)
            button.setStyleSheet("padding: 2px;")
            button.toggled.connect(lambda on, name=name: self._on_toggled(name, on))
            row.addWidget(button)
            self.buttons[name] = button
        self.set_available("")

    def value(self) -> str | None:
        """The active tool, or None."""
        return next((name for name, one in self.buttons.items() if one.isChecked()), None)

    def setValue(self, tool: str | None) -> None:
        """Show which tool is active, without a signal."""
        for name, button in self.buttons.items():
            with signals_blocked(button):
                button.setChecked(name == tool)

    def set_available(self, why_not: str) -> None:
        """Enable the tools, or disable them with the reason as tooltip."""
        for name, button in self.buttons.items():
            button.setEnabled(not why_not)
            button.setToolTip(why_not or self._tools[name][1])

    def _on_toggled(self, name: str, on: bool) -> None:
        self.setValue(name if on else None)
        self.valueChanged.emit(name if on else None)
