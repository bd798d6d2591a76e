"""A strip of the planes of a stack: which are not run, predicted and decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qtpy.QtCore import QEvent, QPoint, QRect, QSize, Qt, Signal
from qtpy.QtGui import QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from .. import ui_text

PlaneState = Literal["open", "predicted", "decided"]
"""Not run, predicted, or without an open pixel in the annotation."""

HEIGHT = 12  # pixels
_HEIGHTS: dict[PlaneState, int] = {"open": 2, "predicted": HEIGHT // 2, "decided": HEIGHT}


@dataclass(frozen=True)
class Planes:
    """The planes along one axis of a stack.

    Parameters
    ----------
    axis : str
        Name of the axis.
    states : tuple of str
        See `PlaneState`.
    current : int
        The plane on the screen; -1 for none.
    """

    axis: str = ""
    states: tuple[PlaneState, ...] = ()
    current: int = -1


class PlaneStrip(QWidget):
    """A bar for each plane: low if it was not run, half if it is predicted, full if it is decided.

    The value is the `Planes`. `chosen` carries the index of a plane that the user clicks.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._planes = Planes()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(ui_text.STRIP_NAME)
        self.setValue(Planes())

    def value(self) -> Planes:
        """Return the planes that are shown."""
        return self._planes

    def setValue(self, planes: Planes) -> None:
        """Show planes; hidden if there is only one."""
        self._planes = planes
        counts = {ui_text.PLANE_STATES[state]: planes.states.count(state) for state in _HEIGHTS}
        text = ui_text.strip_text(axis=planes.axis, counts=counts)
        self.setAccessibleDescription(text)
        self.setToolTip(text)
        self.setVisible(len(planes.states) > 1)
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """The height of the bars."""
        return QSize(100, HEIGHT)

    def plane_at(self, x: int) -> int:
        """Return the plane at a horizontal position in pixels."""
        count = len(self._planes.states)
        return min(max(x * count // max(self.width(), 1), 0), count - 1)

    def _bar(self, index: int, height: int) -> QRect:
        count, width = len(self._planes.states), self.width()
        left, right = index * width // count, (index + 1) * width // count
        gap = 1 if width // count > 3 else 0
        return QRect(left, HEIGHT - height, max(right - left - gap, 1), height)

    # ------------------------------------------------------------------ Qt's events

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the bars, and a frame around the current plane."""
        painter, palette = QPainter(self), self.palette()
        colour = palette.color(QPalette.ColorRole.WindowText)
        low = palette.color(QPalette.ColorRole.WindowText)
        low.setAlphaF(0.5)
        for index, state in enumerate(self._planes.states):
            painter.fillRect(
                self._bar(index, _HEIGHTS[state]), colour if state == "decided" else low
            )
        if self._planes.current >= 0:
            painter.setPen(colour)
            painter.drawRect(self._bar(self._planes.current, HEIGHT).adjusted(0, 0, -1, -1))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Go to the plane that is clicked."""
        self.chosen.emit(self.plane_at(event.pos().x()))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Go to the plane before or after with the arrow keys."""
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()), 0)
        index = self._planes.current + step
        if step and 0 <= index < len(self._planes.states):
            self.chosen.emit(index)
        elif not step:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Tell which plane is under the mouse, and its state."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            index = self.plane_at(event.pos().x())
            text = ui_text.plane_state(
                axis=self._planes.axis,
                index=index,
                state=ui_text.PLANE_STATES[self._planes.states[index]],
            )
            QToolTip.showText(event.globalPos() + QPoint(0, HEIGHT), text, self)
            return True
        return bool(super().event(event))


def states_of(
    count: int, predicted: Sequence[int], decided: Sequence[bool]
) -> tuple[PlaneState, ...]:
    """Return the state of each of `count` planes."""
    known = set(predicted)
    return tuple(
        "decided" if done else "predicted" if index in known else "open"
        for index, done in zip(range(count), decided, strict=True)
    )
