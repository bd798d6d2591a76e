"""Two live thresholds, with the range of the result and the published default marked."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QToolButton, QWidget
from superqt import QLabeledDoubleSlider
from superqt.utils import signals_blocked


@dataclass(frozen=True)
class Thresholds:
    """What labels are made with.

    Parameters
    ----------
    class_threshold, background_threshold : float
    min_max : bool
    """

    class_threshold: float
    background_threshold: float
    min_max: bool


class ThresholdPanel(QWidget):
    """Sliders that relabel while they are moved.

    `changed` carries the `Thresholds`; nothing is emitted by `set_range` and `set_values`.
    """

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        self.class_slider, self.class_default = self._slider(
            grid,
            0,
            "&Class threshold",
            "A class whose score is not above this is taken to be absent.",
        )
        self.background_slider, self.background_default = self._slider(
            grid,
            2,
            "&Background threshold",
            "A pixel whose best class is below this becomes background.",
        )
        self.min_max = QCheckBox("Stretch each class to its own range")
        self.min_max.setToolTip(
            "Brings faint classes up to strong ones (CLIPer's min-max normalisation)."
        )
        self.min_max.toggled.connect(self._on_changed)
        grid.addWidget(self.min_max, 4, 0, 1, 3)
        grid.setColumnStretch(1, 1)
        self._defaults = Thresholds(0.0, 0.0, min_max=False)
        self._has_min_max = True
        self.set_available(available=False)

    def _slider(
        self, grid: QGridLayout, row: int, name: str, tip: str
    ) -> tuple[QLabeledDoubleSlider, QToolButton]:
        label = QLabel(name)
        slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        slider.setDecimals(2)
        slider.setRange(0, 1)
        slider.setToolTip(tip)
        slider.setMinimumWidth(80)
        label.setBuddy(slider)
        label.setToolTip(tip)
        default = QToolButton()
        default.setAutoRaise(True)
        grid.addWidget(label, row, 0, 1, 2)
        grid.addWidget(default, row, 2)
        grid.addWidget(slider, row + 1, 0, 1, 3)
        slider.valueChanged.connect(self._on_changed)
        default.clicked.connect(self._on_default)
        return slider, default

    def values(self) -> Thresholds:
        """What the sliders stand at."""
        return Thresholds(
            self.class_slider.value(),
            self.background_slider.value(),
            self.min_max.isChecked() and self._has_min_max,
        )

    def set_result(
        self, class_top: float, background_top: float, defaults: Thresholds, *, has_min_max: bool
    ) -> None:
        """A result is there: its ranges and the published defaults, at which it starts.

        Parameters
        ----------
        class_top, background_top : float
            The highest values that can make a difference; scores may be over 1.
        has_min_max : bool
            Whether the method's labelling rule knows min-max.
        """
        self._defaults = defaults
        self._has_min_max = has_min_max
        with signals_blocked(self):
            self.class_slider.setRange(0, max(class_top, defaults.class_threshold, 0.01))
            top = max(background_top, defaults.background_threshold, 0.01)
            self.background_slider.setRange(0, top)
            for button, value in (
                (self.class_default, defaults.class_threshold),
                (self.background_default, defaults.background_threshold),
            ):
                button.setText(f"default {value:.2f}")
                button.setToolTip("Go back to the published value.")
        self.set_available(available=True)

    def set_values(self, values: Thresholds) -> None:
        """Move the sliders without telling anybody."""
        with signals_blocked(self):
            self.class_slider.setValue(values.class_threshold)
            self.background_slider.setValue(values.background_threshold)
            self.min_max.setChecked(values.min_max)

    def set_available(self, *, available: bool, why_not: str = "There is no result yet.") -> None:
        """Grey the sliders, and say why."""
        self.setEnabled(available)
        self.setToolTip("" if available else why_not)
        self.min_max.setEnabled(available and self._has_min_max)
        self.min_max.setVisible(self._has_min_max)

    def _on_changed(self) -> None:
        self.changed.emit(self.values())

    def _on_default(self) -> None:
        if self.sender() is self.class_default:
            self.class_slider.setValue(self._defaults.class_threshold)
        else:
            self.background_slider.setValue(self._defaults.background_threshold)
