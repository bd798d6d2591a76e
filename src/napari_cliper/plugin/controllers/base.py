"""The base class of controllers: messages, questions, and closing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QMessageBox, QWidget

from ...io.files import FileError
from ...segmentation import InvalidInputError


class Controller(QObject):
    """Handles the signals of a panel, with the viewer and the engine.

    Parameters
    ----------
    panel : QWidget
        Parent of this object and of its message boxes.
    """

    message = Signal(str, bool)
    """A line to show to the user, and whether it is an error."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._parent_widget = panel

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits to run."""
        return True

    def close(self) -> None:
        """Stop running jobs and disconnect all signals; the layers stay."""

    def say_error(self, text: str) -> None:
        """Show an error to the user."""
        self.message.emit(text, True)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Show errors of input and files to the user instead of raising them."""
        try:
            yield
        except (InvalidInputError, FileError) as error:
            self.say_error(str(error))

    def asked(self, title: str, question: str) -> bool:
        """Ask a question; True if the user answers Yes."""
        answer = QMessageBox.question(self._parent_widget, title, question)
        return bool(answer == QMessageBox.StandardButton.Yes)
