"""A dock widget that may refuse that its window closes, and closes down in time."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QCloseEvent, QShowEvent
from qtpy.QtWidgets import QMainWindow, QWidget


class ClosingWidget(QWidget):
    """Calls `may_close` before the main window closes, and `close_down` before it is deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False
        """Set by `close_down`."""

    def may_close(self) -> bool:
        """Whether the window may close."""
        return True

    def close_down(self) -> None:
        """Stop everything; may be called more than once."""
        self.closed = True

    def event(self, event: QEvent) -> bool:
        """Close down when napari removes the widget from its dock without closing it."""
        taken_out = event.type() == QEvent.Type.ParentChange and self.parentWidget() is None
        if taken_out and not self.closed:
            self.close_down()
        return bool(super().event(event))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Watch the main window: Qt does not close the widgets in a window that is closed."""
        outermost: QWidget = self
        while (parent := outermost.parentWidget()) is not None:
            outermost = parent  # a floating dock is a child of the main window too
        if isinstance(outermost, QMainWindow):
            outermost.installEventFilter(self)  # Qt installs it only once
        super().showEvent(event)

    def eventFilter(self, _window: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Ask before the window closes, and close down before it is deleted."""
        if event is None or self.closed:
            return False
        if event.type() == QEvent.Type.DeferredDelete:
            self.close_down()
        elif event.type() == QEvent.Type.Close and not self.may_close():
            event.ignore()
            return True
        elif event.type() == QEvent.Type.Close and not event.spontaneous():
            self.close_down()  # napari has asked before; of other events it asks next
        return False

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Close down with the widget."""
        self.close_down()
        super().closeEvent(event)
