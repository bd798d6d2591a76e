"""The size of the objects that tiles are made for, and what a run in tiles costs."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
)

from .. import ui_text
from ..qt.theme_colours import Tone, set_tone
from ..qt.wrapping_label import wrapping
from .base import Panel

LARGEST_OBJECT = 100_000  # pixels


class TilesPanel(Panel):
    """A row with the object size, and a line with the costs; hidden without tiles.

    The value is the diameter of the objects in pixels; None without tiles. `measure_toggled` is
    emitted when the user starts or stops measuring an object, `shown` when the panel may have come
    in sight.
    """

    valueChanged = Signal(object)
    measure_toggled = Signal(bool)
    shown = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._value: float | None = None
        self._brief = False
        self.size = QSpinBox()
        self.size.setRange(1, LARGEST_OBJECT)
        self.size.setSuffix(ui_text.TILES_UNIT)
        self.size.setKeyboardTracking(False)
        self.size.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.size.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.size.setFixedWidth(72)
        self.label = QLabel(ui_text.TILES_LABEL)
        self.label.setBuddy(self.size)
        for widget in (self.label, self.size):
            widget.setToolTip(ui_text.TILES_TIP)
        self.size.setAccessibleName(ui_text.TILES_LABEL.replace("&", ""))
        self.measure = QPushButton(ui_text.MEASURE_OBJECT)
        self.measure.setCheckable(True)
        self.measure.setAutoDefault(False)
        self.off = QToolButton()
        self.off.setText(ui_text.TILES_OFF)
        self.off.setToolTip(ui_text.TILES_OFF_TIP)
        self.off.setAccessibleName(ui_text.TILES_OFF_NAME)
        self.costs = wrapping(parent=self)
        """What a run costs, for a place of its own."""
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.label, 1)
        for part in (self.size, self.measure, self.off):
            row.addWidget(part)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        self.size.valueChanged.connect(self._on_size)
        self.off.clicked.connect(self._on_off)
        self.measure.toggled.connect(self._on_measure)
        self.show_costs("")
        self._on_measure(False)
        self._show_parts()

    def value(self) -> float | None:
        """The diameter of the objects in pixels of the image; None without tiles."""
        return self._value

    def setValue(self, size: float | None) -> None:
        """Show an object size, or hide the panel for None; emits `valueChanged` if it differs."""
        if size == self._value:
            return
        self._value = size
        if size is not None:
            blocked = self.size.blockSignals(True)
            self.size.setValue(round(size))
            self.size.blockSignals(blocked)
        self._show_parts()
        self.valueChanged.emit(size)

    def set_brief(self, brief: bool) -> None:
        """Hide the costs while there is little room."""
        self._brief = brief
        self._show_parts()

    def _show_parts(self) -> None:
        tiled = self._value is not None
        self.setVisible(tiled)
        self.costs.setVisible(tiled and not self._brief)

    def show_costs(self, text: str, tip: str = "", tone: Tone = "muted") -> None:
        """Show what a run in tiles costs, or why that is not known."""
        self.costs.setText(text)
        self.costs.setToolTip(tip)
        set_tone(self.costs, tone)

    def follow(self, _changed: object = None) -> None:
        """Emit `shown` if the panel is in sight."""
        if self.in_sight:
            self.shown.emit()

    def _on_size(self, size: int) -> None:
        self._value = float(size)
        self.valueChanged.emit(self._value)

    def _on_off(self) -> None:
        self.setValue(None)

    def _on_measure(self, measuring: bool) -> None:
        self.measure.setToolTip(
            ui_text.MEASURE_OBJECT_STOP_TIP if measuring else ui_text.MEASURE_OBJECT_TIP
        )
        self.measure_toggled.emit(measuring)
