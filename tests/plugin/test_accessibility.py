"""Every control of every page has a name, and no letter or key is used twice."""

from __future__ import annotations

import re

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QWidget,
)
from superqt import QLabeledSlider

from napari_cliper.plugin import shortcuts
from napari_cliper.plugin.frame import STEPS
from napari_cliper.plugin.qt.accordion import Accordion
from napari_cliper.segmentation import REGISTRY

PAGES = (*STEPS, "settings")
WHOLES = (QComboBox, QAbstractSpinBox, QLabeledSlider, QAbstractItemView)
"""Controls whose parts have the name of the whole."""
MNEMONIC = re.compile(r"(?<!&)&(\w)")
LETTERS = re.compile(r"[^\W_]")


def letter(text):
    found = MNEMONIC.search(text.replace("&&", ""))
    return found[1].upper() if found else ""


def mnemonics(widget):
    """What works with Alt among the visible children, with the widgets."""
    found = []
    for child in widget.findChildren(QWidget):
        if child.isVisible() and isinstance(child, QAbstractButton | QLabel):
            text = letter(child.text())
            if text and (not isinstance(child, QLabel) or child.buddy() is not None):
                found.append((text, child.text()))
    return found


def named(widget, buddies):
    """Whether a screen reader has something to say of a control."""
    texts = [widget.accessibleName(), buddies.get(widget, "")]
    if isinstance(widget, QAbstractButton):
        texts.append(widget.text())
    return any(LETTERS.search(text) for text in texts)


def states(dock):
    """Show every page, and each fold of it alone."""
    for page in PAGES:
        dock.frame.go_to(page)
        QApplication.processEvents()
        yield page
        for accordion in dock.frame.current.findChildren(Accordion):
            for fold in accordion.folds:
                fold.set_open(is_open=True)
                QApplication.processEvents()
                yield f"{page}, {fold.header.text()}"
            accordion.folds[-1].set_open(is_open=False)


@pytest.fixture
def full(dock, run, qtbot):
    """A dock in a window on the screen, with a result and an annotation, and weights missing."""
    dock.viewer.window._qt_window.show()
    run(dock)
    dock.annotation_controller.accept()
    qtbot.waitUntil(lambda: dock.weights.idle, timeout=20_000)
    dock.engine_panel.set_cached({name: name == "demo" for name in REGISTRY})
    return dock


def test_every_control_has_a_name(full):
    nameless, seen = set(), 0
    for state in states(full):
        buddies = {
            label.buddy(): label.text()
            for label in full.findChildren(QLabel)
            if label.buddy() is not None
        }
        for widget in full.findChildren(QWidget):
            focus = widget.focusPolicy() != Qt.FocusPolicy.NoFocus
            if not (widget.isVisible() and (focus or isinstance(widget, QAbstractButton))):
                continue
            if isinstance(widget.parentWidget(), WHOLES) or isinstance(widget, QLabel):
                continue
            seen += 1
            if not named(widget, buddies):
                nameless.add((state, type(widget).__name__, widget.toolTip()))
    assert seen > 150
    assert sorted(nameless) == []


def test_no_letter_works_twice_or_opens_a_menu_of_napari(full):
    bar = full.viewer.window._qt_window.menuBar()
    menus = {letter(action.text()) for action in bar.actions()} - {""}
    assert {"F", "V", "L", "P", "W", "H"} <= menus
    keys = {
        key.removeprefix("Alt-").upper()
        for name, key in vars(shortcuts).items()
        if name.isupper() and isinstance(key, str) and key.startswith("Alt-")
    }
    assert not keys & menus
    assert {"A", "R"} <= keys
    for state in states(full):
        found = mnemonics(full)
        used = [one for one, _ in found]
        assert len(used) == len(set(used)), (state, sorted(found))
        assert not set(used) & menus, (state, sorted(found))
        same = {text for one, text in found if one in keys}
        assert same <= {full.run_panel.run_button.text()}, (state, sorted(found))
