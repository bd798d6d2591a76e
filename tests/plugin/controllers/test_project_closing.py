"""Whatever way a dock is closed, its project is saved."""

from __future__ import annotations

import pytest
from dock_views import message
from project_actions import full_disk, loaded, on_disk, painted
from qtpy.QtCore import QEvent
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QApplication

from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.segmentation import SegmentationConfig


@pytest.fixture
def in_window(make_napari_viewer, qtbot, pictures, tmp_path):
    """The dock with a project in a window that is seen."""
    viewer = make_napari_viewer(show=True)
    dock = CliperWidget(viewer)
    viewer.window.add_dock_widget(dock, name="CLIPer segmentation")
    qtbot.waitUntil(lambda: dock.weights.idle, timeout=20_000)
    dock.engine_panel.setValue(SegmentationConfig(model="demo", device="cpu"))
    dock.project_controller.create(tmp_path / "project", pictures)
    loaded(dock, qtbot, "scene 1")
    yield dock
    dock.close_down()


@pytest.mark.parametrize("floating", [False, True])
def test_closing_the_viewer_saves_and_ends_the_dock(in_window, qtbot, tmp_path, floating):
    in_window.parentWidget().setFloating(floating)
    painted(in_window, qtbot)
    in_window.viewer.close()
    assert on_disk(tmp_path)
    assert in_window.closed


def test_taking_the_dock_out_saves_and_ends_it(in_window, qtbot, tmp_path):
    painted(in_window, qtbot)
    in_window.viewer.window.remove_dock_widget(in_window)
    assert on_disk(tmp_path)
    assert in_window.closed


def test_the_cross_saves_and_asks_where_that_fails(in_window, qtbot, tmp_path, monkeypatch):
    painted(in_window, qtbot)
    window = in_window.window()
    requested = []
    monkeypatch.setattr(CliperWidget, "_ask_to_close", lambda dock: requested.append(message(dock)))
    with monkeypatch.context() as patched:
        patched.setattr("tifffile.imwrite", full_disk)
        QApplication.sendEvent(window.windowHandle(), QCloseEvent())
    assert "disk is full" in requested[0]
    assert window.isVisible()
    assert not in_window.closed
    assert not in_window.eventFilter(window, QCloseEvent())
    assert on_disk(tmp_path)
    in_window.eventFilter(window, QEvent(QEvent.Type.DeferredDelete))
    assert in_window.closed
