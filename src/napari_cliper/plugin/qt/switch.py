"""A switch in line with its text, which is underlined while it has the keyboard."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QPointF, QRectF
from qtpy.QtGui import QPainter
from superqt import QToggleSwitch


class Switch(QToggleSwitch):
    """A `QToggleSwitch`, which itself draws the switch below the middle, and shows no focus."""

    def drawGroove(self, painter: QPainter, rect: QRectF, option: Any) -> None:  # noqa: N802 - superqt's name
        """Draw the groove in the middle of the height."""
        super().drawGroove(painter, self._centred(rect), option)

    def drawHandle(self, painter: QPainter, rect: QRectF, option: Any) -> None:  # noqa: N802 - superqt's name
        """Draw the handle in the middle of the height."""
        super().drawHandle(painter, self._centred(rect), option)

    def drawText(self, painter: QPainter, rect: QRectF, option: Any) -> None:  # noqa: N802 - superqt's name
        """Draw the text, underlined if Space would toggle the switch."""
        font = painter.font()
        font.setUnderline(self.hasFocus())
        painter.setFont(font)
        super().drawText(painter, rect, option)

    def _centred(self, rect: QRectF) -> QRectF:
        """The rectangle, moved to the middle of the height."""
        moved = QRectF(rect)
        moved.moveCenter(QPointF(rect.center().x(), self.height() / 2))
        return moved
