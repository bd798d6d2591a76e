"""Colours for errors, warnings, notes and bars that are legible in napari's themes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from napari.utils.theme import get_theme
from qtpy.QtWidgets import QWidget

Tone = Literal["error", "warning", "muted", "good"]
Role = Literal["primary", "menu", "switch", "away", ""]

_ON_DARK: Mapping[Tone, str] = MappingProxyType(
    {"error": "#ff9a94", "warning": "#f5b94a", "muted": "#b8bcc2", "good": "#7fc98a"}
)
_ON_LIGHT: Mapping[Tone, str] = MappingProxyType(
    {"error": "#a3161a", "warning": "#714600", "muted": "#4c4e52", "good": "#1f6b36"}
)

IN_A_LINE = "padding: 2px 4px;"
"""The style sheet of buttons that share a line with a text."""

_FRAMED = (
    "QPushButton",
    "QToolButton",
    "QComboBox",
    "QLineEdit",
    "QAbstractSpinBox",
    "QAbstractItemView",
    "QSlider",
    "QTabBar::tab:selected",
    "QCheckBox::indicator",
)
"""What has a frame while it has the keyboard; `Switch` and the titles of folds are underlined."""


def tone_colours(theme: str) -> Mapping[Tone, str]:
    """Return the colour of each tone, as ``#rrggbb``, for a theme of napari.

    Each has a contrast of at least 4.5 to 1 with the background and the foreground of napari's
    own themes.

    Parameters
    ----------
    theme : str
        The theme's id, such as ``"dark"``.
    """
    return _ON_DARK if get_theme(theme).type == "dark" else _ON_LIGHT


def tone_style(theme: str) -> str:
    """Return the style sheet in which the widgets of `set_tone` have their colours.

    Parameters
    ----------
    theme : str
        As for `tone_colours`.
    """
    rules = [
        f'QLabel[tone="{tone}"] {{color: {colour};}}'
        for tone, colour in tone_colours(theme).items()
    ]
    rules.append(f"QLineEdit {{placeholder-text-color: {tone_colours(theme)['muted']};}}")
    found = get_theme(theme)
    rules.append(
        f'QPushButton[tone="primary"]:enabled {{background-color: {found.current.as_hex()}; '
        f"color: {found.text.as_hex()};}}"
    )
    rules.append('QToolButton[tone="menu"]::menu-indicator {image: none; width: 0px;}')
    rules.append(
        f'QToolButton[tone="switch"]:checked {{background-color: {found.current.as_hex()};}}'
    )
    rules.append(f'QTabBar[tone="away"]::tab:selected {{background: {found.foreground.as_hex()};}}')
    frame = f"{{border-width:1px;border-style:solid;border-color:{found.text.as_hex()}}}"
    rules += [f"{kind}:focus{frame}" for kind in _FRAMED]
    return "\n".join(rules)


def set_tone(
    widget: QWidget, tone: Tone | Literal["primary", "menu", "switch", "away", ""]
) -> None:
    """Show a widget in the colour of a tone; "" is the normal colour.

    "primary" is for the main button of a page, "menu" for a button whose text already says that
    it opens a menu, "switch" for a tool button that is marked while it is checked, "away" for tabs
    of which none is shown.
    """
    if widget.property("tone") == tone:
        return
    widget.setProperty("tone", tone)
    style = widget.style()
    if style is not None:
        style.unpolish(widget)
        style.polish(widget)
