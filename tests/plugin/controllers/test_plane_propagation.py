"""Propagate to the next planes, from the menu beside Run, in a real window with the real engine."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_cliper.annotation.memory_store import MemoryStore
from napari_cliper.demo.scenes import make_scene, make_stack

pytestmark = pytest.mark.one_binding

PLANES = 7
ENTRY = "Propagate to the next planes of z (agreement 0.50 or more)"


@pytest.fixture
def stack(dock, run, qtbot):
    """The dock beside a stack; plane 3 was run. Plane 5 shows something else, plane 6 too."""
    dock.viewer.layers.clear()
    planes = make_stack(PLANES, (96, 112), 7, kinds=["fibre", "bacterium"], ground="agar").images
    planes[5:] = make_scene((96, 112), 1_000_009, kinds=[], ground="agar").image
    dock.viewer.add_image(planes, name="stack", rgb=True, axis_labels=("z", "y", "x"))
    dock.viewer.dims.set_point(0, 3)
    run(dock)
    settled(dock, qtbot)
    return dock


def settled(dock, qtbot):
    qtbot.waitUntil(lambda: dock.idle, timeout=60_000)


def choose(dock, text):
    dock.run_panel.menu.aboutToShow.emit()
    (action,) = [one for one in dock.run_panel.menu.actions() if one.text() == text]
    action.trigger()


def propagate(dock, qtbot, meanwhile=None):
    choose(dock, ENTRY)
    assert dock.job is not None, dock.status_panel.message.text()
    if meanwhile is not None:
        meanwhile()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    settled(dock, qtbot)
    return dock.status_panel.message.text()


def test_from_a_corrected_plane_to_its_neighbours_and_on(stack, qtbot, monkeypatch):
    dock, viewer = stack, stack.viewer
    choose(dock, ENTRY)
    assert "no hints and no accepted pixels" in dock.status_panel.message.text()
    prediction = viewer.layers["stack prediction"]

    # Painted pixels of this plane, and of another one while the job waits to read it
    label = int(prediction.data[3].max())
    annotation = dock.annotation_controller.begin(viewer.layers["stack"], "stack")
    number = annotation.number_of(dock.shown.rows[label - 1])
    inside = np.argwhere(prediction.data[3] == label)
    row, column = inside[len(inside) // 2]
    annotation.layer.data_setitem((np.array([3]), np.array([row]), np.array([column])), number)
    settled(dock, qtbot)
    then, read, painted, planes = [], MemoryStore.read, threading.Event(), []

    def read_later(store, region):
        if threading.current_thread() is threading.main_thread():
            planes.append((region[0].start, region[0].stop))
        else:
            assert painted.wait(60)
        return read(store, region)

    def paint():
        assert set(planes) == {(3, 4)}  # no other plane was read in the window's thread
        annotation.layer.data_setitem((np.array([2]), np.array([1]), np.array([2])), number)
        annotation.follow()
        then.extend((annotation.layer.data.copy(), annotation.edits.edit_mask.copy()))
        painted.set()

    with monkeypatch.context() as waiting:
        waiting.setattr(MemoryStore, "read", read_later)
        message = propagate(dock, qtbot, paint)
    drawn, mask = then
    assert message.startswith("Propagated from z 3 to 5 planes. Stopped at z 5: its agreement")
    assert "the limit is 0.50. Correct it and propagate again." in message
    states = dock.image_panel.strip.value().states
    assert states == ("predicted",) * 6 + ("open",)
    assert viewer.dims.current_step[0] == 3
    np.testing.assert_array_equal(annotation.layer.data, drawn)
    np.testing.assert_array_equal(annotation.edits.edit_mask, mask)
    assert prediction.data[2, 1, 2] == label  # a hint on its own plane
    assert all(prediction.data[z].any() for z in range(5))

    # What was propagated stays when the plane is shown, and follows more hints
    propagated = prediction.data.copy()
    viewer.dims.set_point(0, 4)
    settled(dock, qtbot)
    np.testing.assert_array_equal(prediction.data, propagated)
    row, column = np.argwhere(propagated[4] == label)[0]
    clicks = dock.correction_controller.click_controller
    clicks.choose("background")
    dock.corrections_panel.tools.buttons["click"].click()
    clicks.all[0].layer.add((4, row, column))
    settled(dock, qtbot)
    assert prediction.data[4, row, column] == 0

    # Planes of the nearer corrected plane stay; the plane that it was corrected from, too
    before = prediction.data.copy()
    message = propagate(dock, qtbot)
    assert message.startswith("Propagated from z 4 to")
    np.testing.assert_array_equal(prediction.data[:3], before[:3])
    np.testing.assert_array_equal(annotation.layer.data, drawn)


def test_cancel_keeps_the_planes_that_are_finished(stack, qtbot):
    dock = stack
    dock.annotation_panel.accept_button.click()
    settled(dock, qtbot)
    choose(dock, ENTRY)
    qtbot.waitUntil(lambda: len(list(dock.result.kept)) >= 2, timeout=60_000)
    dock.cancel()
    qtbot.waitUntil(lambda: dock.job is None, timeout=20_000)
    settled(dock, qtbot)
    assert "The planes that were finished are kept" in dock.status_panel.message.text()
    assert 2 <= dock.image_panel.strip.value().states.count("predicted") + 1 <= PLANES
