"""The mouse on the canvas of a dock's viewer."""

from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest


def canvas_of(dock):
    return dock.viewer.window._qt_viewer.canvas.native


def at(dock, pixel):
    """Where on the canvas a pixel of the image is drawn."""
    camera, canvas = dock.viewer.scene.camera, canvas_of(dock)
    row, column = (
        (value - centre) * camera.zoom / canvas.devicePixelRatioF()
        for value, centre in zip(pixel, camera.center[-2:], strict=True)
    )
    middle = QPointF(canvas.width() / 2, canvas.height() / 2)
    return (middle + QPointF(column, row)).toPoint()


def drag_over(dock, start, end):
    """Drag with the left button from one pixel of the image to another."""
    first, last = at(dock, start), at(dock, end)
    middle = QPoint((first.x() + last.x()) // 2, (first.y() + last.y()) // 2)
    QTest.mousePress(canvas_of(dock), Qt.MouseButton.LeftButton, pos=first)
    for place in (middle, last):
        QTest.mouseMove(canvas_of(dock), place)
    QTest.mouseRelease(canvas_of(dock), Qt.MouseButton.LeftButton, pos=last)
