"""A run of the dock: images of all kinds, and what their prediction is."""

from __future__ import annotations

import json

import dask.array
import numpy as np
import pytest
from dock_views import choose, labels_of, message, outputs

from napari_cliper.plugin.layers.image_layers import OUTPUT_KEY
from napari_cliper.plugin.qt.theme_colours import tone_colours
from napari_cliper.segmentation import SegmentationConfig, Segmenter, parse_classes

pytestmark = pytest.mark.one_binding


def test_a_run_gives_a_layer_of_outlines_that_says_what_it_is(dock, run):
    run(dock)
    viewer = dock.viewer
    assert [layer.name for layer in outputs(viewer)] == ["scene prediction"]
    layer = labels_of(dock)
    assert layer.contour > 0
    assert layer.data.shape == (96, 128)
    assert layer.data.dtype == np.uint8
    assert viewer.layers.selection.active is layer
    table = layer.features
    assert list(table["class"])[:2] == ["background", "pollen grain"]
    assert table["pixels"].sum() == layer.data.size
    assert (table["pixels"] == np.bincount(layer.data.ravel(), minlength=5)).all()
    colours = dock.classes_panel.value()
    expected = [part / 255 for part in colours[0].colour]
    np.testing.assert_allclose(layer.colormap.color_dict[1][:3], expected, atol=1e-3)
    assert layer.colormap.color_dict[None][3] == 1  # a label beyond the classes is seen
    record = layer.metadata[OUTPUT_KEY]
    assert json.loads(json.dumps(record))["config"]["model"] == "demo"
    assert record["thresholds"]["class_threshold"] == record["settings"]["class_threshold"]
    status = layer.get_status(tuple(np.argwhere(layer.data == 1)[0]), world=True)
    assert "pollen grain" in str(status)


def test_same_labels_as_python(dock, run):
    dock.result.show_both(True)
    run(dock)
    segmenter = Segmenter(SegmentationConfig(model="demo", device="cpu"))
    image = dock.viewer.layers["scene"].data
    words = parse_classes("pollen grain, red blood cell, bacterium, fibre")
    scores = segmenter.score(segmenter.embed(image), words)
    np.testing.assert_array_equal(labels_of(dock).data, scores.to_labels())
    coarse = scores.to_labels(stage="coarse")
    np.testing.assert_array_equal(labels_of(dock, "coarse").data, coarse)


def test_scores_stand_in_the_table(dock, run):
    run(dock)
    text = [
        dock.classes_panel.model.data(dock.classes_panel.model.index(0, column))
        for column in range(dock.classes_panel.model.columnCount())
    ]
    best = float(dock.shown.outcome.scores.stage().class_scores[0])
    assert f"{best:.2f}" in text


OTHER_KINDS = {
    "grey": lambda image: image.mean(axis=2).astype(np.uint8),
    "16 bit": lambda image: image[..., 1].astype(np.uint16) * 100,
    "RGBA": lambda image: np.concatenate([image, np.full_like(image[..., :1], 255)], axis=2),
    "float": lambda image: image[..., 0] / 255,
    "float RGB": lambda image: (image / 255).astype(np.float32),
    "float with holes": lambda image: np.where(image[..., 0] > 250, np.nan, image[..., 0]),
    "negative": lambda image: image[..., 0].astype(np.int16) - 300,
    "boolean": lambda image: image[..., 0] > 128,
}


def test_images_of_other_kinds(dock, run, subtests):
    dock.corrections_panel.spread.setChecked(False)
    image = dock.viewer.layers["scene"].data
    segmenter = Segmenter(SegmentationConfig(model="demo", device="cpu"))
    words = parse_classes("pollen grain, red blood cell, bacterium, fibre")
    for kind, of in OTHER_KINDS.items():
        with subtests.test(kind=kind):
            other = of(image)
            dock.viewer.layers.clear()
            dock.viewer.add_image(other, name="other")
            run(dock)
            expected = segmenter.score(segmenter.embed(other), words).to_labels()
            np.testing.assert_array_equal(labels_of(dock).data, expected)


def test_a_rectangle_on_a_turned_and_scaled_image(dock, run):
    image = dock.viewer.layers["scene"].data
    dock.viewer.layers.clear()
    turned = {"scale": (0.5, 0.25), "translate": (100, -50), "rotate": 30, "units": "um"}
    layer = dock.viewer.add_image(image, name="turned", **turned)
    corners = np.array([(10, 20), (10, 99), (73, 99), (73, 20)], dtype=float)
    shapes = dock.viewer.add_shapes(
        [[layer.data_to_world(corner) for corner in corners]], shape_type="rectangle", units="um"
    )
    assert layer.units == shapes.units
    choose(dock, layer)
    where = dock.image_panel.regions
    where.setCurrentIndex(where.findText(shapes.name))
    rows, columns = dock.image_panel.value().region
    assert (rows, columns) == (slice(10, 74), slice(20, 100))
    run(dock)
    labels = labels_of(dock)
    assert labels.data.shape == (rows.stop - rows.start, columns.stop - columns.start)
    for corner in ((0, 0), (5, 7), (labels.data.shape[0] - 1, labels.data.shape[1] - 1)):
        pixel = np.add(corner, (rows.start, columns.start))
        np.testing.assert_allclose(labels.data_to_world(corner), layer.data_to_world(pixel))
    segmenter = Segmenter(SegmentationConfig(model="demo", device="cpu"))
    words = parse_classes("pollen grain, red blood cell, bacterium, fibre")
    expected = segmenter.score(segmenter.embed(image[rows, columns].copy()), words).to_labels()
    np.testing.assert_array_equal(labels.data, expected)


def test_a_stack_too_large_for_labels_is_refused_before_the_run(dock):
    stack = dask.array.zeros((2_000_000, 4096, 4096), dtype=np.uint8, chunks=(1, 4096, 4096))
    dock.viewer.layers.clear()
    dock.viewer.add_image(stack, name="stack", contrast_limits=(0, 255))
    dock.run()
    assert dock.job is None
    assert "2000000 x 4096 x 4096" in message(dock)
    assert "rectangle" in message(dock)


def test_planes_of_a_stack_share_a_layer(dock, run):
    image = dock.viewer.layers["scene"].data
    dock.viewer.layers.clear()
    stack = np.stack([image[..., 0], image[::-1, :, 0], image[..., 1]])
    dock.viewer.add_image(stack, name="stack", scale=(4, 0.5, 0.5), translate=(1, 2, 3))
    dock.viewer.dims.set_current_step(0, 1)
    run(dock)
    layer = labels_of(dock)
    assert layer.data.shape == stack.shape
    np.testing.assert_array_equal(layer.scale, (4, 0.5, 0.5))
    np.testing.assert_array_equal(layer.translate, (1, 2, 3))
    assert not layer.data[[0, 2]].any()
    kept = layer.data[1].copy()
    dock.viewer.dims.set_current_step(0, 2)
    run(dock)
    assert labels_of(dock) is layer
    np.testing.assert_array_equal(layer.data[1], kept)


def test_before_the_run_it_says_which_objects_a_large_image_loses(dock):
    assert not dock.image_panel.warning.isVisibleTo(dock)
    viewer = dock.viewer
    viewer.add_image(np.zeros((8000, 8000), np.uint8), name="large", contrast_limits=(0, 9))
    dock.engine_panel.setValue(SegmentationConfig(model="ViT-B/16", device="cpu"))
    warning = dock.image_panel.warning
    assert warning.isVisibleTo(dock)
    assert "reduced 24 times" in warning.toolTip()
    assert "about 190 px" in warning.toolTip()
    assert warning.text() == "Objects < 190 px lost"
    assert warning.palette().windowText().color().name() == tone_colours("dark")["warning"]
    square = np.array([[8, 8], [8, 407], [407, 407], [407, 8]])
    viewer.add_shapes([square], shape_type="rectangle", name="square")
    dock.image_panel.choose(dock.image_panel.rectangles()[0])
    assert not warning.isVisibleTo(dock)


def test_the_menu_beside_run_chooses_the_region_and_runs(dock, qtbot):
    square = np.array([[8, 8], [8, 71], [71, 71], [71, 8]])
    dock.viewer.add_shapes([square], shape_type="rectangle", name="square")
    expected = {"Whole image": None, "What is visible": None, "Rectangle in square": (64, 64)}
    menu = dock.run_panel.menu
    menu.aboutToShow.emit()
    tiles = ["With tiles", "What is visible, with tiles"]
    assert [action.text() for action in menu.actions()] == [*expected, *tiles]
    for text, size in expected.items():
        menu.aboutToShow.emit()
        next(action for action in menu.actions() if action.text() == text).trigger()
        qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
        region = dock.shown.choice.region
        if size is not None:
            assert tuple(side.stop - side.start for side in region) == size
        assert region == dock.image_panel.value().region
