"""Open an annotation project in napari, by its project file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari import current_viewer
from qtpy.QtCore import QTimer

from ...annotation.project.image_list import FILE
from .. import ui_text

LayerData = tuple[Any, ...]


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerData]] | None:
    """Return the reader of a project; None for other paths.

    Parameters
    ----------
    path : str or list of str
        The opened path or paths.
    """
    if isinstance(path, list) or not Path(path).match(FILE):
        return None
    return read_project


def read_project(path: str) -> list[LayerData]:
    """Open the dock with a project; the dock adds the layers.

    Parameters
    ----------
    path : str
        The project's file.
    """
    viewer = current_viewer()
    if viewer is not None:
        # After napari has finished opening; it would treat layers that are added now as its own.
        QTimer.singleShot(0, partial(_open_in_dock, viewer, path))
    return [(None,)]


def _open_in_dock(viewer: Any, path: str) -> None:
    _, dock = viewer.window.add_plugin_dock_widget("napari-cliper", ui_text.DOCK)
    dock.project_controller.open(Path(path))
