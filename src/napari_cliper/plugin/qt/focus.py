"""Where the keyboard goes: to the first control of a widget, or to napari's window."""

from __future__ import annotations

from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QMainWindow, QScrollArea, QWidget

_BY_TAB = Qt.FocusPolicy.TabFocus.value
_OF_SHORTCUTS = Qt.FocusReason.ShortcutFocusReason


def focus_first(inside: QWidget) -> None:
    """Give the keyboard to the first control inside a widget that Tab would reach."""
    one = inside.nextInFocusChain()
    while one is not None and one is not inside:
        reached = one.focusPolicy().value & _BY_TAB and not isinstance(one, QScrollArea)
        if inside.isAncestorOf(one) and one.isVisible() and one.isEnabled() and reached:
            one.setFocus(_OF_SHORTCUTS)
            return
        one = one.nextInFocusChain()


def focus_window(inside: QWidget) -> None:
    """Give the keyboard to the main window around a widget, whose keys then work as on the image.

    Also if the widget is in a dock that floats.
    """
    window = main_window(inside)
    if window is not None:
        window.activateWindow()
        window.setFocus(_OF_SHORTCUTS)


def main_window(inside: QObject | None) -> QMainWindow | None:
    """Return the main window around an object, also around a dock that floats; None without one."""
    while inside is not None and not isinstance(inside, QMainWindow):
        inside = inside.parent()
    return inside
