"""The window with the table of single objects: measured in a thread, and up to date."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import Signal

from ...objects.linked_planes import LinkEvent
from .. import ui_text
from ..object_measures import MeasuredObjects, measured
from ..object_work import MadeObjects, write_measurements
from ..panels.object_list import ObjectList
from ..panels.objects_panel import ObjectsPanel
from ..worker import Work
from .base import Controller
from .object_linking import event_texts


class ObjectTable(Controller):
    """Shows the objects on the screen in a window of its own.

    Parameters
    ----------
    panel : ObjectsPanel
    """

    chosen = Signal(int)
    """The number of an object that was clicked in the table."""
    event_chosen = Signal(object)
    """A `LinkEvent` that was clicked."""
    writing = Signal()
    """A file with the table begins to be written, or is written."""

    def __init__(self, panel: ObjectsPanel) -> None:
        super().__init__(panel)
        self._panel = panel
        self.window: ObjectList | None = None
        """The window, once it was opened."""
        self._made: MadeObjects | None = None
        self._measured: MeasuredObjects | None = None
        self._events: tuple[LinkEvent, ...] = ()
        self._sorted_for: str | None = None  # the origin that the table was sorted for
        self._measuring = self.newest(self._snapshot, self._on_measured)

        self._writing = self.jobs()
        for signal in (self._writing.started, self._writing.finished):
            signal.connect(self.writing)
        panel.measure_wanted.connect(self._on_measure)

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
            self.window.event_chosen.connect(lambda row: self.event_chosen.emit(self._events[row]))
        self.window.show()
        self.window.raise_()
        self._measuring.request()

    def follow(self, made: MadeObjects | None, events: tuple[LinkEvent, ...] = ()) -> None:
        """Show other objects, and their splits and merges, if the window is open."""
        self._made, self._events = made, events
        if self.window is not None and self.window.isVisible():
            self._measuring.request()
        else:
            self._measured = None

    def _snapshot(self) -> Work | None:
        if self._made is None:
            self._measured = None
            if self.window is not None:
                self.window.show_objects("", {})
                self.window.show_events(())
            return None
        return partial(measured, self._made, self._measured)

    def _on_measured(self, found: MeasuredObjects) -> None:
        self._measured = found
        if self.window is None:
            return
        made = found.made
        self.window.show_objects(made.seen.image(made.seen.labels).name, found.columns)
        self.window.show_events(event_texts(made.seen.choice, self._events))
        if made.origin != self._sorted_for:
            self._sorted_for = made.origin
            self.window.sort_by("margin" if made.origin else "object")

    @property
    def writes(self) -> bool:
        """Whether a file with the table is being written."""
        return not self._writing.idle

    def _on_measure(self) -> None:
        made = self._made
        if made is None:
            return
        path = self._panel.ask_file(ui_text.objects_file(made.seen.image(made.seen.labels).name))
        if path:
            target = Path(path)
            target = target if target.suffix else target.with_suffix(".csv")
            work = partial(write_measurements, made, target)
            self._writing.start(work, lambda message: self.message.emit(message, False))
