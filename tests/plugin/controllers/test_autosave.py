"""Annotations without a project: nothing is lost by deleting, closing or killing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image as Picture
from qtpy.QtWidgets import QPushButton

from napari_cliper.annotation.edit_mask import PAINTED
from napari_cliper.annotation.project.project import Project
from napari_cliper.annotation.project.sessions import found_sessions
from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.segmentation import SegmentationConfig


def offers(dock):
    return [offer.text for offer in dock.offers_panel.offers]


def press(dock, button):
    """Press a button of the first offer."""
    (found,) = [one for one in dock.offers_panel.findChildren(QPushButton) if one.text() == button]
    found.click()


def saved(dock, qtbot):
    autosave = dock.autosave
    qtbot.waitUntil(lambda: autosave.idle, timeout=10_000)


@pytest.fixture
def another(make_napari_viewer, qtbot):
    """Another window with a dock, as after a restart."""
    docks = []

    def make(viewer=None):
        viewer = viewer or make_napari_viewer()
        dock = CliperWidget(viewer)
        docks.append(dock)
        viewer.window.add_dock_widget(dock, name="CLIPer segmentation")
        qtbot.waitUntil(lambda: dock.weights.idle, timeout=20_000)
        with qtbot.waitSignal(dock.autosave.looked, timeout=10_000):
            dock.autosave.look()
        return dock

    yield make
    for dock in docks:
        dock.close_down()


def annotated(dock, run):
    """An annotation that stays as it is: what was accepted does not follow the stroke."""
    dock.annotation_panel.accepted_follow.setChecked(False)
    run(dock)
    dock.annotation_panel.accept_button.click()
    mine = dock.annotation_controller.current()
    mine.layer.paint((40, 40), 3)
    return mine


# ---------------------------------------------------------------------- removed layers


def test_napari_does_not_delete_the_annotation_and_what_is_removed_comes_back(dock, run, qtbot):
    layers = dock.viewer.layers
    mine = annotated(dock, run)
    expected = mine.state()
    layers.selection = {mine.layer}
    layers.remove_selected()
    assert mine.layer in layers
    for remove in (lambda: layers.remove(dock.annotation_controller.all[0].layer), layers.clear):
        dock.annotation_controller.all[0].layer.data_setitem((np.array([1]), np.array([2])), 2)
        remove()  # right after a stroke
        assert offers(dock) == ["The annotation of scene was removed."]
        qtbot.wait(100)
        press(dock, "Restore")
        found = dock.annotation_controller.all[0].state()
        assert found.labels[1, 2] == 2
        assert found.edit_mask[1, 2] == PAINTED
        np.testing.assert_array_equal(found.labels[5:], expected.labels[5:])
        np.testing.assert_array_equal(found.edit_mask[5:], expected.edit_mask[5:])
        assert found.classes == expected.classes
        assert not dock.offers_panel.isVisibleTo(dock)
        assert {layer.name for layer in layers} >= {"scene", "scene annotation"}
        qtbot.wait(100)


@pytest.mark.one_binding
def test_restoring_gives_up_no_newer_annotation(dock, run, qtbot):
    first = annotated(dock, run).state()
    dock.viewer.layers.remove(dock.annotation_controller.all[0].layer)
    newer = dock.annotation_controller.begin(dock.viewer.layers["scene"], "scene")
    newer.layer.paint((10, 10), 1)
    press(dock, "Restore")
    np.testing.assert_array_equal(dock.annotation_controller.all[0].layer.data, first.labels)
    assert offers(dock) == ["The annotation of scene was removed."]
    saved(dock, qtbot)
    press(dock, "Restore")
    assert dock.annotation_controller.all[0].layer.data[10, 10] == 1
    dock.autosave.confirm = lambda question: "scene" in question
    press(dock, "Discard")
    assert not offers(dock)
    dock.close_down()
    (session,) = found_sessions()
    assert len(session.images) == 1


# ---------------------------------------------------------------------- sessions


@pytest.mark.one_binding
def test_closing_loses_nothing_and_the_next_start_offers_it(dock, run, qtbot, another, user_data):
    layer = dock.viewer.layers["scene"]
    layer.scale, layer.units, layer.translate = (0.5, 0.25), "um", (3, 4)
    mine = annotated(dock, run)
    expected, rows = mine.state(), dock.classes_panel.value()
    saved(dock, qtbot)
    beside = another()
    assert not offers(beside)  # another window works on it
    dock.close_down()

    other = another()
    (text,) = offers(other)
    assert text.startswith("There are annotations of scene from ")
    late = another()
    press(other, "Continue")
    qtbot.waitUntil(lambda: len(other.annotation_controller.all) == 1, timeout=10_000)
    (found,) = other.annotation_controller.all
    np.testing.assert_array_equal(found.state().labels, expected.labels)
    np.testing.assert_array_equal(found.state().edit_mask, expected.edit_mask)
    assert found.state().classes == expected.classes
    assert "layer" not in found.state().record
    np.testing.assert_array_equal(found.image.data, layer.data)
    np.testing.assert_array_equal(found.image.scale, layer.scale)
    np.testing.assert_array_equal(found.image.translate, layer.translate)
    assert found.image.units == layer.units
    assert other.classes_panel.value() == rows
    assert other.engine_panel.value() == SegmentationConfig(model="demo", device="cpu")
    press(late, "Continue")
    qtbot.waitUntil(
        lambda: "another napari window" in late.status_panel.message.text(), timeout=10_000
    )
    # it goes on in the same session, and a project takes it out of there
    found.layer.paint((60, 60), 2)
    saved(other, qtbot)
    assert len(list((user_data / "sessions").glob("*/project.cliper.json"))) == 1
    other.project_controller.save_as(user_data / "mine")
    assert not list((user_data / "sessions").glob("*/project.cliper.json"))


@pytest.mark.one_binding
def test_several_images_and_a_reopened_dock(dock, qtbot, another, tmp_path):
    scene = make_scene((96, 128), 1_000_009).image
    Picture.fromarray(scene).save(tmp_path / "field 2.png")
    dock.viewer.open(str(tmp_path / "field 2.png"), plugin="napari")
    images = [dock.viewer.layers["scene"], dock.viewer.layers["field 2"]]
    for number, image in enumerate(images, 1):
        dock.annotation_controller.begin(image, image.name).layer.paint((20, 20 * number), number)
    saved(dock, qtbot)
    dock.viewer.window.remove_dock_widget(dock)
    left = dock.viewer.layers["scene annotation"]
    left.paint((70, 70), 2)  # while there is no dock
    again = another(dock.viewer)
    qtbot.waitUntil(lambda: len(again.annotation_controller.all) == 2, timeout=10_000)
    names = sorted(layer.name for layer in dock.viewer.layers)
    assert names == ["field 2", "field 2 annotation", "scene", "scene annotation"]
    found = again.annotation_controller.of(images[0]).state()
    assert (found.labels[20, 20], found.labels[70, 70]) == (1, 2)
    assert found.edit_mask[70, 70] == PAINTED
    again.close_down()
    other = another()
    other.viewer.open(str(tmp_path / "field 2.png"), plugin="napari")
    (text,) = offers(other)
    assert " and 1 more image from " in text
    (tmp_path / "field 2.png").unlink()  # but it is open
    press(other, "Continue")
    qtbot.waitUntil(lambda: len(other.annotation_controller.all) == 2, timeout=10_000)
    assert sum(layer.name.startswith("field 2") for layer in other.viewer.layers) == 2
    assert other.annotation_controller.all[0].layer.data[70, 70] == 2 or (
        other.annotation_controller.all[1].layer.data[70, 70] == 2
    )


@pytest.mark.one_binding
def test_axes_come_back(dock, qtbot, another):
    image = dock.viewer.add_image(make_scene((40, 60), 3).image.transpose(2, 0, 1), name="series")
    image.axis_labels = ("t", "y", "x")
    mine = dock.annotation_controller.begin(image, image.name)
    mine.layer.data_setitem((np.array([1]), np.array([2]), np.array([3])), 1)
    views = dock.viewer.add_image(make_scene((40, 60), 4).image.transpose(2, 0, 1), name="views")
    dock.image_panel.images.setCurrentText("views")
    dock.axes_panel.buttons[""].click()
    assert dock.axes_panel.isHidden()
    dock.annotation_controller.begin(views, "views").layer.data_setitem(
        tuple(np.array([[0], [2], [3]])), 1
    )
    saved(dock, qtbot)
    dock.close_down()
    (found,) = found_sessions()
    assert Project.open(found.folder).open_image("series")[1] == "TYX"
    other = another()
    press(other, "Continue")
    qtbot.waitUntil(lambda: len(other.annotation_controller.all) == 2, timeout=10_000)
    found = {one.name: one.image for one in other.annotation_controller.all}
    assert found["series"].axis_labels == ("t", "y", "x")
    other.image_panel.images.setCurrentText("views")
    assert other.image_panel.value().layer is found["views"]
    assert other.axes_panel.isHidden()  # the answer was "Other"


@pytest.mark.one_binding
def test_an_image_that_is_gone_is_named_and_its_annotation_waits(dock, qtbot, another, monkeypatch):
    monkeypatch.setattr("napari_cliper.plugin.controllers.session_files.LARGEST_COPY", 10)
    mine = dock.annotation_controller.begin(dock.viewer.layers["scene"], "scene")
    mine.layer.paint((20, 20), 1)
    dock.close_down()
    other = another()
    press(other, "Continue")
    message = other.status_panel.message
    qtbot.waitUntil(lambda: "Open scene in napari" in message.text(), timeout=10_000)
    assert offers(other)
    other.viewer.add_image(make_scene((96, 128), 1_000_008).image, name="scene")
    press(other, "Continue")
    qtbot.waitUntil(lambda: len(other.annotation_controller.all) == 1, timeout=10_000)
    assert other.annotation_controller.all[0].layer.data[20, 20] == 1
    assert not offers(other)


def test_a_blank_annotation_leaves_nothing_and_discard_asks(dock, qtbot, another):
    mine = dock.annotation_controller.begin(dock.viewer.layers["scene"], "scene")
    mine.layer.paint((20, 20), 1)
    saved(dock, qtbot)
    mine.layer.undo()
    dock.close_down()
    assert not found_sessions()
    beside = another()
    beside.viewer.add_image(np.zeros((40, 40), np.uint8), name="grey")
    beside.annotation_controller.begin(beside.viewer.layers["grey"], "grey").layer.paint(
        (20, 20), 1
    )
    beside.close_down()
    other = another()
    for answer in (False, True):
        other.autosave.confirm = lambda _question, answer=answer: answer
        press(other, "Discard")
        assert bool(offers(other)) is not answer
        assert bool(found_sessions()) is not answer


@pytest.mark.one_binding
def test_a_failed_save_is_reported_and_asked_about_at_the_end(dock, qtbot, monkeypatch):
    mine = dock.annotation_controller.begin(dock.viewer.layers["scene"], "scene")

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("tifffile.imwrite", full)
        mine.layer.paint((20, 20), 1)
        qtbot.waitUntil(lambda: "Not saved" in dock.status_panel.message.text(), timeout=10_000)
        requested = []
        patched.setattr(CliperWidget, "_ask_to_close", lambda one: requested.append(one))
        assert not dock.may_close()
        assert requested
    assert dock.may_close()
    dock.close_down()
    assert [session.images for session in found_sessions()] == [("scene",)]


# ---------------------------------------------------------------------- fresh processes

KILLED = """
import os
import napari
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QPushButton

viewer = napari.Viewer()
_, dock = viewer.window.add_plugin_dock_widget("napari-cliper", "CLIPer segmentation")
painted = []

def go_on():
    if painted:
        if dock.autosave.idle:
            os.kill(os.getpid(), 9)
    elif dock.annotation_controller.all:
        (mine,) = dock.annotation_controller.all
        value = int(mine.edits.edit_mask[150, 200])
        print(int((mine.layer.data == 2).sum()), value, mine.image.name, flush=True)
        mine.layer.paint((20, 20), 2)
        mine.follow()
        print(int((mine.layer.data == 2).sum()), flush=True)
        painted.append(True)
    else:
        for button in dock.offers_panel.findChildren(QPushButton):
            if button.text() == "Continue" and dock.autosave.idle:
                button.click()
    QTimer.singleShot(50, go_on)

go_on()
napari.run()
"""


@pytest.mark.one_binding
@pytest.mark.usefixtures("user_data")
def test_a_fresh_process_goes_on_after_closing_and_after_a_kill(dock, another, qtbot):
    viewer = dock.viewer
    viewer.open_sample("napari-cliper", "cat")
    mine = dock.annotation_controller.begin(viewer.layers["cat"], "cat")
    mine.layer.paint((150, 200), 2)
    first = int((mine.layer.data == 2).sum())
    dock.close_down()
    killed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    second, value, image, painted = killed.stdout.split()
    assert [int(second), value, image] == [first, str(PAINTED), "cat"], killed.stderr
    assert int(painted) > first
    dock = another()
    press(dock, "Continue")
    qtbot.waitUntil(lambda: len(dock.annotation_controller.all) == 1, timeout=10_000)
    (mine,) = dock.annotation_controller.all
    assert mine.image.name == "cat"
    assert np.count_nonzero(mine.layer.data == 2) == int(painted)
    assert mine.edits.edit_mask[150, 200] == mine.edits.edit_mask[20, 20] == PAINTED
