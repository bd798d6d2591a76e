"""All planes of a stack: run, thresholds, Accept and the strip, in a real window."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_cliper.annotation.edit_mask import PAINTED
from napari_cliper.annotation.plane_accept import PlaneAccept
from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin.panels.plane_strip import PlaneStrip

pytestmark = pytest.mark.one_binding

SCENES = [make_scene((64, 80), 1_000_008 + number).image for number in range(4)]


@pytest.fixture
def stack(dock):
    """The dock beside a stack of four scenes, of which the third is blank."""
    dock.viewer.layers.clear()
    planes = np.stack([SCENES[0], SCENES[1], np.full_like(SCENES[0], 90), SCENES[2]])
    dock.viewer.add_image(
        planes, name="stack", rgb=True, axis_labels=("z", "y", "x"), scale=(2, 1, 1)
    )
    dock.viewer.dims.set_point(0, 2)  # plane 1
    return dock


def run_all(dock, qtbot):
    (entry,) = [one for one in dock.all_planes.entries() if "z" in one.text]
    assert entry.text == "All planes of z (4)"
    dock.run_panel.menu.aboutToShow.emit()
    (action,) = [one for one in dock.run_panel.menu.actions() if one.text() == entry.text]
    action.trigger()
    assert dock.job is not None, dock.status_panel.message.text()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    settled(dock, qtbot)


def settled(dock, qtbot):
    qtbot.waitUntil(lambda: dock.idle, timeout=60_000)


def prediction(dock):
    return dock.viewer.layers["stack prediction"].data


def strip(dock) -> PlaneStrip:
    return dock.image_panel.strip


def test_all_planes_from_run_to_accept(stack, run, qtbot):
    dock, viewer = stack, stack.viewer
    assert strip(dock).isHidden() or set(strip(dock).value().states) == {"open"}
    active = viewer.layers["stack"]
    run_all(dock, qtbot)
    assert viewer.layers.selection.active is active  # not taken from what the user does
    message = dock.status_panel.message.text()
    assert message.startswith("3 planes run")
    assert "1 could not be run: z 2." in message
    assert viewer.dims.current_step[0] == 1
    assert strip(dock).value().states == ("predicted", "predicted", "open", "predicted")
    assert strip(dock).value().current == 1

    # each plane has what a run of it alone gives, and can be changed alone
    every = prediction(dock).copy()
    for z in (0, 3):
        viewer.dims.set_point(0, 2 * z)
        run(dock)
        np.testing.assert_array_equal(prediction(dock)[z], every[z])
    settled(dock, qtbot)
    slider = dock.threshold_panel.class_slider
    slider.setValue(slider.maximum())
    settled(dock, qtbot)
    assert not prediction(dock)[3].any()
    np.testing.assert_array_equal(prediction(dock)[:2], every[:2])

    # thresholds of all planes
    check = dock.threshold_panel.all_planes
    assert not check.isHidden()
    check.setChecked(True)
    settled(dock, qtbot)
    values = dock.threshold_panel.value()
    assert not np.array_equal(prediction(dock)[:2], every[:2])
    for kept in dock.result.kept:
        expected = kept.shown.outcome.scores.to_labels(values)
        np.testing.assert_array_equal(prediction(dock)[kept.shown.choice.plane], expected)
    slider.setValue(0.0)
    settled(dock, qtbot)
    assert all(prediction(dock)[z].any() for z in (0, 1, 3))
    # the same as each plane by itself at that threshold
    for z in (0, 1):
        viewer.dims.set_point(0, 2 * z)
        settled(dock, qtbot)
        assert dock.result.current.thresholds.class_threshold == 0
        np.testing.assert_array_equal(dock.result.seen().labels, prediction(dock)[z])

    # Accept all planes is one undo step, and keeps what is painted
    annotation = dock.annotation_controller.begin(viewer.layers["stack"], "stack")
    annotation.layer.data_setitem((np.array([0]), np.array([5]), np.array([6])), 9)
    settled(dock, qtbot)
    expected = prediction(dock).copy()
    dock.annotation_panel.accept_planes.trigger()
    settled(dock, qtbot)
    changed = np.count_nonzero(annotation.layer.data) - 1
    told = f"Accepted 3 planes: {changed:,} pixels changed."
    assert dock.status_panel.message.text() == told  # also after prototypes were learned
    assert annotation.layer.data[0, 5, 6] == 9
    expected[0, 5, 6] = 9
    np.testing.assert_array_equal(annotation.layer.data, expected)
    mask = annotation.edits.edit_mask
    assert mask[0, 5, 6] == 2
    assert (mask[[1, 3]] == 1).all()
    assert not mask[2].any()
    assert strip(dock).value().states == ("decided", "decided", "open", "decided")
    annotation.layer.undo()
    annotation.follow()
    assert np.flatnonzero(annotation.layer.data).size == 1
    assert mask[0, 5, 6] == 2
    assert np.count_nonzero(mask) == 1
    annotation.layer.redo()
    annotation.follow()
    np.testing.assert_array_equal(annotation.layer.data, expected)
    assert (mask[[1, 3]] == 1).all()
    settled(dock, qtbot)


def test_cancel_keeps_the_planes_that_are_finished(stack, qtbot):
    dock = stack
    dock.viewer.layers.clear()
    many = np.stack([SCENES[i % 3] for i in range(30)])
    dock.viewer.add_image(many, name="stack", rgb=True, axis_labels=("z", "y", "x"))
    dock.all_planes.run(0)
    qtbot.waitUntil(lambda: len(list(dock.result.kept)) >= 2, timeout=60_000)
    dock.cancel()
    qtbot.waitUntil(lambda: dock.job is None, timeout=20_000)
    settled(dock, qtbot)
    assert dock.status_panel.message.text().startswith("Cancelled. The planes that were finished")
    states = strip(dock).value().states
    assert 2 <= states.count("predicted") < 30
    done = [z for z, state in enumerate(states) if state == "predicted"]
    assert done == list(range(len(done)))


def test_the_strip_goes_to_planes_and_fits_a_laptop(stack, laptop, qtbot):
    dock = stack
    run_all(dock, qtbot)
    laptop()
    dock.classes_panel.add_words("yeast, bubble, crystal, nucleus")
    settled(dock, qtbot)
    bar = strip(dock)
    assert bar.isVisible()
    assert not dock.threshold_panel.all_planes.isHidden()
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=QPoint(bar.width() - 3, 5))
    assert dock.viewer.dims.current_step[0] == 3
    settled(dock, qtbot)
    assert bar.value().current == 3
    qtbot.keyClick(bar, Qt.Key.Key_Left)
    assert dock.viewer.dims.current_step[0] == 2
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=QPoint(3, 5))
    settled(dock, qtbot)
    assert dock.viewer.dims.current_step[0] == 0
    assert dock.width() == 322
    assert dock.height() < 580
    for name in ("find", "correct"):
        dock.frame.go_to(name)
        scroll = dock.frame.current.verticalScrollBar()
        qtbot.waitUntil(lambda scroll=scroll: scroll.maximum() == 0, timeout=10_000)
    assert "3 predicted" in bar.accessibleDescription()


def test_what_is_painted_while_all_planes_are_accepted_stays(stack, qtbot, monkeypatch):
    dock = stack
    run_all(dock, qtbot)
    annotation = dock.annotation_controller.begin(dock.viewer.layers["stack"], "stack")
    expected, threads = prediction(dock).copy(), []
    accepted = PlaneAccept.accepted

    def painted(work, store):
        threads.append(threading.current_thread())
        return accepted(work, store)

    monkeypatch.setattr(PlaneAccept, "accepted", painted)
    dock.annotation_panel.accept_planes.trigger()
    while len(threads) < 3:  # the window's thread does nothing meanwhile
        time.sleep(0.01)
    assert threading.main_thread() not in threads
    annotation.layer.data_setitem((np.array([1, 3]), np.array([5, 7]), np.array([6, 8])), 9)
    settled(dock, qtbot)
    for place in ((1, 5, 6), (3, 7, 8)):
        expected[place] = 9
        assert annotation.edits.edit_mask[place] == PAINTED
    np.testing.assert_array_equal(annotation.layer.data, expected)
    annotation.layer.undo()
    annotation.follow()
    assert np.flatnonzero(annotation.layer.data).size == 2
    dock.annotation_panel.setValue(replace(dock.annotation_panel.value(), rule="all"))
    asked = []
    dock.annotation_controller.confirm = lambda question: bool(asked.append(question))
    dock.annotation_panel.accept_planes.trigger()
    settled(dock, qtbot)
    assert len(asked) == 1
    assert "2 " in asked[0]
    assert np.flatnonzero(annotation.layer.data).size == 2
