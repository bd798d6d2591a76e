"""A stack without axis names: the user is asked once, and the answer is kept."""

from __future__ import annotations

import numpy as np
import pytest
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


@pytest.mark.one_binding
def test_a_project_keeps_the_answer_on_disk_for_all_its_images(dock, qtbot, tmp_path):
    panel, controller = dock.axes_panel, dock.project_controller
    files = [tmp_path / f"{name}.tif" for name in "abcd"]
    for path, shape in zip(files, [(3, 40, 40)] * 2 + [(2, 3, 40, 40)] * 2, strict=True):
        tifffile.imwrite(path, np.zeros(shape, np.uint8), photometric="minisblack")
    project = Project.create(tmp_path / "project", files)
    for first, second, answers, axes, labels in (
        ("a", "b", ["T"], "TYX", ("t", "y", "x")),
        ("c", "d", ["", "Z"], "QQYX", ("-4", "-3", "y", "x")),
    ):
        show(controller, qtbot, project, first)
        for answer in answers:
            if not panel.isHidden():
                panel.buttons[answer].click()
        for name in (first, second):  # opened again, as on another day
            show(controller, qtbot, project, name)
            assert tuple(controller.layer.axis_labels)[:-2] == labels[:-2]
            assert panel.isHidden(), name
            assert Project.open(project.folder).open_image(name)[1] == axes
    assert tuple(controller.project.named_axes) == ("QYX", "QQYX")


def show(controller, qtbot, project, name):
    """Open a project at one of its images."""
    Project.open(project.folder).go_to(name)
    controller.open(project.folder)
    folder = project.folder
    qtbot.waitUntil(
        lambda: (
            controller.idle
            and controller.project is not None
            and (controller.project.folder, controller.current) == (folder, name)
        )
    )
