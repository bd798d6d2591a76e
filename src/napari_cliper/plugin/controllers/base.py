"""What all controllers share: they tell a person, ask one, run jobs, and come to an end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QMessageBox, QWidget

from ...io.files import FileError
from ...segmentation import InvalidInputError


class Controller(QObject):
    """Does what a panel asks for, with the viewer and the engine.

    Parameters
    ----------
    panel : QWidget
        The parent, also of the questions that are asked.
    """

    message = Signal(str, bool)
    """Lines for a person, and whether they tell of an error."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._parent_widget = panel

    @property
    def idle(self) -> bool:
        """Whether nothing runs, and nothing waits to run."""
        return True

    def close(self) -> None:
        """Stop what runs and listen to nothing any more; the layers stay."""

    def say_error(self, text: str) -> None:
        """Tell a person of an error."""
        self.message.emit(text, True)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell a person what is wrong with what they asked for, in the place of raising it."""
        try:
            yield
        except (InvalidInputError, FileError) as error:
            self.say_error(str(error))

    def asked(self, title: str, question: str) -> bool:
        """Whether a person answers a question with Yes."""
        answer = QMessageBox.question(self._parent_widget, title, question)
        return bool(answer == QMessageBox.StandardButton.Yes)
