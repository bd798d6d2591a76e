"""The prototypes of the classes, each with an image patch, and their weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QKeyEvent, QKeySequence, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSlider,
    QWidget,
)
from superqt.utils import signals_blocked

from .. import ui_text
from ..qt.wrapping_label import wrapping

if TYPE_CHECKING:
    from ...segmentation import Prototype

_SIDE = 48  # pixels of an image
_STEPS = 100


class PrototypesList(QListWidget):
    """A list of image patches, each with its class and the name of its image."""

    remove_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(ui_text.PROTOTYPES)
        self.setIconSize(QSize(_SIDE, _SIDE))
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Delete removes the selected prototypes."""
        if event is not None and event.matches(QKeySequence.StandardKey.Delete):
            self.remove_wanted.emit()
            return
        super().keyPressEvent(event)


@dataclass(frozen=True)
class PrototypesChoice:
    """How prototypes are used.

    Parameters
    ----------
    weight : float or None
        Weight of the prototypes relative to the words, 0 to 1; None for automatic.
    by_itself : bool
        Whether they are learned when an image is accepted or done.
    """

    weight: float | None = None
    by_itself: bool = True


class PrototypesPanel(QWidget):
    """Buttons, the list of prototypes, and the slider between words and prototypes.

    The value is the `PrototypesChoice`. Emits requests; updated by `show_prototypes` and
    `set_available`. `remove_wanted` carries the selected prototypes.
    """

    learn_wanted = Signal()
    remove_wanted = Signal(object)
    undo_wanted = Signal()
    valueChanged = Signal(object)
    title_changed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.learn_button = QPushButton(ui_text.LEARN)
        self.by_itself = QCheckBox(ui_text.LEARN_DONE)
        self.by_itself.setChecked(True)
        self.by_itself.setToolTip(ui_text.LEARN_DONE_TIP)
        self.note = wrapping()
        self.list = PrototypesList()
        self.remove_button = QPushButton(ui_text.REMOVE_PROTOTYPES)
        self.undo_button = QPushButton(ui_text.UNDO)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(ui_text.WEIGHT_NAME)
        self.slider.setRange(0, _STEPS)
        self.slider.setValue(_STEPS // 2)
        self.slider.setMinimumWidth(80)
        self.automatic = QCheckBox(ui_text.AUTOMATIC)
        self.automatic.setChecked(True)
        self._lay_out()
        self._items: list[Prototype] = []

        self.learn_button.clicked.connect(self.learn_wanted)
        self.remove_button.clicked.connect(self._on_remove)
        self.list.remove_wanted.connect(self._on_remove)
        self.list.itemSelectionChanged.connect(self._update)
        self.undo_button.clicked.connect(self.undo_wanted)
        self.slider.valueChanged.connect(self._on_changed)
        self.automatic.toggled.connect(self._on_changed)
        self.by_itself.toggled.connect(self._on_changed)
        self.show_prototypes((), can_undo=False)
        self.set_available(ui_text.NOTHING_LEARNED)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        for widget in (QLabel(ui_text.WORDS_END), self.slider, QLabel(ui_text.PROTOTYPES_END)):
            row.addWidget(widget)
        row.setStretchFactor(self.slider, 1)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.learn_button, 0, 0, 1, 2)
        grid.addWidget(self.by_itself, 1, 0, 1, 2)
        grid.addWidget(self.note, 2, 0, 1, 2)
        grid.addWidget(self.list, 3, 0, 1, 2)
        grid.addWidget(self.remove_button, 4, 0)
        grid.addWidget(self.undo_button, 4, 1)
        grid.addLayout(row, 5, 0, 1, 2)
        grid.addWidget(self.automatic, 6, 0, 1, 2)
        grid.setRowStretch(7, 1)
        grid.setRowStretch(3, 1000)  # the images take the height that is left
        self.list.setMinimumHeight(_SIDE)

    # ------------------------------------------------------------------ values in and out

    def value(self) -> PrototypesChoice:
        """Return the choices."""
        weight = None if self.automatic.isChecked() else self.slider.value() / _STEPS
        return PrototypesChoice(weight, self.by_itself.isChecked())

    def setValue(self, choice: PrototypesChoice) -> None:
        """Show choices; emits `valueChanged` if they differ."""
        before, weight = self.value(), choice.weight
        with signals_blocked(self):
            self.automatic.setChecked(weight is None)
            self.slider.setValue(round((0.5 if weight is None else weight) * _STEPS))
            self.by_itself.setChecked(choice.by_itself)
        if self.value() != before:
            self._on_changed()

    def chosen(self) -> list[Prototype]:
        """The selected prototypes."""
        rows = [index.row() for index in self.list.selectedIndexes()]
        return [self._items[row] for row in sorted(rows)]

    # ------------------------------------------------------------------ showing

    def show_prototypes(self, items: Sequence[Prototype], *, can_undo: bool) -> None:
        """Show the prototypes.

        Parameters
        ----------
        items : sequence of Prototype
        can_undo : bool
            Whether there is a change to undo.
        """
        self._items = sorted(items, key=lambda one: not one.name)  # the background comes last
        self._can_undo = can_undo
        with signals_blocked(self.list):
            self.list.clear()
            for one in self._items:
                self.list.addItem(_item(one))
        self.list.setVisible(bool(items))
        classes = len({one.name.casefold() for one in items if one.name})
        self.title_changed.emit(ui_text.prototypes_title(number=len(items), classes=classes))
        self._update()

    def set_available(self, no_learn: str, note: str = "") -> None:
        """Enable learning, or disable it with the reason as tooltip.

        Parameters
        ----------
        no_learn : str
            The reason; empty to enable it.
        note : str
            A note for the user about the prototypes.
        """
        self.note.setText(note)
        self.note.setVisible(bool(note))
        self.learn_button.setEnabled(not no_learn)
        self.learn_button.setToolTip(no_learn or ui_text.LEARN_TIP)

    def _update(self) -> None:
        """Enable or disable the widgets, with the reason as tooltip."""
        nothing = "" if self._items else ui_text.NOTHING_LEARNED
        chosen = nothing or ("" if self.list.selectedIndexes() else ui_text.SELECT_PROTOTYPE_FIRST)
        can_undo = "" if self._can_undo else ui_text.NOTHING_TO_UNDO
        moved = nothing or (ui_text.AUTOMATIC_TIP if self.automatic.isChecked() else "")
        for widget, why_not, tip in (
            (self.remove_button, chosen, ui_text.REMOVE_PROTOTYPES_TIP),
            (self.undo_button, can_undo, ui_text.UNDO_PROTOTYPES_TIP),
            (self.automatic, nothing, ui_text.AUTOMATIC_TIP),
            (self.slider, moved, ui_text.WEIGHT_TIP),
        ):
            widget.setEnabled(not why_not)
            widget.setToolTip(why_not or tip)

    def _on_remove(self) -> None:
        if chosen := self.chosen():
            self.remove_wanted.emit(chosen)

    def _on_changed(self, _value: object = None) -> None:
        self._update()
        self.valueChanged.emit(self.value())


def _item(one: Prototype) -> QListWidgetItem:
    """A row: image patch, class and image name."""
    item = QListWidgetItem(ui_text.prototype_entry(name=one.name, sources=one.sources))
    rows, columns, _ = one.thumbnail.shape
    patch = QImage(one.thumbnail.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    item.setIcon(QIcon(QPixmap.fromImage(patch)))
    item.setToolTip(ui_text.prototype_tip(name=one.name, patches=one.patches, sources=one.sources))
    return item
