"""A warning in one line, with buttons."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget
from superqt import QElidingLabel

from .theme_colours import IN_A_LINE, set_tone


def notice_line(line: QWidget, buttons: Iterable[QPushButton]) -> QElidingLabel:
    """Lay out a widget as a warning with buttons; return the label of the warning.

    As much of the text is shown as fits beside the buttons.
    """
    text = QElidingLabel()
    text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    set_tone(text, "warning")
    row = QHBoxLayout(line)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    row.addWidget(text, 1)
    for button in buttons:
        button.setStyleSheet(IN_A_LINE)
        button.setAutoDefault(False)
        row.addWidget(button)
    return text
