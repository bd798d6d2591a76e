"""One line about the image: as much of it as fits, and the model at the end."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QHBoxLayout, QWidget
from superqt import QElidingLabel

from .. import ui_text
from ..qt.theme_colours import set_tone

_WIDEST, _AROUND = 150, 6  # pixels: the name of a model at most, and around it
_BETWEEN = 14  # pixels: margins and spacing of the line


class ContextLine(QWidget):
    """Parts of a line, the first most important, and the model; the tooltip shows all parts."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: tuple[str, ...] = ()
        self.words, self.model = QElidingLabel(), QElidingLabel()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.words, 1)
        row.addWidget(self.model)
        for label in (self.words, self.model):
            set_tone(label, "muted")

    def show_parts(self, parts: Sequence[str], model: str = "") -> None:
        """Show as many parts as there is room for, and the name of a model; empty for none."""
        self._parts = tuple(parts)
        self.model.setText(model)
        width = self.model.fontMetrics().horizontalAdvance(model) + _AROUND
        self.model.setFixedWidth(min(width, _WIDEST))
        self.model.setVisible(bool(model))
        self.setToolTip(ui_text.context([part for part in (*parts, model) if part]))
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Show as many parts as there is room for."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Leave the last parts out until the others fit; the first one is elided."""
        taken = self.model.width() if self.model.text() else 0
        room = self.width() - taken - _BETWEEN
        shown = list(self._parts)
        metrics = self.words.fontMetrics()
        while len(shown) > 1 and metrics.horizontalAdvance(ui_text.context(shown)) > room:
            shown.pop()
        self.words.setText(ui_text.context(shown))
