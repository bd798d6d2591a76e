"""A timer that fires once, some time after it was last started."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer


def once(parent: QObject, milliseconds: int, slot: Callable[[], None]) -> QTimer:
    """A timer of an object; `start` it as often as there is something to do."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(slot)
    return timer
