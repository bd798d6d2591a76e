"""The window with the table of single objects: measured in a thread, and up to date."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import Signal

from ..object_work import MadeObjects, measured
from ..panels.object_list import ObjectList
from ..panels.objects_panel import ObjectsPanel
from ..worker import Work
from .base import Controller


class ObjectTable(Controller):
    """Shows the objects on the screen in a window of its own.

    Parameters
    ----------
    panel : ObjectsPanel
    """

    chosen = Signal(int)
    """The number of an object that was clicked in the table."""

    def __init__(self, panel: ObjectsPanel) -> None:
        super().__init__(panel)
        self._panel = panel
        self.window: ObjectList | None = None
        """The window, once it was opened."""
        self._made: MadeObjects | None = None
        self._sorted_for: str | None = None  # the origin that the table was sorted for
        self._measuring = self.newest(self._snapshot)
        self._measuring.succeeded.connect(self._on_measured)
        self._measuring.failed.connect(self.say_error)

    def close(self) -> None:
        """Close the window."""
        super().close()
        if self.window is not None:
            self.window.close()
            self.window.deleteLater()
            self.window = None

    def open(self) -> None:
        """Open the window."""
        if self.window is None:
            self.window = ObjectList(self._panel.window())
            self.window.chosen.connect(self.chosen)
        self.window.show()
        self.window.raise_()
        self._measuring.request()

    def follow(self, made: MadeObjects | None) -> None:
        """Show other objects, if the window is open."""
        self._made = made
        if self.window is not None and self.window.isVisible():
            self._measuring.request()

    def _snapshot(self) -> Work | None:
        if self._made is None:
            if self.window is not None:
                self.window.show_objects("", {})
            return None
        made = self._made
        work = partial(measured, made)
        return lambda report, should_stop: (made, work(report, should_stop))

    def _on_measured(self, found: tuple[MadeObjects, dict[str, list[Any]]]) -> None:
        made, columns = found
        if self.window is None:
            return
        self.window.show_objects(made.seen.image(made.seen.labels).name, columns)
        if made.origin != self._sorted_for:
            self._sorted_for = made.origin
            self.window.sort_by("margin" if made.origin else "object")
