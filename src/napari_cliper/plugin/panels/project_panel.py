"""A project: the list of its images with their status, and buttons to go through them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel
from superqt.utils import signals_blocked

from ...annotation.project.project_images import ProjectImage
from .. import ui_text

_ROWS_SEEN = 3  # at least


class ProjectPanel(QWidget):
    """Buttons and the list of images; emits requests.

    `chosen` carries the name of the image to go to, `step_wanted` 1 or -1.
    """

    new_wanted = Signal()
    open_wanted = Signal()
    save_wanted = Signal()
    step_wanted = Signal(int)
    done_wanted = Signal()
    order_wanted = Signal()
    chosen = Signal(str)
    images_changed = Signal(int)
    """The number of images of the project."""
    list_wanted = Signal()
    """A project was opened, so its list of images is to be shown."""

    def __init__(self) -> None:
        super().__init__()
        self.where = QElidingLabel()
        self.where.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.new_button = _button(ui_text.NEW_PROJECT, ui_text.NEW_PROJECT_TIP)
        self.open_button = _button(ui_text.OPEN_PROJECT, ui_text.OPEN_PROJECT_TIP)
        self.save_button = _button(ui_text.SAVE_PROJECT, ui_text.SAVE_PROJECT_TIP)
        self.images = QListWidget()
        self.images.setAccessibleName(ui_text.PROJECT_IMAGES)
        self.images.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.previous_button = _arrow("\N{BLACK LEFT-POINTING TRIANGLE}", ui_text.PREVIOUS_TIP)
        self.next_button = _arrow("\N{BLACK RIGHT-POINTING TRIANGLE}", ui_text.NEXT_TIP)
        self.done_button = _button(ui_text.DONE, ui_text.DONE_TIP)
        self.order_button = QPushButton(ui_text.ORDER)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText(ui_text.FILTER)
        self.filter.setToolTip(ui_text.FILTER_TIP)
        self.filter.setAccessibleName(ui_text.FILTER_NAME)
        self.filter.setClearButtonEnabled(True)
        self.list = QWidget()
        """The images with a filter, for a fold."""
        column = QVBoxLayout(self.list)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.filter)
        column.addWidget(self.images, 1)
        column.addWidget(self.order_button)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        grid.addWidget(self.where, 0, 0, 1, 3)
        for at, button in enumerate((self.new_button, self.open_button, self.save_button)):
            grid.addWidget(button, 1, at)
        self.name = QElidingLabel()
        self.name.setElideMode(Qt.TextElideMode.ElideMiddle)  # the numbers at the end stay
        self.name.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.line = QWidget()
        """Previous, next and *Done*, for the foot of the dock."""
        row = QHBoxLayout(self.line)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.previous_button)
        row.addWidget(self.name, 1)
        row.addWidget(self.next_button)
        row.addWidget(self.done_button)
        self.images.setMinimumHeight(_ROWS_SEEN * (self.images.fontMetrics().height() + 6))
        self._names: list[str] = []
        self._classes: list[str] = []
        self._uncertain: list[float | None] = []

        self.new_button.clicked.connect(self.new_wanted)
        self.open_button.clicked.connect(self.open_wanted)
        self.save_button.clicked.connect(self.save_wanted)
        self.previous_button.clicked.connect(self._on_previous)
        self.next_button.clicked.connect(self._on_next)
        self.done_button.clicked.connect(self.done_wanted)
        self.order_button.clicked.connect(self.order_wanted)
        self.filter.textChanged.connect(self._filter)
        self.images.itemActivated.connect(self._on_activated)
        self.images.itemClicked.connect(self._on_activated)
        self.show_images("", (), "")

    def set_orderable(self, why_not: str) -> None:
        """Enable sorting by uncertainty, or disable it with the reason as tooltip."""
        self.order_button.setEnabled(not why_not)
        self.order_button.setToolTip(why_not or ui_text.ORDER_TIP)

    def show_images(
        self,
        where: str,
        images: Sequence[ProjectImage],
        current: str,
        uncertain: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Show a project.

        Parameters
        ----------
        where : str
            The folder; empty for none.
        images : sequence of ProjectImage
        current : str
            The name of the image in the window.
        uncertain : mapping of str to float
            Uncertainty, 0 to 1, of the images for which it is known.
        """
        finished = sum(image.status == "done" for image in images)
        self.where.setText(ui_text.project_state(folder=where, done=finished, images=len(images)))
        self.where.setToolTip(
            f"{where}\n{ui_text.PROJECT_TIP}" if where else ui_text.NO_PROJECT_TIP
        )
        self._names = [image.name for image in images]
        self._classes = [" ".join(image.classes) for image in images]
        self._uncertain = [uncertain.get(image.name) for image in images]
        with signals_blocked(self.images):
            self.images.clear()
            for image in images:
                value = uncertain.get(image.name)
                item = QListWidgetItem(
                    ui_text.project_image(name=image.name, status=image.status, uncertainty=value)
                )
                item.setToolTip(
                    ui_text.project_image_tip(
                        path=image.path, classes=image.classes, uncertainty=value
                    )
                )
                self.images.addItem(item)
            if current in self._names:
                self.images.setCurrentRow(self._names.index(current))
        self._filter()
        self.line.setVisible(bool(images))
        self.images_changed.emit(len(images))
        at = self._names.index(current) + 1 if current in self._names else 0
        self.name.setText(ui_text.project_line(name=current, at=at, images=len(images)))
        self.name.setToolTip(self.name.text())
        if images:
            self.previous_button.setEnabled(current in self._names[1:])
            self.next_button.setEnabled(current in self._names[:-1])
            self.done_button.setEnabled(current in self._names)

    def ask_folder(self, title: str) -> str:
        """Let the user choose a folder; empty if there is none."""
        start = str(Path.home())
        return str(QFileDialog.getExistingDirectory(self, title, start))

    def ask_new(self, proposed: str = "") -> str:
        """Let the user choose the folder of a new project; empty if there is none."""
        return str(QFileDialog.getSaveFileName(self, ui_text.NEW_PROJECT_TITLE, proposed)[0])

    def _filter(self, _text: str = "") -> None:
        """Hide the images that do not match all words of the filter."""
        words = self.filter.text().casefold().split()
        for index in range(self.images.count()):
            item = self.images.item(index)
            if item is not None:
                text = f"{item.text()} {self._classes[index]}".casefold()
                value = self._uncertain[index]
                item.setHidden(not all(_fits(word, text, value) for word in words))

    def _on_activated(self, item: QListWidgetItem) -> None:
        self.chosen.emit(self._names[self.images.row(item)])

    def _on_previous(self) -> None:
        self.step_wanted.emit(-1)

    def _on_next(self) -> None:
        self.step_wanted.emit(1)


def _fits(word: str, text: str, uncertainty: float | None) -> bool:
    """Whether an image matches a word of the filter, or a comparison such as ``>20%`` or ``<5``."""
    limit = re.fullmatch(r"([<>])(\d+(?:\.\d+)?)%?", word)
    if limit is None:
        return word in text
    percent = float(limit[2])
    if uncertainty is None:
        return False
    return uncertainty * 100 > percent if limit[1] == ">" else uncertainty * 100 < percent


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _arrow(text: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    return button
