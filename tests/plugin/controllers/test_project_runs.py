"""All images of a project are run from the dock; what was computed is used again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from napari.layers import Labels
from PIL import Image as Picture

from napari_cliper.annotation.edit_mask import ACCEPTED
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io import images
from napari_cliper.plugin import engine_session
from napari_cliper.plugin.layers import image_layers, window_region
from napari_cliper.plugin.layers.prediction_layers import LargePrediction
from napari_cliper.segmentation import StoredLabels
from napari_cliper.segmentation.labelling import labels_by_chunk
from napari_cliper.workflows import predict_images

pytestmark = pytest.mark.one_binding

SHAPE = (96, 128)


@pytest.fixture
def project(dock, tmp_path, qtbot):
    """The dock at the first of four images, of which the third is damaged and the last done."""
    files = []
    for index in range(4):
        files.append(tmp_path / f"scene {index + 1}.png")
        Picture.fromarray(make_scene(SHAPE, 1_000_008 + index).image).save(files[-1])
    dock.viewer.layers.clear()
    dock.project_controller.create(tmp_path / "project", files)
    shown(dock, qtbot, "scene 1")
    dock.project_controller.project.set_status("scene 4", "done")
    files[2].write_bytes(b"no image")
    return dock


def shown(dock, qtbot, name):
    qtbot.waitUntil(
        lambda: (
            dock.project_controller.current == name
            and dock.project_controller.idle
            and dock.project_runs.idle
        ),
        timeout=10_000,
    )


def entry(dock):
    dock.run_panel.menu.aboutToShow.emit()
    return next(one for one in dock.run_panel.menu.actions() if "All images" in one.text())


def ended(dock, qtbot):
    qtbot.waitUntil(lambda: dock.job is None and dock.project_runs.idle, timeout=60_000)


@pytest.fixture
def encoded(monkeypatch):
    """The images that are scored from now on."""
    found = []
    scores = engine_session.Session._scores

    def count(self, request, *args, **kwargs):
        found.append(request.image.read().tobytes())
        return scores(self, request, *args, **kwargs)

    monkeypatch.setattr(engine_session.Session, "_scores", count)
    return found


def test_predictions_are_kept_shown_and_used_again(project, run, qtbot, encoded):
    dock = project
    assert entry(dock).text() == "All images of the project (3 not done)"
    entry(dock).trigger()
    ended(dock, qtbot)
    message = dock.status_panel.message.text()
    assert message.startswith("Segmented 2 images.")
    assert "scene 3 could not be run" in message
    assert len(encoded) == 2
    first = dock.result.seen()
    assert first.choice.layer is dock.project_controller.layer
    assert dock.shown is None  # there are no scores to move thresholds of
    assert not dock.threshold_panel.class_slider.isEnabled()
    assert dock.state_panel.text.text().startswith("This is the saved prediction of the image.")
    dock.project_panel.order_button.click()
    ended(dock, qtbot)
    assert len(encoded) == 2  # sorting has run nothing again
    order = [image.name for image in dock.project_controller.project.images]
    assert set(order[:2]) == {"scene 1", "scene 2"}
    assert order[2:] == ["scene 3", "scene 4"]
    images, texts = dock.project_panel.images, []
    for word in (">0%", "<0.1", ">100", ">0% scene"):
        dock.project_panel.filter.setText(word)
        rows = [images.item(row) for row in range(images.count())]
        texts.append([row.text()[:7] for row in rows if not row.isHidden()])
    assert texts == [order[:2], [], [], order[:2]]
    dock.project_panel.filter.clear()

    dock.project_controller.go_to("scene 2")
    shown(dock, qtbot, "scene 2")
    kept = dock.result.seen()
    labels = kept.layer.data.copy()
    assert labels.any()
    assert isinstance(kept.layer, Labels)
    assert dock.annotation_panel.accept_button.isEnabled()
    dock.annotation_controller.accept()
    mine = dock.annotation_controller.of(dock.project_controller.layer)
    np.testing.assert_array_equal(mine.layer.data, labels)
    assert (mine.edits.edit_mask == ACCEPTED).all()
    assert [row.name for row in mine.classes.values()] == [
        row.name for row in dock.classes_panel.value()
    ]
    assert mine.record["config"]["model"] == "demo"
    assert len(encoded) == 2

    dock.image_panel.images.setCurrentText("scene 2")
    run(dock)  # the same words give the same labels, in the same layer
    assert dock.result.seen().layer is kept.layer
    np.testing.assert_array_equal(kept.layer.data, labels)
    assert dock.threshold_panel.class_slider.isEnabled()
    layers = [layer.name for layer in dock.viewer.layers if "prediction" in layer.name]
    assert len(layers) == 1

    dock.classes_panel.add_words("crystal")
    dock.project_controller.go_to("scene 1")
    shown(dock, qtbot, "scene 1")
    assert dock.result.seen() is None  # of other words
    dock.classes_panel.undo()
    dock.project_controller.go_to("scene 2")
    shown(dock, qtbot, "scene 2")
    assert dock.result.seen() is not None


def test_a_cancelled_run_keeps_what_was_finished(project, qtbot, monkeypatch):
    dock = project
    predict = engine_session.Session.predict
    done = []

    def slow(self, request, report, should_stop):
        if done:
            dock.job._stop.set()  # as Cancel does, in the midst of the second image
        done.append(predict(self, request, report, should_stop))
        return done[-1]

    monkeypatch.setattr(engine_session.Session, "predict", slow)
    entry(dock).trigger()
    ended(dock, qtbot)
    assert "finished are kept" in dock.status_panel.message.text()
    stored = sorted((dock.project_controller.project.folder / "predictions").iterdir())
    assert [path.name for path in stored] == ["scene 1.npz"]
    dock.project_controller.go_to("scene 2")
    shown(dock, qtbot, "scene 2")
    dock.project_controller.go_to("scene 1")
    shown(dock, qtbot, "scene 1")
    assert dock.result.seen() is not None


def test_the_saved_prediction_of_a_stack_is_found_from_any_plane(dock, tmp_path, qtbot):
    planes = [make_scene(SHAPE, 1_000_008 + index).image for index in range(5)]
    metadata = {"axes": "ZYXS"}
    tifffile.imwrite(tmp_path / "stack.tif", np.stack(planes), photometric="rgb", metadata=metadata)
    dock.viewer.layers.clear()
    dock.project_controller.create(tmp_path / "project", [tmp_path / "stack.tif"])
    shown(dock, qtbot, "stack")
    dock.viewer.dims.set_current_step(0, 0)
    entry(dock).trigger()
    ended(dock, qtbot)
    assert dock.result.seen() is None
    for panel in (dock.state_panel, dock.correct_state):
        assert "or go to z 2" in panel.text.text()
    first, second = dock.state_panel.buttons
    assert (first.text(), second.text()) == ("Run this plane", "Go to z 2")
    second.click()
    assert dock.viewer.dims.current_step[0] == 2
    labels = dock.result.seen().labels
    assert [one.text() for one in dock.state_panel.buttons] == ["Run this plane", "Accept"]
    dock.state_panel.buttons[1].click()
    mine = dock.annotation_controller.of(dock.project_controller.layer)
    np.testing.assert_array_equal(mine.layer.data[2], labels)
    assert (mine.edits.edit_mask[2] == ACCEPTED).all()
    assert not mine.edits.edit_mask[[0, 1, 3, 4]].any()
    ended(dock, qtbot)  # it learns prototypes
    dock.state_panel.buttons[0].click()
    ended(dock, qtbot)
    assert dock.shown.choice.plane == (2,)
    assert dock.threshold_panel.class_slider.isEnabled()


def test_without_a_project_there_is_no_such_entry(dock):
    dock.run_panel.menu.aboutToShow.emit()
    assert not any("All images" in one.text() for one in dock.run_panel.menu.actions())


def test_a_large_image_is_labelled_by_chunk_shown_and_accepted(dock, tmp_path, qtbot, monkeypatch):
    monkeypatch.setattr(image_layers, "LARGEST_IN_MEMORY", 256)
    monkeypatch.setattr(window_region, "WINDOW", 256)
    monkeypatch.setattr(predict_images, "LARGE_PIXELS", 256 * 256)
    monkeypatch.setattr(images, "LAZY_PIXELS", 256 * 256)
    monkeypatch.setattr(labels_by_chunk, "CHUNK", 128)
    scene = make_scene((320, 320), 1_000_003, unit=256).image
    tifffile.imwrite(tmp_path / "slide.tif", scene, tile=(64, 64), photometric="rgb")
    dock.viewer.layers.clear()
    dock.engine_panel.setValue(replace(dock.engine_panel.value(), refiner="none"))
    dock.tiles_panel.setValue(60.0)
    dock.project_controller.create(tmp_path / "project", [tmp_path / "slide.tif"])
    shown(dock, qtbot, "slide")
    entry(dock).trigger()
    ended(dock, qtbot)
    assert dock.status_panel.message.text().startswith("Segmented 1 image.")
    seen = dock.result.seen()
    assert isinstance(seen, LargePrediction)
    assert isinstance(seen.labels, StoredLabels)
    expected = seen.labels[:, :]
    assert expected.any()
    np.testing.assert_array_equal(seen.layer.data[0][100:200, 50:120], expected[100:200, 50:120])
    dock.annotation_controller.accept()
    qtbot.waitUntil(lambda: dock.idle, timeout=60_000)
    mine = dock.annotation_controller.of(dock.project_controller.layer)
    np.testing.assert_array_equal(mine.state().labels[:, :], expected)
    dock.project_panel.order_button.click()
    ended(dock, qtbot)
    assert "0%" in dock.project_panel.images.item(0).text()  # all is decided
