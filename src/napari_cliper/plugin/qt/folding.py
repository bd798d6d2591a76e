"""A collapsible section that fits the width of the dock."""

from __future__ import annotations

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QSizePolicy
from superqt import QCollapsible

_AS_HIGH_AS_NEEDED = 16777215  # QWIDGETSIZE_MAX
_OPEN, _FOLDED = "\N{BLACK DOWN-POINTING TRIANGLE}", "\N{BLACK RIGHT-POINTING TRIANGLE}"


class _Folder(QCollapsible):
    def __init__(self, title: str) -> None:
        super().__init__(title, expandedIcon=_OPEN, collapsedIcon=_FOLDED)
        self.setDuration(0)
        self.toggleButton().setStyleSheet(
            "QPushButton {text-align: left; border: none; outline: none;}"
            "QPushButton:focus {text-decoration: underline;}"
        )
        # superqt's policy leaves no height for lines that wrap.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        layout = self.layout()
        assert layout is not None  # noqa: S101 - it is made with one
        layout.setContentsMargins(0, 0, 0, 0)
        self.content().hide()  # so that Tab skips hidden content
        self.toggled.connect(self._on_toggled)

    def _on_toggled(self, is_open: bool) -> None:
        self.content().setVisible(is_open)
        if is_open:  # rows may come and go
            self.content().setMaximumHeight(_AS_HIGH_AS_NEEDED)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the arrows in the colour of the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self.toggleButton().ensurePolished()
            self.setExpandedIcon(_OPEN)
            self.setCollapsedIcon(_FOLDED)


def folding(title: str) -> QCollapsible:
    """Return a closed section with a title; `addWidget` adds its content."""
    return _Folder(title)
