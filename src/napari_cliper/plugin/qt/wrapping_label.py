"""A label that wraps, and is as high as its text needs at any width."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy


def wrapping(text: str = "") -> QLabel:
    """A plain-text label that never asks for width."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setIndent(0)  # a style sheet would add one, above too
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)  # a new policy lacks what wrapping had set in the old one
    label.setSizePolicy(policy)
    return label
