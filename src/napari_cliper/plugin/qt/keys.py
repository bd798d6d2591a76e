"""Key bindings of the viewer, for any active layer, and of single layers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from napari.layers import Layer
from napari.viewer import Viewer
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QLineEdit, QWidget

Keys = Mapping[str, Callable[[], None]]
"""Callbacks by key, in napari's notation."""


class ViewerKeys:
    """Keys that work whichever layer is active, until `clear`.

    Parameters
    ----------
    viewer : Viewer
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._bound: list[str] = []

    def bind(self, keys: Keys) -> None:
        """Bind keys, replacing earlier bindings."""
        for key, press in keys.items():
            self._viewer.bind_key(key, _pressed(press), overwrite=True)
            self._bound.append(key)

    def clear(self) -> None:
        """Unbind the keys."""
        for key in self._bound:
            self._viewer.bind_key(key, None)
        self._bound.clear()


def bind(layer: Layer, keys: Keys | None) -> None:
    """Bind keys for a layer; they work while it is active."""
    for key, press in (keys or {}).items():
        layer.bind_key(key, _pressed(press))


def _pressed(press: Callable[[], None]) -> Callable[[Any], None]:
    """A callback with a `__name__`, which napari needs and a partial lacks."""

    def pressed(_owner: Any) -> None:
        press()

    return pressed


class FieldKeys(QObject):
    """Passes Alt with a letter from the text fields of a widget on to the viewer.

    Else a field would insert the letter. On macOS, where Alt types characters, nothing is passed.
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        if sys.platform != "darwin":
            for field in widget.findChildren(QLineEdit):
                field.installEventFilter(self)

    def eventFilter(self, field: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Leave the key to the parents of the field."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and event.modifiers() == Qt.KeyboardModifier.AltModifier
            and event.text().isprintable()
            and event.text()
        ):
            event.ignore()
            return True
        return super().eventFilter(field, event)
