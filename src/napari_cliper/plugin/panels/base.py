"""The base of panels that need nothing but the state of the dock."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from ..state import DockState


class DockPanel(QWidget):
    """A panel that shows or uses what the state of the dock has, without a controller.

    A subclass connects the signals of the state that concern it to `follow`.

    Parameters
    ----------
    state : DockState
    """

    def __init__(self, state: DockState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state

    def follow(self, _changed: object = None) -> None:
        """Bring the panel in line with the state; also called when another page is shown."""

    @property
    def idle(self) -> bool:
        """Whether the panel is up to date and runs no job."""
        return True

    def close_down(self) -> None:
        """Stop the panel's jobs and timers: the dock closes."""
