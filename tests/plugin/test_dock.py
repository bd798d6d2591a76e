"""The dock as a person uses it: run, thresholds, words, edits, and all that may go wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import dask.array
import numpy as np
import pytest
from huggingface_hub import constants
from napari.layers import Labels
from napari.utils.notifications import notification_manager
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.plugin.frame import STEPS
from napari_cliper.plugin.layers.image_layers import OUTPUT_KEY
from napari_cliper.plugin.qt.accordion import Accordion
from napari_cliper.plugin.qt.tones import tone_colours
from napari_cliper.segmentation import (
    REGISTRY,
    LiveLabels,
    SegmentationConfig,
    Segmenter,
    cached,
    fetch,
    parse_classes,
)


def labels_of(dock, stage="refined"):
    return dock.shown.predictions[stage].layer


def outputs(viewer):
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def choose(dock, layer):
    dock.image_panel.images.setCurrentText(layer.name)
    assert dock.image_panel.choice().layer is layer


def message(dock):
    return dock.status_panel.message.text()


# ---------------------------------------------------------------------- a run


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


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_images_of_other_kinds(dock, run, kind):
    image = dock.viewer.layers["scene"].data
    other = OTHER_KINDS[kind](image)
    dock.viewer.layers.clear()
    dock.viewer.add_image(other, name="other")
    run(dock)
    segmenter = Segmenter(SegmentationConfig(model="demo", device="cpu"))
    words = parse_classes("pollen grain, red blood cell, bacterium, fibre")
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
    rows, columns = dock.image_panel.choice().region
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


def test_an_image_seen_before_costs_no_encoding(dock, run):
    run(dock)
    assert dock.shown.outcome.encoded
    second = dock.viewer.add_image(make_scene((96, 128), 1_000_009).image, name="second")
    choose(dock, second)
    run(dock)
    assert dock.shown.outcome.encoded
    choose(dock, dock.viewer.layers["scene"])
    run(dock)
    assert not dock.shown.outcome.encoded
    assert dock.session.kept[0] == 2


def test_kept_embeddings_are_bounded_and_the_oldest_leaves(dock, run):
    run(dock)
    dock.session.capacity = 1
    layer = dock.viewer.add_image(make_scene((96, 128), 1_000_009).image, name="second")
    choose(dock, layer)
    run(dock)
    assert dock.session.kept[0] == 1
    choose(dock, dock.viewer.layers["scene"])
    run(dock)
    assert dock.shown.outcome.encoded


# ---------------------------------------------------------------------- thresholds


def test_thresholds_are_live_and_make_no_layer_and_no_undo_step(dock, run, qtbot):
    run(dock)
    layer, count = labels_of(dock), len(dock.viewer.layers)
    before = layer.data.copy()
    scores = dock.shown.outcome.scores
    dock.threshold_panel.background_slider.setValue(0.8)
    qtbot.waitUntil(lambda: not np.array_equal(layer.data, before), timeout=2000)
    values = dock.threshold_panel.value()
    expected = scores.to_labels(values)
    np.testing.assert_array_equal(layer.data, expected)
    assert len(dock.viewer.layers) == count
    changed = layer.data.copy()
    layer.undo()
    np.testing.assert_array_equal(layer.data, changed)
    qtbot.waitUntil(
        lambda: (
            layer.metadata[OUTPUT_KEY]["thresholds"]["background_threshold"]
            == values.background_threshold
        ),
        timeout=2000,
    )
    assert (layer.features["pixels"] == np.bincount(layer.data.ravel(), minlength=5)).all()


def test_a_high_class_threshold_empties_the_layer_and_the_default_brings_it_back(dock, run, qtbot):
    run(dock)
    layer = labels_of(dock)
    before = layer.data.copy()
    slider = dock.threshold_panel.class_slider
    slider.setValue(slider.maximum())
    qtbot.waitUntil(lambda: not layer.data.any(), timeout=2000)
    dock.threshold_panel.class_default.click()
    qtbot.waitUntil(lambda: np.array_equal(layer.data, before), timeout=2000)


@pytest.mark.parametrize("method", ["sclip", "maskclip"])
def test_methods_that_label_by_probability_are_live_too(dock, run, qtbot, method):
    config = SegmentationConfig(model="demo", device="cpu", method=method, refiner="pamr")
    dock.engine_panel.setValue(config)
    run(dock)
    layer, scores = labels_of(dock), dock.shown.outcome.scores
    middle = float(np.median(scores.stage().class_scores))
    dock.threshold_panel.class_slider.setValue(middle)
    values = dock.threshold_panel.value()
    expected = scores.to_labels(values)
    assert not np.array_equal(layer.data, expected)
    qtbot.waitUntil(lambda: np.array_equal(layer.data, expected), timeout=2000)


def test_labels_that_take_long_are_made_in_the_thread(dock, run, qtbot, monkeypatch):
    """As with 150 classes on a large image: nothing is kept for the other thresholds."""
    monkeypatch.setattr(LiveLabels.__init__, "__kwdefaults__", {"limit": 0})
    dock.result.show_both(True)
    run(dock)
    monkeypatch.undo()
    layer, scores = labels_of(dock), dock.shown.outcome.scores
    makers = []
    monkeypatch.setattr(
        type(scores), "best", watched(type(scores).best, makers, threading.current_thread)
    )
    for value in (0.1, 0.3, 0.5):  # faster than the thread is
        dock.threshold_panel.class_slider.setValue(value)
        qtbot.wait(12)
    wished = dock.threshold_panel.value()
    monkeypatch.undo()
    qtbot.waitUntil(lambda: dock.result.idle, timeout=5000)
    expected = scores.to_labels(wished)
    qtbot.waitUntil(lambda: np.array_equal(layer.data, expected), timeout=5000)
    coarse = labels_of(dock, "coarse")
    expected = scores.to_labels(wished, stage="coarse")
    qtbot.waitUntil(lambda: np.array_equal(coarse.data, expected), timeout=5000)
    assert threading.main_thread() not in makers


def watched(function, seen, look):
    """A function that notes something each time it is called."""

    def call(*args, **options):
        seen.append(look())
        return function(*args, **options)

    return call


def test_a_class_with_a_threshold_of_its_own(dock, run, qtbot):
    run(dock)
    layer, scores = labels_of(dock), dock.shown.outcome.scores
    before = layer.data.copy()
    dock.classes_panel.selected.emit(1)
    assert dock.threshold_panel.own_class.currentText() == "pollen grain"
    dock.threshold_panel.own.click()
    dock.threshold_panel.own_slider.setValue(0.85)
    values = dock.threshold_panel.value()
    expected = scores.to_labels(values)
    assert (expected == 1).sum() < (before == 1).sum()
    np.testing.assert_array_equal(expected[before != 1], before[before != 1])
    qtbot.waitUntil(lambda: np.array_equal(layer.data, expected), timeout=2000)
    qtbot.waitUntil(
        lambda: bool(layer.metadata[OUTPUT_KEY]["thresholds"]["per_class"]), timeout=2000
    )


def test_thresholds_run_no_network(dock, run, qtbot):
    run(dock)
    dock.session.unload()
    dock.threshold_panel.background_slider.setValue(0.9)
    qtbot.wait(300)
    assert dock.session.network_bytes == 0


# ---------------------------------------------------------------------- words


def test_changed_words_ask_the_kept_embedding(dock, run, qtbot):
    run(dock)
    layer = labels_of(dock)
    dock.classes_panel.add_words("crystal")
    qtbot.waitUntil(lambda: len(dock.shown.rows) == 5, timeout=20_000)
    assert not dock.shown.outcome.encoded
    assert labels_of(dock) is layer
    assert list(layer.features["class"])[-1] == "crystal"


def test_words_typed_but_not_entered_are_run(dock, run):
    dock.classes_panel.field.setText("yeast")
    run(dock)
    assert [row.name for row in dock.shown.rows][-1] == "yeast"


def test_words_changed_during_a_run_belong_to_the_next(dock, qtbot):
    dock.run()
    dock.classes_panel.add_words("yeast")
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert len(dock.shown.rows) == 4


def test_choosing_a_class_sets_the_brush(dock, run):
    run(dock)
    dock.classes_panel.selected.emit(3)
    assert labels_of(dock).selected_label == 3


def test_hiding_a_class_hides_its_colour(dock, run):
    run(dock)
    rows = list(dock.classes_panel.value())
    dock.classes_panel.model.change(0, visible=False)
    assert labels_of(dock).colormap.color_dict[1][3] == 0
    assert labels_of(dock).colormap.color_dict[2][3] == 1
    assert len(rows) == 4


def test_words_the_demo_model_does_not_know_are_warned_of(dock, run):
    dock.classes_panel.add_words("giraffe")
    run(dock)
    assert "giraffe" in message(dock)


# ---------------------------------------------------------------------- a person's work


def paint(layer, value=7):
    layer.selected_label = value
    layer.paint((5, 5), value)


def test_the_first_edit_freezes_and_the_next_result_is_a_new_layer(dock, run, qtbot):
    run(dock)
    mine = labels_of(dock)
    paint(mine)
    assert "no longer changes" in message(dock)
    kept = mine.data.copy()
    dock.threshold_panel.background_slider.setValue(0.9)
    qtbot.waitUntil(lambda: dock.result.idle, timeout=5000)
    np.testing.assert_array_equal(mine.data, kept)
    run(dock)
    np.testing.assert_array_equal(mine.data, kept)
    assert labels_of(dock) is not mine
    assert mine in dock.viewer.layers


def test_undo_brings_back_only_what_was_before_the_edit(dock, run, qtbot):
    run(dock)
    layer = labels_of(dock)
    dock.threshold_panel.background_slider.setValue(0.8)
    qtbot.waitUntil(lambda: dock.result.idle, timeout=5000)
    before = layer.data.copy()
    paint(layer)
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_replacing_the_data_freezes_too(dock, run):
    run(dock)
    layer = labels_of(dock)
    layer.data = np.zeros_like(layer.data)
    run(dock)
    assert not layer.data.any()


# ---------------------------------------------------------------------- what may go wrong


def test_run_says_why_it_is_grey(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    dock = CliperWidget(viewer)
    qtbot.addWidget(dock)
    assert not dock.run_panel.run_button.isEnabled()
    assert "image" in dock.run_panel.run_button.toolTip()
    viewer.add_image(np.zeros((32, 32)))
    assert "word" in dock.run_panel.run_button.toolTip()
    dock.close_down()


def test_an_image_that_cannot_be_segmented_is_told(dock, run):
    dock.viewer.layers.clear()
    dock.viewer.add_image(np.full((64, 64), 3, np.uint8), name="flat")
    run(dock)
    assert "nothing to segment" in message(dock)
    assert dock.run_panel.run_button.isEnabled()


def test_an_out_of_memory_error_reaches_the_person(dock, run, monkeypatch):
    def fail(*_args, **_kwargs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("napari_cliper.segmentation.methods.cliper.read_early_layers", fail)
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
                requested.append(time.monotonic())
                dock.cancel()

        dock.main_job.progressed.connect(cancel)
        run(dock)
        dock.main_job.progressed.disconnect(cancel)
        assert time.monotonic() - requested[0] < 1, stage
        assert list(dock.viewer.layers) == layers, stage
        assert dock.shown is shown
        assert "Cancelled" in message(dock)
        assert dock.run_panel.run_button.isEnabled()
    run(dock)
    assert len(outputs(dock.viewer)) == 1


# ---------------------------------------------------------------------- downloads


DINO = REGISTRY["dino-vits8"]


def request_for_dino(dock, qtbot):
    config = SegmentationConfig(
        model="demo", device="cpu", refiner="foundation", foundation_model=DINO.name
    )
    dock.engine_panel.setValue(config)
    qtbot.waitUntil(lambda: dock.weights.idle, timeout=20_000)


@pytest.fixture
def dino_hub(hub):
    """A file under the name of the smallest DINO; it holds no weights."""
    content = os.urandom(400_000)
    hub.files[DINO.repositories[0], DINO.files[0][0]] = content
    return hub


@pytest.mark.usefixtures("dino_hub")
def test_weights_are_downloaded_from_the_dock(dock, qtbot):
    dock.weights.look_up()
    request_for_dino(dock, qtbot)
    (line,) = dock.engine_panel.lines
    assert "Apache-2.0" in line.text.text()
    assert "Press Download" in dock.run_panel.run_button.toolTip()
    line.button.click()
    assert not dock.engine_panel.lines[0].button.isEnabled()  # one job at a time, and it says so
    qtbot.waitUntil(lambda: dock.job is None and dock.weights.idle, timeout=20_000)
    assert "has been downloaded" in message(dock)
    assert dock.engine_panel.lines == []
    assert dock.run_panel.run_button.isEnabled()


@pytest.mark.parametrize("stalled", [True, False])
def test_cancel_ends_a_download_within_a_second(dino_hub, dock, qtbot, stalled):
    dino_hub.pause = 0.2
    dino_hub.stall_after = 100_000 if stalled else None
    dock.weights.look_up()
    request_for_dino(dock, qtbot)
    dock.engine_panel.lines[0].button.click()
    qtbot.waitUntil(lambda: "MB" in dock.status_panel.stage.text(), timeout=10_000)
    started = time.monotonic()
    dock.status_panel.cancel_button.click()
    qtbot.waitUntil(lambda: dock.job is None, timeout=5000)
    assert time.monotonic() - started < 1
    assert "Cancelled" in message(dock)
    assert dock.engine_panel.lines[0].button.isEnabled()


def test_a_model_of_open_clips_table_is_offered_for_download(hub, dock, qtbot):
    name = "open_clip:roberta-ViT-B-32/laion2b_s12b_b32k"
    repository = "laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k"
    hub.files[repository, "open_clip_model.safetensors"] = os.urandom(20_000)
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        hub.files["roberta-base", file] = b"{}" * 20
    dock.engine_panel.setValue(SegmentationConfig(model=name, refiner="pamr", device="cpu"))
    qtbot.waitUntil(lambda: len(dock.engine_panel.lines) == 1, timeout=60_000)
    dock.engine_panel.lines[0].button.click()
    qtbot.waitUntil(lambda: dock.job is None and dock.weights.idle, timeout=20_000)
    assert "has been downloaded" in message(dock)
    assert dock.engine_panel.lines == []
    assert any(request.startswith("GET /roberta-base/") for request in hub.requested)


# ---------------------------------------------------------------------- while it runs


def test_deleting_the_image_during_a_run_drops_the_result(dock, qtbot):
    dock.run()
    dock.viewer.layers.clear()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert len(dock.viewer.layers) == 0
    assert "removed" in message(dock)


def test_deleting_the_output_during_a_run_makes_a_new_one(dock, run, qtbot):
    run(dock)
    dock.run()
    dock.viewer.layers.remove(labels_of(dock))
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert labels_of(dock) in dock.viewer.layers


def test_running_twice_at_once_is_one_run(dock, qtbot):
    dock.run()
    job = dock.job
    dock.run()
    assert dock.job is job
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert len(outputs(dock.viewer)) == 1


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


def test_closing_during_a_run_ends_the_job(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    dock = CliperWidget(viewer)
    viewer.window.add_dock_widget(dock)
    viewer.add_image(make_scene((96, 128), 1_000_009).image)
    dock.engine_panel.setValue(SegmentationConfig(model="demo", device="cpu"))
    qtbot.waitUntil(lambda: dock.weights.idle, timeout=20_000)
    dock.classes_panel.add_words("yeast, nucleus")
    dock.run()
    started = time.monotonic()
    dock.close_down()
    assert time.monotonic() - started < 3
    assert outputs(viewer) == []


def test_unload_frees_the_networks_and_keeps_the_layers(dock, run):
    run(dock)
    assert dock.session.network_bytes > 0
    dock.panels["memory"].unload_button.click()
    assert dock.session.network_bytes == 0
    assert len(outputs(dock.viewer)) == 1
    run(dock)
    assert not dock.shown.outcome.encoded


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


def test_the_size_of_the_cache_is_remembered_and_kept(dock, run):
    run(dock)
    assert dock.session.capacity == 2_000_000_000
    second = dock.viewer.add_image(make_scene((96, 128), 1_000_009).image, name="second")
    choose(dock, second)
    run(dock)
    assert dock.panels["memory"].features.text().startswith("2 images")
    dock.panels["memory"].capacity.setValue(0.5)
    assert dock.session.capacity == 500_000_000
    dock.session.set_capacity(1)
    dock.state.result_changed.emit()
    assert dock.panels["memory"].features.text().startswith("1 image:")  # the last one stays
    dock.panels["memory"].forget_button.click()
    assert dock.session.kept[0] == 0


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_clearing_the_weights_asks_and_says_what_goes(dino_hub, dock, qtbot, monkeypatch, answer):
    asked = []

    def question(_parent, _title, text):
        asked.append(text)
        return getattr(QMessageBox.StandardButton, answer)

    monkeypatch.setattr(QMessageBox, "question", question)
    fetch(DINO)
    assert dino_hub.requested
    dock.weights.look_up()
    request_for_dino(dock, qtbot)
    assert dock.engine_panel.lines == []
    dock.frame.show_panel(dock.panels["memory"])
    dock.engine_panel.form.folds.open_at(dock.panels["memory"])
    clear = dock.panels["memory"].weights.clear
    qtbot.waitUntil(clear.isEnabled, timeout=20_000)
    clear.click()
    assert DINO.repositories[0] in asked[0]
    assert constants.HF_HUB_CACHE in asked[0]
    qtbot.waitUntil(lambda: dock.job is None and dock.weights.idle, timeout=20_000)
    gone = answer == "Yes"
    assert (cached(DINO) is None) == gone
    assert len(dock.engine_panel.lines) == gone  # offered for download again
    if gone:
        assert "deleted" in message(dock)
        qtbot.waitUntil(lambda: not clear.isEnabled(), timeout=20_000)


def test_score_maps_on_request(dock, run):
    run(dock)
    dock.threshold_panel.score_maps.setChecked(True)
    maps = [layer for layer in dock.viewer.layers if layer.name.endswith("score")]
    assert len(maps) == 4
    assert dock.image_panel.choice().layer is dock.viewer.layers["scene"]
    dock.threshold_panel.score_maps.setChecked(False)
    assert not [layer for layer in dock.viewer.layers if layer.name.endswith("score")]


def test_score_maps_of_a_plane_show_on_that_plane(dock, run):
    image = dock.viewer.layers["scene"].data[..., 0]
    dock.viewer.layers.clear()
    dock.viewer.add_image(np.stack([image, image[::-1], image]), name="stack", scale=(4, 2, 2))
    dock.viewer.dims.set_current_step(0, 1)
    run(dock)
    dock.threshold_panel.score_maps.setChecked(True)
    maps = [layer for layer in dock.viewer.layers if layer.name.endswith("score")]
    for layer in maps:
        np.testing.assert_allclose(layer.extent.world[:, 0], 4)
    assert dock.viewer.dims.range[0].stop == 8


def test_thresholds_of_another_run_are_kept_for_the_same_settings(dock, run):
    run(dock)
    dock.threshold_panel.class_slider.setValue(0.5)
    dock.threshold_panel.min_max.setChecked(not dock.threshold_panel.min_max.isChecked())
    values = dock.threshold_panel.value()
    run(dock)
    assert dock.threshold_panel.value() == values
    assert dock.shown.outcome.thresholds == values


@pytest.mark.one_binding
def test_opening_the_dock_imports_no_torch():
    code = (
        "import sys\nimport napari_cliper.plugin.dock\nassert 'torch' not in sys.modules, 'torch'\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_one_layer_shows_the_coarse_map_and_the_refined_one_in_turn(dock, run):
    run(dock)
    layer = labels_of(dock)
    refined = layer.data.copy()
    scores = dock.shown.outcome.scores
    dock.result.swap_stages()
    assert labels_of(dock, "coarse") is layer
    np.testing.assert_array_equal(layer.data, scores.to_labels(stage="coarse"))
    assert (layer.data != refined).any()
    assert "coarse" in message(dock)
    run(dock)  # another result shows the same stage
    np.testing.assert_array_equal(labels_of(dock, "coarse").data, scores.to_labels(stage="coarse"))
    dock.result.swap_stages()
    np.testing.assert_array_equal(labels_of(dock).data, refined)


def test_both_stages_as_layers_on_request(dock, run):
    run(dock)
    refined = labels_of(dock).data.copy()
    dock.threshold_panel.both_stages.setChecked(True)
    assert [layer.name for layer in outputs(dock.viewer)] == ["scene coarse", "scene refined"]
    coarse, layer = labels_of(dock, "coarse"), labels_of(dock)
    np.testing.assert_array_equal(layer.data, refined)
    expected = dock.shown.outcome.scores.to_labels(stage="coarse")
    np.testing.assert_array_equal(coarse.data, expected)
    assert (coarse.visible, layer.visible) == (False, True)
    dock.result.swap_stages()
    assert (coarse.visible, layer.visible) == (True, False)
    assert dock.viewer.layers.selection.active is coarse
    dock.result.swap_stages()
    dock.threshold_panel.both_stages.setChecked(False)
    assert [layer.name for layer in outputs(dock.viewer)] == ["scene prediction"]
    np.testing.assert_array_equal(labels_of(dock).data, refined)


@pytest.mark.one_binding
def test_the_demo_in_a_window_of_its_own(tmp_path):
    """A process that has not loaded torch before OpenGL: Triton and Mesa bring two LLVMs."""
    picture = tmp_path / "window.png"
    command = [sys.executable, "-m", "napari_cliper", "demo", "--screenshot", str(picture)]
    subprocess.run(command, check=True, timeout=300)
    with Image.open(picture) as image:
        assert image.width > 1000
        assert len(image.convert("RGB").getcolors(1 << 24)) > 1000


def test_ctrl_enter_runs_from_anywhere_in_the_window(dock, qtbot, monkeypatch):
    window = dock.viewer.window._qt_window
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    started = []
    monkeypatch.setattr(dock.main_job, "start", lambda *_: started.append(True))
    canvas = window._qt_viewer.canvas.native
    dock.frame.go_to("correct")
    for place in (canvas, dock.frame.tabs, dock.classes_panel.field, dock.classes_panel.table):
        if dock.frame.page == "correct" and place not in (canvas, dock.frame.tabs):
            dock.frame.go_to("find")
        place.setFocus()
        started.clear()
        qtbot.keyClick(place, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
        assert started, place
    started.clear()
    table = dock.classes_panel.table
    cell = dock.classes_panel.model.index(0, 1)
    table.setCurrentIndex(cell)
    table.edit(cell)
    editor = table.indexWidget(cell)
    editor.setText("nucleus")
    qtbot.keyClick(editor, Qt.Key.Key_Enter, Qt.KeyboardModifier.ControlModifier)
    assert started
    assert dock.classes_panel.value()[0].name == "nucleus"


def test_before_the_run_it_says_which_objects_a_large_image_loses(dock):
    assert not dock.image_panel.warning.isVisibleTo(dock)
    viewer = dock.viewer
    viewer.add_image(np.zeros((8000, 8000), np.uint8), name="large", contrast_limits=(0, 9))
    dock.engine_panel.setValue(SegmentationConfig(model="ViT-B/16", device="cpu"))
    warning = dock.image_panel.warning
    assert warning.isVisibleTo(dock)
    assert "Reduced 24 times" in warning.text()
    assert "about 190 px" in warning.text()
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
    assert [action.text() for action in menu.actions()] == list(expected)
    for text, size in expected.items():
        menu.aboutToShow.emit()
        next(action for action in menu.actions() if action.text() == text).trigger()
        qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
        region = dock.shown.choice.region
        if size is not None:
            assert tuple(side.stop - side.start for side in region) == size
        assert region == dock.image_panel.choice().region


def test_every_page_fits_a_laptop(dock, run, laptop, qtbot):
    """A window of 1280 x 640 leaves 322 x 575 pixels beside napari's bars."""
    run(dock)
    dock.annotation_controller.accept()
    laptop()
    assert dock.width() == 322
    assert dock.height() < 580
    dock.classes_panel.add_words("yeast, bubble, crystal, nucleus")
    dock.threshold_panel.more.expand()
    dock.threshold_panel.own.click()

    def check(state):
        page = dock.frame.current
        assert page.widget().minimumSizeHint().width() <= page.viewport().width(), state
        bar = page.verticalScrollBar()
        qtbot.waitUntil(lambda: bar.maximum() == 0, timeout=2000)  # layouts follow in steps

    def check_all(state):
        for name in (*STEPS, "settings"):
            dock.frame.go_to(name)
            assert dock.frame.page == name
            check((state, name))
            for accordion in dock.frame.current.findChildren(Accordion):
                for fold in accordion.folds:
                    fold.set_open(is_open=True)
                    check((state, name, fold.header.text()))

    check_all("result")
    dock.project_panel.line.setVisible(True)
    dock.viewer.layers.remove(dock.annotation_controller.all[0].layer)
    dock.frame.go_to("find")
    assert dock.offers_panel.isVisible()
    check_all("project and offer")
    dock.threshold_panel.class_slider.setValue(dock.threshold_panel.class_slider.maximum())
    qtbot.waitUntil(lambda: not dock.state_panel.isHidden(), timeout=10_000)
    check_all("project, offer and nothing found")
    assert dock.frame.minimumSizeHint().width() == 322


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
