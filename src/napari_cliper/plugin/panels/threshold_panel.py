"""Sliders for the thresholds, with the range of the result and the published defaults."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QToolButton, QWidget
from superqt.utils import signals_blocked

from ...segmentation import Thresholds
from .. import ui_text
from ..qt.accordion import Fold
from ..qt.eliding_combo_box import ElidingComboBox
from ..qt.labelled_slider import LabelledSlider
from ..qt.theme_colours import set_tone
from ..ui_text import ThresholdTexts

if TYPE_CHECKING:
    from ...segmentation import ScoreMaps, Shortfall

_CLASS, _BACKGROUND = 0, 4  # first of the three rows of a threshold


class ThresholdPanel(QWidget):
    """Sliders that update the labels while they are moved.

    The value is the `Thresholds`; `set_result`, which shows a result and its values, emits nothing.
    `score_maps_toggled` carries whether score maps are shown as layers, and `all_planes_toggled`
    whether thresholds apply to all planes of a stack.
    """

    valueChanged = Signal(object)
    cramped_changed = Signal(bool)
    """Carries whether *More* is open on a page that has little room."""
    score_maps_toggled = Signal(bool)
    both_stages_toggled = Signal(bool)
    all_planes_toggled = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self._grid = grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(1)
        grid.setColumnStretch(1, 1)
        self._labels, self._ends = (QLabel(), QLabel()), (QWidget(), QWidget())
        self.class_slider, self.class_default = _slider_with_ends(
            grid, _CLASS, ui_text.CLASS_THRESHOLD, self._labels[0], self._ends[0]
        )
        grid.setRowMinimumHeight(_CLASS + 3, 4)
        self.background_slider, self.background_default = _slider_with_ends(
            grid, _BACKGROUND, ui_text.BACKGROUND_THRESHOLD, self._labels[1], self._ends[1]
        )
        self.all_planes = QCheckBox(ui_text.ALL_PLANES)
        self.all_planes.setToolTip(ui_text.ALL_PLANES_TIP)
        self.all_planes.hide()
        self.working = QLabel(ui_text.UPDATING_LABELS)
        row = QHBoxLayout()
        row.addWidget(self.all_planes, 1)
        row.addWidget(self.working)
        grid.addLayout(row, 7, 0, 1, 3)
        self.more = Fold(ui_text.MORE, self._rare_settings())
        grid.addWidget(self.more, 8, 0, 1, 3)

        self._defaults = Thresholds(0.0, 0.0)
        self._own: dict[str, float] = {}
        self._brief = self._roomy = False
        self._has_min_max = True
        self.class_slider.valueChanged.connect(self._on_changed)
        self.background_slider.valueChanged.connect(self._on_changed)
        self.min_max.toggled.connect(self._on_changed)
        self.own.toggled.connect(self._on_own_toggled)
        self.own_slider.valueChanged.connect(self._on_own_moved)
        self.own_class.currentIndexChanged.connect(self._show_own)
        self.class_default.clicked.connect(self._on_class_default)
        self.background_default.clicked.connect(self._on_background_default)
        self.score_maps.toggled.connect(self.score_maps_toggled)
        self.both_stages.toggled.connect(self.both_stages_toggled)
        self.all_planes.toggled.connect(self.all_planes_toggled)
        self.more.toggled.connect(self._on_room)
        self.set_working(working=False)
        self.set_available(available=False)

    def _rare_settings(self) -> QWidget:
        """Rare settings: a per-class threshold, min-max normalisation, score maps."""
        self.own = QCheckBox(ui_text.PER_CLASS)
        self.own.setToolTip(ui_text.PER_CLASS_TIP)
        self.own_class = ElidingComboBox(ui_text.PER_CLASS_CHOICE_TIP)
        self.own_class.setAccessibleName(ui_text.PER_CLASS_NAME)
        self.own_slider = _threshold_slider(ui_text.PER_CLASS_SLIDER)
        self.own_slider.setToolTip(ui_text.PER_CLASS_TIP)
        self.min_max = QCheckBox(ui_text.MIN_MAX)
        self.min_max.setToolTip(ui_text.MIN_MAX_TIP)
        self.score_maps = QCheckBox(ui_text.SCORE_MAPS)
        self.score_maps.setToolTip(ui_text.SCORE_MAPS_TIP)
        self.both_stages = QCheckBox(ui_text.BOTH_STAGES)
        self.both_stages.setToolTip(ui_text.BOTH_STAGES_TIP)
        inside = QWidget()
        grid = QGridLayout(inside)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(1)
        grid.setColumnStretch(1, 1)
        grid.addWidget(self.own, 0, 0)
        grid.addWidget(self.own_class, 0, 1)
        grid.addWidget(self.own_slider, 1, 0, 1, 2)
        grid.addWidget(self.min_max, 2, 0, 1, 2)
        row = QHBoxLayout()
        row.addWidget(QLabel(ui_text.AS_LAYERS))
        row.addWidget(self.score_maps)
        row.addSpacing(8)
        row.addWidget(self.both_stages)
        row.addStretch(1)
        grid.addLayout(row, 3, 0, 1, 2)
        return inside

    def value(self) -> Thresholds:
        """Return the thresholds of the sliders."""
        return Thresholds(
            self.class_slider.value(),
            self.background_slider.value(),
            self.min_max.isChecked() and self._has_min_max,
            dict(self._own),
        )

    def setValue(self, thresholds: Thresholds) -> None:
        """Move the sliders; emits `valueChanged` if the value differs.

        Values beyond the range of the result end at the ends of the sliders.
        """
        before = self.value()
        self._show(thresholds)
        if self.value() != before:
            self.valueChanged.emit(self.value())

    # ------------------------------------------------------------------ results

    def set_result(self, scores: ScoreMaps, values: Thresholds) -> None:
        """Show the ranges, classes and published defaults of a result.

        Parameters
        ----------
        scores : ScoreMaps
        values : Thresholds
            The initial values of the sliders.
        """
        defaults = self._defaults = scores.settings.thresholds
        self._has_min_max = scores.config.rule == "cliper"
        # The highest values that can make a difference; CLIPer's scores may be over 1.
        top = max(float(scores.stage().class_scores.max()), 0.01)
        pixel_top = max(top, 1.0 if self._has_min_max else 0.0)
        with signals_blocked(self):
            self.class_slider.setRange(0, max(top, defaults.class_threshold))
            for slider in (self.background_slider, self.own_slider):
                slider.setRange(0, max(pixel_top, defaults.background_threshold))
        self._show(values)
        self._set_classes([one.name for one in scores.classes])
        self.set_available(available=True)

    def _show(self, values: Thresholds) -> None:
        self._own = dict(values.per_class)
        with signals_blocked(self):
            self.class_slider.setValue(values.class_threshold)
            self.background_slider.setValue(values.background_threshold)
            self.min_max.setChecked(values.min_max)
        self._show_values()
        self._show_own()

    def _set_classes(self, names: list[str]) -> None:
        before = self.own_class.currentText()
        blocker = QSignalBlocker(self.own_class)
        self.own_class.clear()
        for name in names:
            self.own_class.offer(name)
        self.own_class.setCurrentIndex(max(self.own_class.findText(before), 0))
        blocker.unblock()
        self._show_own()

    def choose_class(self, name: str) -> None:
        """Choose the class of the per-class threshold; does nothing for an unknown class."""
        index = self.own_class.findText(name)
        if index >= 0:
            self.own_class.setCurrentIndex(index)

    def set_available(self, *, available: bool, why_not: str = ui_text.NO_RESULT) -> None:
        """Enable the sliders, or disable them with the reason as tooltip."""
        self.setEnabled(available)
        self.setToolTip("" if available else why_not)
        self.min_max.setVisible(self._has_min_max)

    def offer_planes(self, *, several: bool) -> None:
        """Offer thresholds for all planes if several have a result."""
        self.all_planes.setVisible(several)

    def set_working(self, *, working: bool) -> None:
        """Show that the labels of a large result are being updated."""
        self.working.setVisible(working)

    def lower(self, short: Shortfall) -> None:
        """Move the threshold that a class does not reach to just below its value."""
        value = max(math.floor(short.value * 100 - 1e-6) / 100, 0.0)
        if short.kind == "class":
            self.class_slider.setValue(value)
        elif short.name in self._own:
            self.choose_class(short.name)
            self.own_slider.setValue(value)
        else:
            self.background_slider.setValue(value)

    # ------------------------------------------------------------------ moved

    def set_brief(self, *, brief: bool) -> None:
        """Show each threshold in one row, because the room is needed above."""
        self._brief = brief
        self._fit()

    def set_roomy(self, roomy: bool) -> None:
        """Set whether the page is so high that all has room."""
        self._roomy = roomy
        self._on_room()

    def _on_room(self, _changed: object = None) -> None:
        self._fit()
        self.cramped_changed.emit(self.more.is_open and not self._roomy)

    def _fit(self) -> None:
        """Show each threshold in one row, without the words at its ends, if room is needed."""
        brief = (self.more.is_open or self._brief) and not self._roomy
        for row, texts, slider, label, ends in zip(
            (_CLASS, _BACKGROUND),
            (ui_text.CLASS_THRESHOLD, ui_text.BACKGROUND_THRESHOLD),
            (self.class_slider, self.background_slider),
            self._labels,
            self._ends,
            strict=True,
        ):
            label.setText(texts.brief if brief else texts.label)
            ends.setVisible(not brief)
            self._grid.removeWidget(slider)
            if brief:
                self._grid.addWidget(slider, row, 1)
            else:
                self._grid.addWidget(slider, row + 1, 0, 1, 3)

    def _show_values(self) -> None:
        """Show the values of the sliders and the published values in tooltips."""
        for texts, slider, button, published in (
            (
                ui_text.CLASS_THRESHOLD,
                self.class_slider,
                self.class_default,
                self._defaults.class_threshold,
            ),
            (
                ui_text.BACKGROUND_THRESHOLD,
                self.background_slider,
                self.background_default,
                self._defaults.background_threshold,
            ),
        ):
            slider.setToolTip(ui_text.threshold_now(texts, slider.value(), published))
            button.setToolTip(ui_text.reset_tip(published))

    def _on_changed(self) -> None:
        self._show_values()
        self.valueChanged.emit(self.value())

    def _on_class_default(self) -> None:
        self.class_slider.setValue(self._defaults.class_threshold)

    def _on_background_default(self) -> None:
        self.background_slider.setValue(self._defaults.background_threshold)

    def _show_own(self) -> None:
        """Show the threshold of the chosen class, or the background threshold if it has none."""
        name = self.own_class.currentText()
        has_own = name in self._own
        with signals_blocked(self.own), signals_blocked(self.own_slider):
            self.own.setChecked(has_own)
            self.own_slider.setValue(self._own.get(name, self.background_slider.value()))
        self.own_slider.setVisible(has_own)

    def _on_own_toggled(self, wanted: bool) -> None:
        name = self.own_class.currentText()
        if wanted:
            self._own[name] = self.background_slider.value()
        else:
            self._own.pop(name, None)
        self._show_own()
        self._on_changed()

    def _on_own_moved(self, value: float) -> None:
        self._own[self.own_class.currentText()] = value
        self._on_changed()


def _slider_with_ends(
    grid: QGridLayout, row: int, texts: ThresholdTexts, label: QLabel, ends: QWidget
) -> tuple[LabelledSlider, QToolButton]:
    """Three rows: a name with a reset button, a slider, and the words at its ends (`ends`).

    `ThresholdPanel` may move the slider into the first row.
    """
    label.setText(texts.label)
    slider = _threshold_slider(texts.name)
    label.setBuddy(slider.bar)
    label.setToolTip(texts.tip)
    default = QToolButton()
    default.setText("\N{ANTICLOCKWISE OPEN CIRCLE ARROW}")
    default.setAutoRaise(True)
    default.setAccessibleName(ui_text.reset_name(texts.name))
    words = QHBoxLayout(ends)
    words.setContentsMargins(0, 0, 0, 0)
    low, high = QLabel(texts.low), QLabel(texts.high)
    for end in (low, high):
        set_tone(end, "muted")
    words.addWidget(low)
    words.addStretch(1)
    words.addWidget(high)
    grid.addWidget(label, row, 0)
    grid.addWidget(default, row, 2)
    grid.addWidget(slider, row + 1, 0, 1, 3)
    grid.addWidget(ends, row + 2, 0, 1, 3)
    return slider, default


def _threshold_slider(name: str) -> LabelledSlider:
    slider = LabelledSlider(name)
    slider.setMinimumWidth(80)
    return slider
