"""Corrections that spread, clicks, and where to look next: what a person sees and presses."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QPushButton, QWidget
from superqt.utils import signals_blocked

from ...annotation.user_hints import BACKGROUND
from ...labels.label_class import ClassRow
from .. import ui_text
from ..layers.clicks_layer import BACKGROUND_COLOUR, class_colours_of
from ..qt.eliding_combo_box import ElidingComboBox
from ..qt.wrapping_label import wrapping

_SWATCH = 12  # pixels


class CorrectionsPanel(QWidget):
    """Emits what is wanted; is told by the methods.

    `chosen` carries the name of the class to click, `spread_toggled` and `uncertainty_toggled`
    whether it is on.
    """

    spread_toggled = Signal(bool)
    uncertainty_toggled = Signal(bool)
    click_wanted = Signal()
    chosen = Signal(str)
    next_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        title = QLabel(ui_text.CORRECTIONS)
        title.setToolTip(ui_text.CORRECTIONS_TIP)
        self.spread = QCheckBox(ui_text.PROPAGATE)
        self.spread.setChecked(True)
        self.spread.setToolTip(ui_text.PROPAGATE_TIP)
        self.uncertainty = QCheckBox(ui_text.UNCERTAINTY)
        self.click_button = QPushButton(ui_text.CLICK)
        self.classes = ElidingComboBox(ui_text.CLICK_CLASS_TIP)
        self.classes.setAccessibleName(ui_text.CLICK_CLASS_NAME)
        self.next_button = QPushButton(ui_text.NEXT_UNCERTAIN)
        self.state = wrapping()

        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(title, 0, 0, 1, 2)
        grid.addWidget(self.spread, 1, 0, 1, 2)
        grid.addWidget(self.click_button, 2, 0)
        grid.addWidget(self.classes, 2, 1)
        grid.addWidget(self.next_button, 3, 0)
        grid.addWidget(self.uncertainty, 3, 1)
        grid.addWidget(self.state, 4, 0, 1, 2)
        grid.setColumnStretch(1, 1)

        self.spread.toggled.connect(self.spread_toggled)
        self.uncertainty.toggled.connect(self.uncertainty_toggled)
        self.click_button.clicked.connect(self.click_wanted)
        self.classes.activated.connect(self._on_chosen)
        self.next_button.clicked.connect(self.next_wanted)
        self._names: list[str] = []
        self.show_classes((), BACKGROUND)
        self.set_available(ui_text.CHOOSE_IMAGE_FIRST, ui_text.NO_RESULT)
        self.show_state("")

    def show_classes(self, rows: Sequence[ClassRow], chosen: str) -> None:
        """Offer classes and the background, and show which one is clicked."""
        colours = class_colours_of(rows)
        colours.setdefault(BACKGROUND, BACKGROUND_COLOUR)
        self._names = [*dict.fromkeys((BACKGROUND, *colours))]
        with signals_blocked(self.classes):
            self.classes.clear()
            for index, name in enumerate(self._names):
                self.classes.offer(name, ui_text.BACKGROUND_CLICK_TIP if name == BACKGROUND else "")
                swatch = QPixmap(_SWATCH, _SWATCH)
                swatch.fill(QColor.fromRgbF(*colours[name]))
                self.classes.setItemIcon(index, QIcon(swatch))
        self.choose(chosen)

    def choose(self, name: str) -> None:
        """Show which class is clicked; one that is not offered is added."""
        if name not in self._names:
            self._names.append(name)
            self.classes.offer(name, ui_text.NOT_IN_TABLE)
        with signals_blocked(self.classes):
            self.classes.setCurrentIndex(self._names.index(name))
        self.classes.explain("")

    def chosen_class(self) -> str:
        """The class of the next click."""
        return self._names[self.classes.currentIndex()]

    def set_available(self, no_click: str, no_next: str) -> None:
        """Allow the buttons, or say in their tooltips why they are grey.

        Parameters
        ----------
        no_click, no_next : str
            Reasons; empty where it can be done.
        """
        self.click_button.setEnabled(not no_click)
        self.click_button.setToolTip(no_click or ui_text.CLICK_TIP)
        for widget, tip in (
            (self.next_button, ui_text.NEXT_UNCERTAIN_TIP),
            (self.uncertainty, ui_text.UNCERTAINTY_TIP),
        ):
            widget.setEnabled(not no_next)
            widget.setToolTip(no_next or tip)

    def show_state(self, text: str) -> None:
        """Say what was taught."""
        self.state.setText(text)
        self.state.setVisible(bool(text))

    def _on_chosen(self, _index: int) -> None:
        self.classes.explain("")
        self.chosen.emit(self.chosen_class())
