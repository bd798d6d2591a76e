"""Single-shot timers."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer


class Once(QTimer):
    """A single-shot timer."""

    @property
    def idle(self) -> bool:
        """Whether it does not run."""
        return not self.isActive()

    def close(self) -> None:
        """Stop the timer for good."""
        self.stop()


def once(parent: QObject, milliseconds: int, slot: Callable[[], None]) -> Once:
    """Return a timer that calls `slot` once, some time after it was last started."""
    timer = Once(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(slot)
    return timer
