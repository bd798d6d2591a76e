"""Labels: one that wraps its text at any width, and one of a field."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget


def wrapping(text: str = "", parent: QWidget | None = None) -> QLabel:
    """Return a plain-text label that wraps and never widens its parent."""
    label = QLabel(text, parent)
    label.setWordWrap(True)
    label.setIndent(0)  # a style sheet would add one, above too
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)  # setWordWrap set it in the old policy
    label.setSizePolicy(policy)
    return label


def label_of(text: str, field: QWidget) -> QLabel:
    """Return the label of a field, which its mnemonic leads to."""
    label = QLabel(text)
    label.setBuddy(field)
    return label
