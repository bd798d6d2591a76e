"""Channels that are shown together are an image of the project: saved, opened again, exported."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_cliper.annotation.edit_mask import PAINTED
from napari_cliper.annotation.project.prediction_store import PredictionKey, StoredPrediction
from napari_cliper.annotation.project.project import Project
from napari_cliper.annotation.project.sessions import found_sessions
from napari_cliper.cli import app
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io.files import FileError
from napari_cliper.io.readers.coco import open_coco
from napari_cliper.plugin.layers.image_group import ImageGroup
from napari_cliper.segmentation import Composite
from napari_cliper.workflows.predict_images import one_by_one, predict_images

pytestmark = pytest.mark.one_binding

STACK = np.stack([make_scene((64, 80), 1_000_008 + z).image.transpose(2, 0, 1) for z in range(2)])
"""(Z, C, Y, X)"""


def opened(dock, qtbot, name):
    controller = dock.project_controller
    qtbot.waitUntil(lambda: controller.current == name and controller.idle, timeout=10_000)
    return controller.layer


def test_all_channels_of_a_file_become_an_image_of_the_project(dock, qtbot, tmp_path, run):
    dock.viewer.layers.clear()
    folder = tmp_path / "project"
    for name, axes in (("stack", "ZCYX"), ("other", "ZCYX")):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, STACK, imagej=True, metadata={"axes": axes, "spacing": 2.0})
    controller = dock.project_controller
    controller.create(folder, [tmp_path / "stack.tif", tmp_path / "other.tif"])
    opened(dock, qtbot, "stack")
    dock.image_panel.images.setCurrentText("stack, all channels")
    run(dock)
    controller.go_to("other")
    opened(dock, qtbot, "other")
    assert [layer.name for layer in dock.viewer.layers] == ["other"]  # no prediction of channels
    controller.go_to("stack")
    plain = opened(dock, qtbot, "stack")
    dock.annotation_controller.begin(plain, "stack").layer.data_setitem(
        tuple(np.array([[0], [2], [7], [9]])), 1
    )
    dock.image_panel.images.setCurrentText("stack, all channels")
    group = dock.image_panel.value().layer
    mine = dock.annotation_controller.begin(group, group.name)
    mine.layer.data_setitem(tuple(np.array([[1], [0], [20], [30]])), 1)
    assert controller.save_now()
    colours = np.asarray(group.snapshot())
    assert not found_sessions()  # the annotations are in the project, both
    project = Project.open(folder)
    assert [image.name for image in project.images] == ["stack", "stack, all channels", "other"]
    assert project.peek("stack").labels[0, 2, 7, 9] == 1

    controller.open(folder)  # as on the next day
    again = opened(dock, qtbot, "stack, all channels")
    assert isinstance(again, ImageGroup)
    assert dock.image_panel.value().layer is again
    np.testing.assert_array_equal(np.asarray(again.snapshot()), colours)
    assert again.axis_labels == ("z", "c", "y", "x")
    assert again.scale[0] == 2
    mine = dock.annotation_controller.of(again)
    assert mine.edits.edit_mask[1, 0, 20, 30] == PAINTED
    assert [row.text().split(":")[0] for row in rows(dock)] == [
        "stack", "stack, all channels", "other"
    ]  # fmt: skip

    first, *_, last = again.members  # shown otherwise: this is kept without any painting
    first.colormap, last.gamma, last.contrast_limits = "viridis", 0.5, (10, 99)
    first.opacity = 0.75
    shown = np.asarray(again.snapshot())
    run(dock)
    assert dock.shown.choice.name == "stack, all channels"
    channels = dock.shown.outcome.scores.record["image"]["contrast"]["channels"]
    assert channels[2]["gamma"] == 0.5
    controller.go_to("other")
    opened(dock, qtbot, "other")
    assert [layer.name for layer in dock.viewer.layers] == ["other"]
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for part in ("project", "stack.tif", "other.tif"):
        shutil.move(tmp_path / part, moved / part)
    project = Project.open(moved / "project")
    pixels, axes = project.open_image("stack, all channels")
    assert isinstance(pixels, Composite)
    assert (axes, pixels.shape) == ("ZCYX", (2, 1, 64, 80, 3))
    np.testing.assert_array_equal(pixels, shown)
    planes = {}

    def predict(plane, _report):
        planes[plane.name] = plane.pixels
        empty = np.zeros((64, 80), np.uint8)
        return StoredPrediction(empty, empty.astype(np.float32), "coarse", (0.5,))

    key = PredictionKey("words")
    predict_images(project, key, one_by_one(predict))
    np.testing.assert_array_equal(planes["stack, all channels"], shown[0, 0])
    assert project.prediction("stack, all channels", key).plane == (0, 0)
    (tmp_path / "out").mkdir()
    arguments = ["export", str(moved / "project"), "--format", "coco", "--format", "yolo"]
    result = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    coco = next((tmp_path / "out").rglob("instances*.json"))
    assert sorted(open_coco(coco).names) == ["stack, all channels_z1_c0", "stack_z0_c2"]
    controller.open(moved / "project")
    opened(dock, qtbot, "other")
    controller.go_to("stack, all channels")
    again = opened(dock, qtbot, "stack, all channels")
    assert again.members[0].colormap.name == "viridis"
    np.testing.assert_array_equal(np.asarray(again.snapshot()), shown)
    assert project.prediction("stack, all channels", key) is not None
    again.members[1].gamma = 2.0
    assert controller.save_now()
    project = Project.open(project.folder)
    assert project.prediction("stack, all channels", key) is None  # shown otherwise
    assert project.prediction("stack", key) is not None
    (moved / "stack.tif").unlink()
    left = Project.open(moved / "project")
    for name in ("stack", "stack, all channels"):
        with pytest.raises(FileError, match="Put it back"):
            left.read_image(name)


def rows(dock):
    images = dock.project_panel.images
    return [images.item(i) for i in range(images.count())]


def test_visible_layers_are_saved_as_an_image_of_a_new_project(dock, tmp_path):
    dock.viewer.layers.clear()
    tifffile.imwrite(tmp_path / "red.tif", STACK[0, 0])
    tifffile.imwrite(tmp_path / "many.tif", STACK[0], photometric="minisblack")
    (red,) = dock.viewer.open(str(tmp_path / "red.tif"), plugin="napari", colormap="red")
    green, *_ = dock.viewer.open(
        str(tmp_path / "many.tif"), plugin="napari", channel_axis=0, colormap="green"
    )[1:2]
    for layer in list(dock.viewer.layers):
        if layer not in (red, green):
            dock.viewer.layers.remove(layer)
    blue = dock.viewer.add_image(STACK[0, 2], name="DAPI", colormap="blue", blending="additive")
    blue.opacity = 0.5
    name = f"{red.name} + {green.name} + DAPI"
    dock.image_panel.images.setCurrentText(f"{name} (as displayed)")
    group = dock.image_panel.value().layer
    mine = dock.annotation_controller.begin(group, group.name)
    mine.layer.data_setitem(tuple(np.array([[20], [30]])), 1)
    colours = np.asarray(group.snapshot())
    dock.project_controller.save_as(tmp_path / "project")
    project = Project.open(tmp_path / "project")
    (image,) = project.images
    assert (image.name, image.is_group) == (name, True)
    stored = project.channels(name)
    assert [one.channel.name for one in stored] == [red.name, green.name, "DAPI"]
    assert [(one.axis, one.is_copy) for one in stored] == [
        (None, False), (0, False), (None, True)
    ]  # fmt: skip
    assert stored[1].index == 1
    np.testing.assert_array_equal(project.open_image(name)[0], colours)
    mine.layer.data_setitem(tuple(np.array([[21], [30]])), 1)
    assert dock.project_controller.save_now()
    assert np.count_nonzero(Project.open(tmp_path / "project").peek(name).labels) == 2
    project = Project.open(tmp_path / "project")
    project.remove_image(name)
    assert not list((tmp_path / "project" / "copies").iterdir())
