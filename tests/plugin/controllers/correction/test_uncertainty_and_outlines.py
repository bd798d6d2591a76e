"""Layers of uncertainty and outlines follow the prediction."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hint_strokes import SCENE, annotation, contradict, predicted

from napari_cliper.annotation.user_hints import BACKGROUND
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.plugin.layers import outlines

pytestmark = pytest.mark.one_binding


def test_uncertainty_is_a_layer_that_follows(result, settle):
    active = result.viewer.layers.selection.active
    result.corrections_panel.uncertainty.click()
    settle(result)
    layer = result.viewer.layers["scene uncertainty"]
    assert result.viewer.layers.selection.active is active
    assert result.image_panel.value().layer is result.viewer.layers["scene"]
    assert layer.data.shape == predicted(result).data.shape
    assert 0 <= layer.data.min() < layer.data.max() <= 1
    np.testing.assert_allclose(layer.extent.world, result.viewer.layers["scene"].extent.world)
    before = layer.data.copy()
    contradict(result)
    settle(result)
    assert result.viewer.layers["scene uncertainty"] is layer
    assert not np.array_equal(layer.data, before)
    assert not layer.data[annotation(result).layer.data > 0].any()
    result.corrections_panel.uncertainty.click()
    assert layer not in result.viewer.layers


def test_uncertainty_follows_another_result(result, run, settle):
    result.corrections_panel.uncertainty.click()
    settle(result)
    before = result.viewer.layers["scene uncertainty"].data.copy()
    result.classes_panel.setValue([ClassRow("fibre")])
    run(result)
    settle(result)
    assert not np.array_equal(result.viewer.layers["scene uncertainty"].data, before)
    result.viewer.layers.clear()
    result.viewer.add_image(SCENE.image[:80], name="another")
    result.corrections_panel.uncertainty.setChecked(True)
    run(result)
    settle(result)
    assert result.viewer.layers["another uncertainty"].data.shape == (80, 128)


def test_uncertainty_lies_beneath_what_a_person_draws(result, settle):
    result.corrections_panel.tools.buttons["click"].click()
    result.corrections_panel.uncertainty.click()
    settle(result)
    names = [layer.name for layer in result.viewer.layers]
    above = ["scene annotation", "scene refined", "scene clicks"]
    assert all(names.index("scene uncertainty") < names.index(name) for name in above)


def test_outlines_stay_above_what_was_accepted(result, run, settle):
    def check():
        names = [layer.name for layer in result.viewer.layers]
        assert names.index("scene annotation") < names.index("scene refined")
        assert predicted(result).visible
        assert predicted(result).contour > 0  # the labels below are seen as well

    result.annotation_panel.accept_button.click()
    check()
    contradict(result)
    settle(result)
    check()
    result.annotation_panel.rule.setCurrentIndex(1)  # Keep hand-painted pixels
    result.annotation_panel.accept_button.click()
    np.testing.assert_array_equal(annotation(result).layer.data, predicted(result).data)
    run(result)
    settle(result)
    check()


def test_outlines_of_large_planes_are_made_in_the_thread(result, run, settle, monkeypatch):
    result.result.show_both(False)
    monkeypatch.setattr(outlines, "OUTLINED_UP_TO", 0)
    threads = []
    made = outlines.drawn_outlines
    monkeypatch.setattr(
        outlines,
        "drawn_outlines",
        lambda *given: threads.append(threading.current_thread()) or made(*given),
    )
    result.viewer.layers.clear()
    result.viewer.add_image(SCENE.image, name="large")
    run(result)
    settle(result)
    prediction = result.shown.predictions["refined"]
    expected = result.shown.outcome.scores.to_labels()

    def check():
        shown = prediction.layer.data
        assert set(np.unique(shown - prediction.labels * (shown > 0))) == {0}
        assert 0 < np.count_nonzero(shown) < np.count_nonzero(prediction.labels)

    check()
    np.testing.assert_array_equal(prediction.labels, expected)
    assert (prediction.layer.contour, prediction.layer.editable) == (0, False)
    result.annotation_panel.accept_button.click()
    mine = result.annotation_controller.current()
    assert (mine.layer.data > 0).sum() == (expected > 0).sum()  # whole regions, not outlines
    result.threshold_panel.background_slider.setValue(0.6)
    settle(result)
    check()
    assert (prediction.labels != expected).any()
    rows, columns = np.nonzero(prediction.labels)
    clicks = result.correction_controller.click_controller
    clicks.click_at((rows[9], columns[9]), BACKGROUND)
    settle(result)
    check()
    result.result.swap_stages()
    coarse = result.shown.predictions["coarse"]
    assert coarse is prediction
    check()
    shown = prediction.layer.data.copy()
    result.result.swap_stages()
    check()
    result.result.swap_stages()
    np.testing.assert_array_equal(prediction.layer.data, shown)
    assert prediction.live
    assert prediction.layer.visible
    assert not prediction.layer.editable
    assert threading.main_thread() not in threads


def test_an_uncertainty_layer_that_is_removed_unchecks_the_box(result, settle):
    result.corrections_panel.uncertainty.click()
    settle(result)
    result.viewer.layers.remove("scene uncertainty")
    assert not result.corrections_panel.uncertainty.isChecked()
    contradict(result)
    settle(result)
    assert "scene uncertainty" not in result.viewer.layers
