"""An engine panel in a window of the dock's width."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_cliper.plugin.panels.engine_panel import EnginePanel


@pytest.fixture
def panel(qtbot):
    """A panel in a window of the dock's width that scrolls as the dock does."""
    window = QScrollArea()
    qtbot.addWidget(window)
    inside = QWidget()
    made = EnginePanel()
    layout = QVBoxLayout(inside)
    layout.setContentsMargins(6, 6, 6, 6)
    layout.addWidget(made)
    layout.addStretch(1)
    window.setWidgetResizable(True)
    window.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    window.setFrameShape(QFrame.Shape.NoFrame)
    window.setWidget(inside)
    window.resize(320, 760)
    window.show()
    yield made
    window.close()
