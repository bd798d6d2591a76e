"""How long the dock takes to open in a running napari: seconds, as JSON."""

from __future__ import annotations

import json
import time

import napari
from qtpy.QtWidgets import QApplication

viewer = napari.Viewer(show=False)
QApplication.processEvents()
start = time.perf_counter()
viewer.window.add_plugin_dock_widget("napari-cliper", "CLIPer segmentation")
QApplication.processEvents()
print(json.dumps(time.perf_counter() - start))
viewer.close()
