"""Every control of every page has a name, and no letter or key is used twice."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from napari._app_model import get_app_model
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.shortcuts import default_shortcuts
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
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
from napari_cliper.plugin.qt.focus import focus_first
from napari_cliper.segmentation import REGISTRY

PAGES = (*STEPS, "settings")
WHOLES = (QComboBox, QAbstractSpinBox, QLabeledSlider, QAbstractItemView)
"""Controls whose parts have the name of the whole."""
SHOWN = (QAbstractButton, QComboBox, QAbstractSpinBox, QAbstractSlider, QAbstractItemView)
"""Controls that look different with the focus."""
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


def by_tab(widget):
    """Whether Tab stops at a visible widget; of buttons that exclude each other, at one."""
    policy = widget.focusPolicy().value & Qt.FocusPolicy.TabFocus.value
    group = widget.group() if isinstance(widget, QAbstractButton) else None
    other = group is not None and group.exclusive() and not widget.isChecked()
    part = isinstance(widget.parentWidget(), WHOLES)
    return policy and widget.isVisible() and widget.isEnabled() and not (other or part)


def test_tab_reaches_every_control_of_a_page_from_top_to_bottom(full, qtbot):
    window = full.viewer.window._qt_window
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    for number, page in enumerate(STEPS, 1):
        qtbot.keyClick(window, str(number), Qt.KeyboardModifier.ControlModifier)
        assert full.frame.page == page
        qtbot.waitUntil(lambda: full.idle, timeout=20_000)
    for state in states(full):
        page = full.frame.current
        focus_first(page)
        stops = []
        while (now := QApplication.focusWidget()) not in stops and page.isAncestorOf(now):
            stops.append(now)
            with_focus = now.grab().toImage()
            qtbot.keyClick(now, Qt.Key.Key_Tab)
            assert not isinstance(now, SHOWN) or now.grab().toImage() != with_focus, (state, now)
        wanted = {one for one in page.findChildren(QWidget) if by_tab(one)}
        missed = [(type(one).__name__, one.toolTip()) for one in wanted - {*stops}]
        assert not missed, (state, missed)
        heights = [one.mapTo(page, one.rect().bottomLeft()).y() for one in stops]
        for before, after in pairwise(heights):
            assert after > before - 12, (state, heights)
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Escape)
    full.frame.tabs.setFocus()
    qtbot.keyClick(full.frame.tabs, Qt.Key.Key_Escape)
    assert QApplication.focusWidget() is window  # the keys of napari work again


@pytest.mark.one_binding
def test_no_key_or_letter_is_used_twice_or_by_napari(full):
    bar = full.viewer.window._qt_window.menuBar()
    menus = {letter(action.text()) for action in bar.actions()} - {""}
    assert {"F", "V", "L", "P", "W", "H"} <= menus
    bound = [str(one.keybinding) for one in get_app_model().keybindings]
    bound += [str(key) for some in default_shortcuts.values() for key in some]
    assert {"Alt+S", "Ctrl+Shift+T"} <= {*bound}
    own = [key for name, key in vars(shortcuts).items() if name.isupper() and "DO" not in name]
    named = [key for one in own for key in ([one] if isinstance(one, str) else one)]
    assert len(named) == len(set(named)) > 20
    assert not {str(coerce_keybinding(key)) for key in named} & {*bound}
    menus |= {key.removeprefix("Alt+") for key in bound if re.fullmatch(r"Alt\+[A-Z]", key)}
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
