"""A new panel is one file in `panels`, one in `controllers` if it has work, and one row."""

from __future__ import annotations

import pytest
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout

from napari_cliper.plugin.controllers.base import Controller
from napari_cliper.plugin.panel_table import PANELS, PanelRow
from napari_cliper.plugin.panels.base import DockPanel, Panel

WORDS = "pollen grain, red blood cell, bacterium, fibre"


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


class Longest(Panel):
    """A button that asks for the longest name."""

    longest_wanted = Signal()

    def __init__(self, _state):
        super().__init__()
        self.button = QPushButton("Longest")
        QVBoxLayout(self).addWidget(self.button)
        self.button.clicked.connect(self.longest_wanted)


class LongestController(Controller):
    """Finds the longest name in a thread."""

    def __init__(self, state, panel):
        super().__init__(panel)
        self._state = state
        self._finding = self.newest(self._to_find, lambda found: self.message.emit(found, False))
        self.keys = {"Alt-Y": self._finding.request}
        panel.longest_wanted.connect(self._finding.request)

    def _to_find(self):
        names = [row.name for row in self._state.rows]
        return lambda _report, _should_stop: max(names, key=len)


@pytest.fixture(autouse=True)
def _added(monkeypatch):
    monkeypatch.setitem(PANELS, "names", PanelRow("correct", ClassNames))
    monkeypatch.setitem(PANELS, "longest", PanelRow("export", Longest, LongestController))


def test_a_new_panel_is_on_its_page_and_follows_the_state(dock):
    panel = dock.panels["names"]
    dock.frame.go_to("correct")
    assert dock.frame.current.isAncestorOf(panel)
    assert panel.text.text() == WORDS
    dock.classes_panel.add_words("diatom")
    assert panel.text.text() == f"{WORDS}, diatom"
    dock.close_down()
    assert panel.text.text() == "closed"


@pytest.mark.one_binding
def test_its_controller_works_in_a_thread_has_keys_and_ends_with_the_dock(dock, qtbot):
    panel = dock.panels["longest"]
    dock.frame.go_to("export")
    assert dock.frame.current.isAncestorOf(panel)
    for word, press in (
        ("elongated diatom", panel.button.click),
        (
            "very elongated diatom",
            lambda: dock.viewer.keymap[coerce_keybinding("Alt-Y")](dock.viewer),
        ),
    ):
        dock.classes_panel.add_words(word)
        press()
        assert not dock.idle
        qtbot.waitUntil(lambda: dock.idle, timeout=20_000)
        assert dock.status_panel.message.text() == word
    dock.close_down()
    panel.button.click()
    assert dock.idle
