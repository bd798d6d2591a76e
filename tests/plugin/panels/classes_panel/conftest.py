"""The panel of classes on the screen."""

from __future__ import annotations

import pytest

from napari_cliper.plugin.panels.classes_panel import ClassesPanel


@pytest.fixture
def panel(qtbot):
    panel = ClassesPanel()
    qtbot.addWidget(panel)
    panel.resize(320, 320)
    with qtbot.waitExposed(panel):
        panel.show()
    return panel
