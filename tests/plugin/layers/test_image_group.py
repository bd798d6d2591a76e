"""Layers shown together: the same pixels as on the screen, in one place, with one annotation."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image

from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin.layers.image_group import ImageGroup, channel_axis
from napari_cliper.plugin.layers.image_layers import ImageChoice, labels_shape, transforms

pytestmark = pytest.mark.one_binding

SHAPE = (24, 30)
LOOKS = (
    {"colormap": "blue", "contrast_limits": (100, 3000), "gamma": 0.6},
    {"colormap": "green", "contrast_limits": (0, 4000), "opacity": 0.7},
    {"colormap": "viridis", "contrast_limits": (500, 3500), "gamma": 1.7, "opacity": 0.4},
    {"colormap": "red", "contrast_limits": (0, 6000)},
    {"colormap": "gray", "contrast_limits": (2000, 9000), "opacity": 0.9},
)


def pixels_on_screen(viewer):
    """The colour of each pixel of the image, from a screenshot of the canvas."""
    viewer.window._qt_window.show()
    viewer.window.resize(700, 500)
    zoom = 8
    camera = viewer.scene.camera
    camera.center = (0, (SHAPE[0] - 1) / 2, (SHAPE[1] - 1) / 2)
    camera.zoom = zoom
    shot = viewer.screenshot(canvas_only=True, flash=False)
    middle = [(side - 1) / 2 for side in shot.shape[:2]]
    rows, columns = (
        np.rint(centre + (np.arange(side) - (side - 1) / 2) * zoom).astype(int)
        for centre, side in zip(middle, SHAPE, strict=True)
    )
    return shot[rows][:, columns, :3].astype(int)


@pytest.mark.parametrize("count", [2, 5])
def test_layers_are_combined_as_napari_shows_them(make_napari_viewer, count):
    viewer = make_napari_viewer(show=True)
    rng = np.random.default_rng(count)
    for index, look in enumerate(LOOKS[:count]):
        values = rng.integers(0, 5000, SHAPE, np.uint16)
        viewer.add_image(values, name=f"c{index}", blending="additive", **look)
    group = ImageGroup(list(viewer.layers))
    choice = ImageChoice(group, group.name)
    difference = choice.read().astype(int) - pixels_on_screen(viewer)
    assert abs(difference).max() <= 2  # the graphics card rounds after each layer
    record = choice.image().record["channels"]
    assert [one["name"] for one in record] == [f"c{index}" for index in range(count)]
    assert [one["gamma"] for one in record] == [look.get("gamma", 1) for look in LOOKS[:count]]


def test_an_axis_of_channels_keeps_the_place_of_its_layer():
    rng = np.random.default_rng(0)
    for lazy in (False, True):
        values = rng.integers(0, 900, (4, 3, *SHAPE), np.uint16)
        layer = Image(
            da.from_array(values) if lazy else values,
            axis_labels=("z", "c", "y", "x"), scale=(3, 1, 0.5, 0.5), translate=(1, 2, 3, 4),
            contrast_limits=(0, 1000),
        )  # fmt: skip
        group = ImageGroup([layer], channel_axis(layer))
        choice = ImageChoice(group, group.name, plane=(2, 0))
        assert labels_shape(choice) == (4, 1, *SHAPE)
        shown = choice.read()
        assert shown.shape == (*SHAPE, 3)
        one = np.rint(np.clip(values[2] / 1000, 0, 1) @ np.eye(SHAPE[1]) * 255)
        cyan, magenta, yellow = one  # the colours in which napari splits a stack
        np.testing.assert_allclose(shown[..., 0], np.clip(magenta + yellow, 0, 255), atol=1)
        np.testing.assert_allclose(shown[..., 1], np.clip(cyan + yellow, 0, 255), atol=1)
        # at every position of the slider of channels, the group is at its only index there
        for channel in range(3):
            world = layer.data_to_world((2, channel, 5, 6))
            found = np.rint(group.world_to_data(world)).astype(int)
            assert tuple(found) == (2, 0, 5, 6)
        layer.scale = (2, 1, 1, 1)
        group.follow()
        assert transforms(choice)["scale"].tolist() == [2, 3, 1, 1]


@pytest.fixture
def channels(dock):
    """The dock beside the colours of a scene as three layers that add up."""
    dock.viewer.layers.clear()
    scene = make_scene((96, 128), 1_000_008).image
    for index, name in enumerate(("red", "green", "blue")):
        dock.viewer.add_image(
            scene[..., index], name=name, colormap=name, blending="additive",
            contrast_limits=(0, 255), scale=(0.5, 0.5),
        )  # fmt: skip
    dock.viewer.add_image(scene, name="scene", rgb=True, scale=(0.5, 0.5), visible=False)
    return dock


def choose(dock, name):
    images = dock.image_panel.images
    images.setCurrentIndex(images.findText(name))


def test_one_prediction_and_one_annotation_for_the_group(channels, run, settle):
    dock, viewer = channels, channels.viewer
    titles = [dock.image_panel.images.itemText(i) for i in range(dock.image_panel.images.count())]
    assert titles == ["scene", "blue", "green", "red", "red + green + blue (as displayed)"]
    choose(dock, "scene")
    run(dock)
    expected = dock.result.seen().labels.copy()
    choose(dock, titles[-1])
    assert dock.shown is None  # it was not run yet
    run(dock)
    settle(dock)
    np.testing.assert_array_equal(dock.result.seen().labels, expected)
    assert dock.result.seen().layer.name == "red + green + blue prediction"
    record = dock.shown.outcome.scores.record["image"]["contrast"]["channels"]
    assert [(one["name"], one["colour"]) for one in record] == [
        ("red", "#ff0000"), ("green", "#00ff00"), ("blue", "#0000ff"),
    ]  # fmt: skip
    assert "Channels shown together: red (#ff0000, 0 to 255)" in dock.status_panel.message.text()

    dock.annotation_panel.accept_button.click()
    (annotation,) = dock.annotation_controller.all
    assert annotation.layer.name == "red + green + blue annotation"
    np.testing.assert_allclose(annotation.layer.scale, (0.5, 0.5))
    for name in ("red", "green", "blue"):
        viewer.layers[name].scale = (2, 2)
    choose(dock, titles[-1])
    np.testing.assert_allclose(annotation.layer.scale, (2, 2))

    viewer.layers["green"].visible = False  # for a moment: the choice stays
    assert dock.image_panel.value().name == "red + green + blue"
    assert dock.autosave.save_now()
    viewer.layers["green"].contrast_limits = (0, 20)  # other pixels, same layers
    run(dock)
    assert dock.shown.outcome.encoded
    choose(dock, "red")
    assert dock.shown is None
    viewer.layers.remove("green")  # the group is gone; what was accepted is not
    assert annotation.layer in viewer.layers
    assert dock.image_panel.images.findText(titles[-1]) < 0


def test_gamma_of_a_single_layer_counts(channels, run):
    choose(channels, "red")
    channels.viewer.layers["red"].gamma = 0.5
    channels.viewer.layers["red"].contrast_limits = (10, 200)
    run(channels)
    found = channels.shown.outcome.scores.record["image"]["contrast"]
    assert (found["black"], found["white"], found["gamma"]) == (10, 200, 0.5)
