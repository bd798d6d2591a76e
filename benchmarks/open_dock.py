"""Shared by the benchmarks of the window: napari with the dock, and waiting for its jobs."""

from __future__ import annotations

import time

import napari
from qtpy.QtWidgets import QApplication

from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.plugin.pytorch_loading import load_pytorch, load_triton_apart
from napari_cliper.segmentation import SegmentationConfig

WORDS = "pollen grain, red blood cell, bacterium, fibre, crystal, bubble"


def open_dock(*, refiner: str | None = None, show: bool = True) -> CliperWidget:
    """Open napari with the dock, the demo model on the CPU, and six words."""
    viewer = napari.Viewer(show=show)
    dock = CliperWidget(viewer)
    viewer.window.add_dock_widget(dock)
    load_triton_apart()  # as the dock does, and not earlier: garbage collections then pass over
    load_pytorch()  # the same objects as in use
    dock.engine_panel.setValue(SegmentationConfig(model="demo", refiner=refiner, device="cpu"))
    dock.classes_panel.add_words(WORDS)
    return dock


def wait(seconds: float) -> None:
    """Process events for a while."""
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        QApplication.processEvents()
        time.sleep(0.001)


def rest(dock: CliperWidget, seconds: float) -> None:
    """Process events until no job has run for some seconds."""
    quiet = time.perf_counter()
    while time.perf_counter() - quiet < seconds:
        wait(0.001)
        if not dock.idle:
            quiet = time.perf_counter()
