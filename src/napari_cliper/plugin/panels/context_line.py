"""One line about the image: its size and plane, and the model, which is always legible."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QWidget
from superqt import QElidingLabel

from .. import ui_text
from ..qt.tones import set_tone

_WIDEST, _AROUND = 150, 6  # pixels: the name of a model at most, and around it


class ContextLine(QWidget):
    """Words, elided where there is no room, and the model at the end."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.words, self.model = QElidingLabel(), QElidingLabel()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.words, 1)
        row.addWidget(self.model)
        for label in (self.words, self.model):
            set_tone(label, "muted")

    def show_words(self, words: str, model: str = "") -> None:
        """Show words, and the name of a model; empty for none."""
        self.words.setText(words)
        self.model.setText(model)
        width = self.model.fontMetrics().horizontalAdvance(model) + _AROUND
        self.model.setFixedWidth(min(width, _WIDEST))
        self.model.setVisible(bool(model))
        self.setToolTip(ui_text.context([part for part in (words, model) if part]))
