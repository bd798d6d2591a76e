"""Keep garbage collection short in a window that has loaded PyTorch.

A full collection visits every object of the process and stops the window meanwhile: for half a
second with PyTorch's modules. napari collects whenever a layer is removed.
"""

from __future__ import annotations

import gc
from typing import Any

from napari.viewer import Viewer
from qtpy.QtCore import QTimer


def set_aside() -> None:
    """Let collections pass over all objects that there are now, such as those of modules.

    Any thread may call it: nothing is collected, and so no Qt object is deleted in another thread.
    """
    gc.freeze()


def free_removed_layers(viewer: Viewer) -> None:
    """Let the memory of a removed layer become free, even if the layer was set aside.

    Has an effect once for each viewer.
    """
    viewer.layers.events.removing.connect(_on_removing)


def _on_removing(event: Any) -> None:
    layer = event.source[event.index]
    if not any(one is layer for one in gc.get_objects()):  # they are those that are not set aside
        gc.unfreeze()
        QTimer.singleShot(0, _collect_and_set_aside)  # when nothing refers to the layer any more


def _collect_and_set_aside() -> None:
    gc.collect()
    set_aside()
