"""A slider for numbers with decimals that keys move too."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from superqt import QDoubleSlider, QLabeledDoubleSlider

_STEPS = {
    Qt.Key.Key_Left: -1,
    Qt.Key.Key_Down: -1,
    Qt.Key.Key_Right: 1,
    Qt.Key.Key_Up: 1,
}
_PAGES = {Qt.Key.Key_PageDown: -1, Qt.Key.Key_PageUp: 1}


class LabelledSlider(QLabeledDoubleSlider):
    """A horizontal slider from 0 to 1 with its value, in steps of 0.01.

    superqt's sliders hear no keys; here arrows, Page Up, Page Down, Home and End move it. `bar` is
    the part that has the keyboard, as the buddy of a label needs it.

    Parameters
    ----------
    name : str
        The accessible name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setDecimals(2)
        self.setRange(0, 1)
        self.setSingleStep(0.01)
        self.setPageStep(0.1)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName(name)
        self.bar = self.findChild(QDoubleSlider)
        self.bar.setAccessibleName(name)
        self.bar.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Move the slider by keys."""
        if (
            watched is self.bar
            and isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and not event.modifiers() & _HELD
        ):
            value = self._moved(event.key())
            if value is not None:
                self.setValue(min(max(value, self.minimum()), self.maximum()))
                return True
        return bool(super().eventFilter(watched, event))

    def _moved(self, key: int) -> float | None:
        """The value after a key; None for other keys."""
        if key in _STEPS:
            return float(self.value() + _STEPS[key] * self.singleStep())
        if key in _PAGES:
            return float(self.value() + _PAGES[key] * self.pageStep())
        ends = {Qt.Key.Key_Home: self.minimum(), Qt.Key.Key_End: self.maximum()}
        return ends.get(key)


_HELD = (
    Qt.KeyboardModifier.ControlModifier
    | Qt.KeyboardModifier.AltModifier
    | Qt.KeyboardModifier.ShiftModifier
    | Qt.KeyboardModifier.MetaModifier
)
