"""What panels have in common.

A panel with something that the user sets has one *value*: a number, a tuple or a frozen dataclass.
It has the names that Qt's own widgets use:

- ``value()`` returns what is chosen.
- ``setValue(value)`` shows another value, and emits ``valueChanged`` if that differs.
- ``valueChanged`` carries the value, whoever has changed it.

Other signals are requests, named by what they ask for, such as ``export_wanted``. `show_...` and
`set_...` methods show what others have found, such as the reason why a button is disabled. A
controller uses these, and no widget inside of a panel.
"""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from ..state import DockState


class Panel(QWidget):
    """A widget on a page of the dock."""

    def follow(self, _changed: object = None) -> None:
        """Bring the panel in line with the state; also called when a page or fold is shown."""

    @property
    def in_sight(self) -> bool:
        """Whether the panel is on the page that is shown, and its fold is open."""
        return bool(self.isVisibleTo(self.window()))

    @property
    def idle(self) -> bool:
        """Whether the panel is up to date and runs no job."""
        return True

    def close_down(self) -> None:
        """Stop the panel's jobs and timers: the dock closes."""


class DockPanel(Panel):
    """A panel that shows or uses what the state of the dock has, without a controller.

    A subclass connects the signals of the state that concern it to `follow`.

    Parameters
    ----------
    state : DockState
    """

    def __init__(self, state: DockState) -> None:
        super().__init__()
        self._state = state
