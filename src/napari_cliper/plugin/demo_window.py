"""The demo in a window: a scene, the dock, and a run with the included model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, cast

import napari
from qtpy.QtCore import Qt, QTimer

from ..demo.scenes import Scene
from ..io.files import FileError, whole_files
from . import ui_text
from .dock import CliperWidget

SIZE = (1280, 860)  # pixels of the window
SETTLE = 400  # milliseconds until everything is drawn


def show_demo(scene: Scene, screenshot: Path | None) -> str:
    """Open napari with a scene and the dock, and run.

    Parameters
    ----------
    scene : Scene
    screenshot : Path, optional
        Save the window there after the result, and quit.

    Returns
    -------
    str
        The error message, "" for none; known only with `screenshot`.
    """
    viewer = napari.Viewer(title=ui_text.DEMO_TITLE)
    viewer.window.resize(*SIZE)
    _, added = viewer.window.add_plugin_dock_widget("napari-cliper", ui_text.DOCK)
    dock = cast("CliperWidget", added)
    problem: list[str] = []
    start = partial(_start, viewer, dock, scene, screenshot, problem)
    dock.weights.looked_up.connect(start, Qt.ConnectionType.SingleShotConnection)
    napari.run()
    return "\n".join(problem)


def _start(
    viewer: napari.Viewer,
    dock: CliperWidget,
    scene: Scene,
    screenshot: Path | None,
    problem: list[str],
) -> None:
    """Run as soon as the weights have been looked up."""
    dock.example.show(scene)
    if screenshot is None:
        return
    if dock.job is None:
        problem.append(dock.status_panel.message.text())
        viewer.close()
        return
    dock.job.failed.connect(problem.append)
    dock.job.finished.connect(
        lambda: QTimer.singleShot(SETTLE, lambda: _save_and_close(viewer, screenshot, problem))
    )


def _save_and_close(viewer: napari.Viewer, screenshot: Path, problem: list[str]) -> None:
    window: Any = viewer.window
    try:
        with whole_files(screenshot.parent) as folder:
            window.screenshot(str(folder / screenshot.name), flash=False, canvas_only=False)
    except FileError as error:
        problem.append(str(error))
    viewer.close()
