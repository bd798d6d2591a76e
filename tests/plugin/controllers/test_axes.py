"""A stack without axis names: the user is asked once, and the answer is kept."""

from __future__ import annotations

import numpy as np
import tifffile

from napari_cliper.annotation.project.project import Project


def test_the_user_is_asked_once_and_the_answer_stays_with_layer_annotation_and_export(dock):
    panel = dock.axes_panel
    assert panel.isHidden()
    stack = dock.viewer.add_image(np.zeros((2, 3, 1, 40, 40), np.uint8), name="stack")
    assert not panel.isHidden()
    assert panel.text.text() == "2 along axis -5 are:"
    mine = dock.annotation_controller.begin(stack, "stack")
    panel.buttons["T"].click()
    assert panel.text.text() == "3 along axis -4 are:"
    assert panel.buttons["T"].isHidden()  # there is one already
    panel.buttons["Z"].click()
    assert panel.isHidden()  # a single plane needs no name
    assert stack.axis_labels[:2] == ("t", "z")
    assert mine.layer.axis_labels == stack.axis_labels
    assert mine.state().record["geometry"]["axes"] == "TZQYX"
    assert mine.gathered()().axes == "TZQYX"

    other = dock.viewer.add_image(np.zeros((4, 40, 40)), name="other")
    assert not panel.isHidden()
    panel.buttons[""].click()
    assert panel.isHidden()
    dock.image_panel.images.setCurrentText("stack")
    dock.image_panel.images.setCurrentText("other")
    assert panel.isHidden()  # asked once
    other.axis_labels = ("z", "y", "x")
    channels = dock.viewer.add_image(np.zeros((3, 40, 40)), name="channels")
    dock.image_panel.images.setCurrentText("channels")
    assert panel.text.text() == "3 planes are:"
    panel.buttons["C"].click()
    assert channels.axis_labels == ("c", "y", "x")
    names = [dock.image_panel.images.itemText(i) for i in range(dock.image_panel.images.count())]
    assert any("all channels" in name for name in names)
    for named in (np.zeros((40, 40)), np.zeros((40, 40, 3), np.uint8)):
        dock.viewer.add_image(named, name="named")
        dock.image_panel.images.setCurrentIndex(0)  # the topmost
        assert panel.isHidden()


def test_in_a_project_the_answer_holds_for_its_other_images(dock, qtbot, tmp_path):
    files = [tmp_path / f"{name}.tif" for name in "ab"]
    for path in files:
        tifffile.imwrite(path, np.zeros((3, 40, 40), np.uint8), photometric="minisblack")
    project = Project.create(tmp_path / "project", files)
    controller = dock.project_controller
    controller.open(project.folder)
    qtbot.waitUntil(lambda: controller.current == "a" and controller.idle)
    dock.image_panel.images.setCurrentText("a")
    dock.axes_panel.buttons["T"].click()
    controller.go_to("b")
    qtbot.waitUntil(lambda: controller.current == "b" and controller.idle)
    assert controller.layer.axis_labels == ("t", "y", "x")
    assert dock.axes_panel.isHidden()
