"""A user's first minute in a process of its own: a real window, and PyTorch not loaded yet.

``python fresh_window.py download`` and ``python fresh_window.py cancel`` write what the user saw
as JSON; the first one needs the address of a hub in the environment. It is a process of its own
because PyTorch beside a live OpenGL canvas is what may crash.
"""

import faulthandler
import gc
import json
import os
import sys
import time
import weakref

import napari
import numpy as np
from huggingface_hub import constants
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import REGISTRY, SegmentationConfig

DINO = REGISTRY["dino-vits8"].name


class Window:
    """napari with a scene and the dock, and how long the window stood still at most."""

    def __init__(self):
        self.viewer = napari.Viewer()
        self.viewer.add_image(make_scene((96, 128), 1_000_008).image, name="scene")
        self.application = QApplication.instance()
        self.for_seconds(1)  # the canvas is drawn
        assert "torch" not in sys.modules
        _, self.dock = self.viewer.window.add_plugin_dock_widget(
            "napari-cliper", "CLIPer segmentation"
        )
        self.stages = []
        self.dock.main_job.progressed.connect(self.see_stage)  # it may end before the next tick
        self.engine_there = 0.0  # when the engine, and PyTorch with it, had been imported
        self.longest_block, self.ticked = 0.0, time.monotonic()
        self.timer = QTimer()
        self.timer.timeout.connect(self.tick)

    def tick(self):
        now = time.monotonic()
        self.longest_block = max(self.longest_block, now - self.ticked)
        self.ticked = now
        if not self.engine_there and engine_is_imported():
            self.engine_there = now
        self.see_stage()

    def see_stage(self, _progress=None):
        stage = self.dock.status_panel.stage.text()
        if stage and stage not in self.stages:
            self.stages.append(stage)

    def watch(self):
        self.ticked = time.monotonic()
        self.timer.start(5)

    def for_seconds(self, seconds):
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def until(self, true, seconds=60):
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                faulthandler.dump_traceback()  # of all threads: what is waited for
                panel = self.dock.status_panel
                raise TimeoutError(f"stage {panel.stage.text()!r}, {panel.message.text()!r}")
            self.application.processEvents()
            time.sleep(0.001)

    @property
    def message(self):
        return self.dock.status_panel.message.text()


def engine_is_imported():
    return hasattr(sys.modules.get("napari_cliper.segmentation.segmenter"), "Segmenter")


def download(window):
    """Press Download before anything else, without a network and again with one."""
    dock = window.dock
    dock.engine_panel.setValue(
        SegmentationConfig(model="demo", device="cpu", refiner="foundation", foundation_model=DINO)
    )
    window.until(lambda: dock.engine_panel.lines)
    seen = []
    for url in ("http://127.0.0.1:9", os.environ["HUB"]):
        constants.ENDPOINT = url  # as HF_ENDPOINT does when the library is imported
        constants.HUGGINGFACE_CO_URL_TEMPLATE = url + "/{repo_id}/resolve/{revision}/{filename}"
        dock.engine_panel.lines[0].button.click()
        window.until(lambda: dock.job is None)
        window.until(lambda: dock.weights.idle)
        seen.append((window.message, len(dock.engine_panel.lines)))
    return {"tries": seen}


def cancel(window):
    """Press Run, Cancel it while PyTorch is imported, and press Run again at once."""
    dock, panel = window.dock, window.dock.run_panel
    spare = weakref.ref(window.viewer.add_image(np.zeros((8, 8)), name="spare"))
    window.viewer.layers.selection.active = window.viewer.layers["scene"]
    dock.engine_panel.setValue(SegmentationConfig(model="demo", device="cpu"))
    dock.classes_panel.add_words("pollen grain, red blood cell, bacterium, fibre")
    window.until(panel.run_button.isEnabled)
    clicked = time.monotonic()
    panel.run_button.click()
    window.until(lambda: "PyTorch" in dock.status_panel.stage.text())
    dock.status_panel.cancel_button.click()
    window.until(panel.run_button.isEnabled)
    seen = {"cancelled": window.message, "imported": engine_is_imported()}
    seen["waiting"] = os.environ.get("OMP_WAIT_POLICY")
    panel.run_button.click()
    window.until(lambda: "PyTorch" in dock.status_panel.stage.text())
    window.until(lambda: dock.job is None)
    seen["importing"] = window.engine_there - clicked
    window.for_seconds(0.5)  # a late result would come
    seen["examined"] = [len(gc.get_objects()) / gc.get_freeze_count()]
    window.viewer.layers.remove("spare")
    window.for_seconds(0.2)
    seen["freed"] = spare() is None
    seen["examined"].append(len(gc.get_objects()) / gc.get_freeze_count())
    seen["layers"] = [layer.name for layer in window.viewer.layers]
    return seen


def main():
    window = Window()
    window.watch()
    seen = {"download": download, "cancel": cancel}[sys.argv[1]](window)
    window.timer.stop()
    seen |= {"message": window.message, "stages": window.stages, "block": window.longest_block}
    window.viewer.close()
    window.application.processEvents()
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
