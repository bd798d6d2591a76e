"""One place for several widgets: it shows the first of those that want to be seen."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

_BY_HAND = Qt.WidgetAttribute.WA_WState_ExplicitShowHide
_SHOWN_OR_HIDDEN = (QEvent.Type.ShowToParent, QEvent.Type.HideToParent)


class FirstVisible(QWidget):
    """Shows the first widget that is not hidden by `setVisible` or `hide`; the others wait."""

    def __init__(self) -> None:
        super().__init__()
        self._places: list[tuple[QWidget, QWidget]] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)

    def add(self, widget: QWidget) -> None:
        """Add a widget that comes after the others."""
        place = QWidget()
        inside = QVBoxLayout(place)
        inside.setContentsMargins(0, 0, 0, 0)
        hidden = widget.isHidden() and widget.testAttribute(_BY_HAND)
        inside.addWidget(widget)
        widget.setVisible(not hidden)
        self._column.addWidget(place)
        self._places.append((widget, place))
        widget.installEventFilter(self)
        self._update()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Show another widget if one was shown or hidden."""
        if event is not None and event.type() in _SHOWN_OR_HIDDEN:
            self._update()
        return bool(super().eventFilter(watched, event))

    def _update(self) -> None:
        wanted = [place for widget, place in self._places if not widget.isHidden()]
        for _, place in self._places:
            place.setVisible(place in wanted[:1])
        if self.parentWidget() is not None or not wanted:  # it would become a window
            self.setVisible(bool(wanted))  # without the spacing of a layout around it


def first_visible(*widgets: QWidget) -> FirstVisible:
    """Return a place for widgets, the most important first."""
    place = FirstVisible()
    for widget in widgets:
        place.add(widget)
    return place
