"""What came out: layers, time, device, memory; and the way to give the memory back."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QWidget

from ..qt.folding import folding
from ..qt.wrapping_label import wrapping


class ResultsPanel(QWidget):
    """A folded summary.

    Emits `unload` and `score_maps_toggled`.
    """

    unload = Signal()
    score_maps_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.folder = folding("Results")
        self.details = wrapping("Nothing yet.")
        self.score_maps = QCheckBox("Show the &score maps as layers")
        self.score_maps.setToolTip("Adds one image layer with a plane for each class.")
        self.score_maps.toggled.connect(self.score_maps_toggled)
        self.unload_button = QPushButton("Unload")
        self.unload_button.setToolTip(
            "Free the networks and the memory of the GPU. The next run loads them again; layers "
            "and thresholds stay as they are."
        )
        self.unload_button.clicked.connect(self.unload)
        for widget in (self.details, self.score_maps, self.unload_button):
            self.folder.addWidget(widget)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.folder)

    def show_summary(self, title: str, details: str) -> None:
        """Say in a few words, and in some more, what there is."""
        self.folder.setText(f"Results: {title}" if title else "Results")
        self.details.setText(details)

    def set_loaded(self, *, loaded: bool) -> None:
        """Whether there are networks to unload."""
        self.unload_button.setEnabled(loaded)
