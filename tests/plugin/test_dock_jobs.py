"""Jobs of the dock: what may go wrong with them or happen meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
from dock_views import labels_of, message, outputs
from napari.utils.notifications import notification_manager

from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.segmentation import SegmentationConfig, Segmenter


@pytest.mark.one_binding
def test_run_says_why_it_is_grey(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    dock = CliperWidget(viewer)
    qtbot.addWidget(dock)
    assert not dock.run_panel.run_button.isEnabled()
    assert "image" in dock.run_panel.run_button.toolTip()
    viewer.add_image(np.zeros((32, 32)))
    assert "word" in dock.run_panel.run_button.toolTip()
    dock.close_down()


@pytest.mark.one_binding
def test_an_image_that_cannot_be_segmented_is_told(dock, run):
    dock.viewer.layers.clear()
    dock.viewer.add_image(np.full((64, 64), 3, np.uint8), name="flat")
    run(dock)
    assert "nothing to segment" in message(dock)
    assert dock.run_panel.run_button.isEnabled()


@pytest.mark.one_binding
def test_an_out_of_memory_error_reaches_the_person(dock, run, monkeypatch):
    def fail(*_args, **_kwargs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("napari_cliper.segmentation.methods.cliper.Cliper.read_each", fail)
    run(dock)
    assert "smaller shorter side" in message(dock)
    assert dock.run_panel.run_button.isEnabled()
    monkeypatch.undo()
    run(dock)
    assert dock.shown is not None


def test_cancel_ends_every_stage_and_leaves_everything_as_it_was(dock, run):
    stages = []
    dock.main_job.progressed.connect(lambda where: stages.append(where.stage))
    run(dock)
    assert len(set(stages)) >= 4
    for stage in dict.fromkeys(stages):
        for layer in outputs(dock.viewer):
            dock.viewer.layers.remove(layer)
        dock.session.unload()  # so that every stage comes again
        dock.session.forget()
        layers, shown = list(dock.viewer.layers), dock.shown
        requested = []

        def cancel(where, stage=stage, requested=requested):
            if where.stage == stage and not requested:
                requested.append(where.stage)
                dock.cancel()

        dock.main_job.progressed.connect(cancel)
        run(dock)
        dock.main_job.progressed.disconnect(cancel)
        assert requested == [stage]
        assert list(dock.viewer.layers) == layers, stage
        assert dock.shown is shown
        assert "Cancelled" in message(dock)
        assert dock.run_panel.run_button.isEnabled()
    run(dock)
    assert len(outputs(dock.viewer)) == 1


@pytest.mark.one_binding
def test_deleting_the_image_during_a_run_drops_the_result(dock, qtbot):
    dock.run()
    dock.viewer.layers.clear()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert len(dock.viewer.layers) == 0
    assert "removed" in message(dock)


@pytest.mark.one_binding
def test_deleting_the_output_during_a_run_makes_a_new_one(dock, run, qtbot):
    run(dock)
    dock.run()
    dock.viewer.layers.remove(labels_of(dock))
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert labels_of(dock) in dock.viewer.layers


@pytest.mark.one_binding
def test_running_twice_at_once_is_one_run(dock, qtbot):
    dock.run()
    job = dock.job
    dock.run()
    assert dock.job is job
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert len(outputs(dock.viewer)) == 1


@pytest.mark.one_binding
def test_two_docks_run_at_the_same_time(dock, make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    other = CliperWidget(viewer)
    qtbot.addWidget(other)
    viewer.add_image(make_scene((96, 128), 1_000_009).image, name="other")
    other.engine_panel.setValue(SegmentationConfig(model="demo", device="cpu"))
    qtbot.waitUntil(lambda: other.weights.idle, timeout=20_000)
    other.classes_panel.add_words("yeast, nucleus")
    dock.run()
    other.run()
    qtbot.waitUntil(lambda: dock.job is None and other.job is None, timeout=60_000)
    assert len(outputs(dock.viewer)) == len(outputs(viewer)) == 1
    other.close_down()


def test_closing_during_a_run_ends_the_job(make_napari_viewer, qtbot, monkeypatch):
    viewer = make_napari_viewer()
    dock = CliperWidget(viewer)
    viewer.window.add_dock_widget(dock)
    viewer.add_image(make_scene((96, 128), 1_000_009).image)
    dock.engine_panel.setValue(SegmentationConfig(model="demo", device="cpu"))
    qtbot.waitUntil(lambda: dock.weights.idle, timeout=20_000)
    dock.classes_panel.add_words("yeast, nucleus")
    ended = []
    monkeypatch.setattr(Segmenter, "score", lambda *_args, **_kwargs: ended.append("scored"))
    dock.run()
    dock.close_down()
    assert ended == []  # the window does not wait for all of the run
    assert outputs(viewer) == []


def test_an_error_is_a_notification_where_the_dock_is_not_seen(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    dock = CliperWidget(viewer)
    docked = viewer.window.add_dock_widget(dock)
    told = []
    notification_manager.notification_ready.connect(told.append)
    try:
        qtbot.waitUntil(dock.isVisible)
        dock.main_job.say_error("No image.")
        assert told == []  # it is read in the dock
        docked.hide()
        dock.main_job.say_error("No word.")
        assert [(one.message, str(one.severity)) for one in told] == [("No word.", "error")]
    finally:
        notification_manager.notification_ready.disconnect(told.append)
        dock.close_down()


@pytest.mark.one_binding
def test_idle_says_when_everything_is_done_and_saved(dock, run, qtbot):
    qtbot.waitUntil(lambda: dock.idle, timeout=20_000)
    dock.run()
    assert not dock.idle
    qtbot.waitUntil(lambda: dock.idle, timeout=60_000)
    dock.annotation_controller.accept()
    assert not dock.idle
    qtbot.waitUntil(lambda: dock.idle, timeout=20_000)
    assert not dock.autosave._unsaved
    assert dock.annotation_panel.done.value() == 100
    run(dock)
