"""A switch whose text is underlined while it has the keyboard."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QRectF
from qtpy.QtGui import QPainter
from superqt import QToggleSwitch


class Switch(QToggleSwitch):
    """A `QToggleSwitch`, which itself looks the same with and without the keyboard."""

    def drawText(self, painter: QPainter, rect: QRectF, option: Any) -> None:  # noqa: N802 - superqt's name
        """Draw the text, underlined if Space would toggle the switch."""
        font = painter.font()
        font.setUnderline(self.hasFocus())
        painter.setFont(font)
        super().drawText(painter, rect, option)
