"""A new panel that needs only the state is one file in `panels` and one row of `PANELS`."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QLabel, QVBoxLayout

from napari_cliper.plugin.panels.base import DockPanel
from napari_cliper.plugin.panels.table import PANELS, PanelRow


class ClassNames(DockPanel):
    """The names of the classes in the table."""

    def __init__(self, state):
        super().__init__(state)
        self.text = QLabel()
        QVBoxLayout(self).addWidget(self.text)
        state.classes_changed.connect(self.follow)

    def follow(self, _changed=None):
        self.text.setText(", ".join(row.name for row in self._state.rows))

    def close_down(self):
        self.text.setText("closed")


@pytest.fixture(autouse=True)
def _added(monkeypatch):
    monkeypatch.setitem(PANELS, "names", PanelRow("correct", ClassNames))


def test_a_new_panel_is_on_its_page_and_follows_the_state(dock):
    panel = dock.panels["names"]
    dock.frame.go_to("correct")
    assert dock.frame.current.isAncestorOf(panel)
    assert panel.text.text() == "pollen grain, red blood cell, bacterium, fibre"
    dock.classes_panel.add_words("diatom")
    assert panel.text.text().endswith("fibre, diatom")
    dock.close_down()
    assert panel.text.text() == "closed"
