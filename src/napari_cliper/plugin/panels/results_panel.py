"""What came out: layers, time, device, memory; and the way to give the memory back."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from .. import ui_text
from ..qt.folding import folding
from ..qt.wrapping_label import wrapping


class ResultsPanel(QWidget):
    """A folded summary.

    Emits `unload`.
    """

    unload = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.folder = folding(ui_text.RESULTS)
        self.details = wrapping(ui_text.NO_RESULTS)
        self.unload_button = QPushButton(ui_text.UNLOAD)
        self.unload_button.setToolTip(ui_text.UNLOAD_TIP)
        self.unload_button.clicked.connect(self.unload)
        for widget in (self.details, self.unload_button):
            self.folder.addWidget(widget)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.folder)

    def show_summary(self, title: str, details: str) -> None:
        """Say in a few words, and in some more, what there is."""
        self.folder.setText(ui_text.results_title(title))
        self.details.setText(details)

    def set_loaded(self, *, loaded: bool) -> None:
        """Whether there are networks to unload."""
        self.unload_button.setEnabled(loaded)
