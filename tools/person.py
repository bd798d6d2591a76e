"""A person at the window: real mouse and keyboard events, counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import QEventLoop, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QCheckBox, QLineEdit, QWidget
from superqt import QDoubleSlider, QLabeledDoubleSlider

_NONE = Qt.KeyboardModifier.NoModifier
_TABS = 60  # more than any page has controls
PATIENCE = 180_000  # milliseconds to wait for anything: PyTorch is imported on a busy machine


def wait(until: Callable[[], object] | int) -> None:
    """Process events for some milliseconds, or until a condition is true.

    Raises
    ------
    TimeoutError
        If it does not become true.
    """
    loop, look, end = QEventLoop(), QTimer(), QTimer()
    if isinstance(until, int):
        QTimer.singleShot(until, loop.quit)
        loop.exec()
        return
    look.timeout.connect(lambda: loop.quit() if until() else None)
    look.start(10)
    end.setSingleShot(True)
    end.timeout.connect(loop.quit)
    end.start(PATIENCE)
    loop.exec()
    if not until():
        raise TimeoutError(f"Waited {PATIENCE / 1000:.0f} s for {until}.")


class Person:
    """Clicks and types in a window; `clicks` and `keys` are the counts.

    Parameters
    ----------
    viewer : napari.Viewer
        Shown on the screen.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.clicks = 0
        self.keys = 0

    # ------------------------------------------------------------------ waiting

    wait = staticmethod(wait)

    def take_keyboard(self) -> None:
        """Wait until the window has the keyboard focus, which shortcuts need."""
        window = self._window()

        def active() -> bool:
            window.activateWindow()
            return bool(window.isActiveWindow())

        self.wait(active)

    # ------------------------------------------------------------------ widgets

    def click(self, widget: QWidget) -> None:
        """Click a widget that is completely visible and enabled.

        Raises
        ------
        ValueError
            If it is hidden, cut off or disabled.
        """
        if not widget.isVisible() or not widget.isEnabled():
            raise ValueError(f"{widget} cannot be clicked: {widget.toolTip()}")
        if widget.visibleRegion().boundingRect().size() != widget.size():
            raise ValueError(f"{widget} is out of sight; a person would have to scroll.")
        box = isinstance(widget, QCheckBox)  # only its box and text react to a click
        at = QPoint(8, widget.height() // 2) if box else widget.rect().center()
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=at)
        self.clicks += 1

    def slide(self, slider: QLabeledDoubleSlider, value: float) -> None:
        """Drag the handle of a slider close to a value; counts as one click."""
        bar = slider.findChild(QDoubleSlider)
        least, most, room = slider.minimum(), slider.maximum(), bar.width() - 16
        start, end = (
            QPoint(round(8 + (at - least) / (most - least) * room), bar.height() // 2)
            for at in (slider.value(), value)
        )
        QTest.mousePress(bar, Qt.MouseButton.LeftButton, pos=start)
        QTest.mouseMove(bar, end)
        QTest.mouseRelease(bar, Qt.MouseButton.LeftButton, pos=end)
        self.clicks += 1

    def type(self, text: str, widget: QWidget | None = None) -> None:
        """Type into the widget that has the focus."""
        QTest.keyClicks(widget or QApplication.focusWidget() or self._window(), text)
        self.keys += len(text)

    def press(
        self,
        key: Qt.Key,
        modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
        widget: QWidget | None = None,
    ) -> None:
        """Press one key, with a modifier held."""
        QTest.keyClick(widget or QApplication.focusWidget() or self._window(), key, modifier)
        self.keys += 1

    # ------------------------------------------------------------------ keys alone

    def key(self, key: Qt.Key | str, modifier: Qt.KeyboardModifier = _NONE) -> None:
        """Press one key; the window system decides where it goes."""
        if QGuiApplication.focusWindow() is None:  # no window manager gave it back after a dialog
            self.take_keyboard()
        QTest.keyClick(QGuiApplication.focusWindow(), key, modifier)
        self.keys += 1

    def write(self, text: str) -> None:
        """Type a text on the keyboard."""
        for letter in text:
            self.key(letter)

    def tab_to(self, widget: QWidget) -> None:
        """Press Tab until a widget has the focus.

        Raises
        ------
        ValueError
            If Tab does not reach it, or if it is then out of sight.
        """
        for _ in range(_TABS):
            focused = QApplication.focusWidget()
            if focused is not None and (focused is widget or widget.isAncestorOf(focused)):
                break
            self.key(Qt.Key.Key_Tab)
        else:
            raise ValueError(f"Tab does not reach {widget}: {widget.toolTip()}")
        if widget.visibleRegion().boundingRect().size() != widget.size():
            raise ValueError(f"{widget} has the keyboard out of sight.")

    def answer_by_keys(self, text: str) -> None:
        """Type a name into the file dialog that opens next, and press Enter."""

        def look() -> None:
            dialog = QApplication.activeModalWidget()
            if dialog is None or not dialog.isActiveWindow():
                if dialog is not None:
                    dialog.activateWindow()  # as a window manager does
                QTimer.singleShot(50, look)
                return
            self.key(Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
            self.write(text)
            self.key(Qt.Key.Key_Return)

        QTimer.singleShot(50, look)

    def answer(self, text: str) -> None:
        """Type a name into the file dialog that opens next, and press Enter."""

        def look() -> None:
            dialog = QApplication.activeModalWidget()
            fields = [] if dialog is None else dialog.findChildren(QLineEdit)
            if not fields:
                QTimer.singleShot(50, look)
                return
            fields[0].selectAll()
            self.type(text, fields[0])
            self.press(Qt.Key.Key_Return, widget=fields[0])

        QTimer.singleShot(50, look)

    # ------------------------------------------------------------------ the image

    def click_image(self, pixel: Sequence[float]) -> None:
        """Click a pixel of the image."""
        QTest.mouseClick(self._canvas(), Qt.MouseButton.LeftButton, pos=self._at(pixel))
        self.clicks += 1
        self.wait(100)

    def drag(self, pixels: Sequence[Sequence[float]]) -> None:
        """Drag from the first pixel over the others to the last; counts as one click."""
        canvas, first, *others = self._canvas(), *map(self._at, pixels)
        QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=first)
        for position in others:
            QTest.mouseMove(canvas, position)
            self.wait(20)
        QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=self._at(pixels[-1]))
        self.clicks += 1
        self.wait(100)

    def _window(self) -> Any:
        return self.viewer.window._qt_window  # noqa: SLF001 - napari has no public way to it

    def _canvas(self) -> QWidget:
        return self.viewer.window._qt_viewer.canvas.native  # noqa: SLF001 - as above

    def _at(self, pixel: Sequence[float]) -> QPoint:
        """Where on the canvas a pixel is drawn."""
        camera, canvas = self.viewer.scene.camera, self._canvas()
        row, column = (
            (value - centre) * camera.zoom
            for value, centre in zip(pixel, camera.center[-2:], strict=True)
        )
        ratio = canvas.devicePixelRatioF()
        centre = QPointF(canvas.width() / 2, canvas.height() / 2)
        return (centre + QPointF(column / ratio, row / ratio)).toPoint()
