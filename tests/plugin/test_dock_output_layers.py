"""Score maps and stages of a prediction as layers."""

from __future__ import annotations

import numpy as np
import pytest
from dock_views import labels_of, message, outputs

pytestmark = pytest.mark.one_binding


def test_score_maps_on_request(dock, run):
    run(dock)
    dock.threshold_panel.score_maps.setChecked(True)
    maps = [layer for layer in dock.viewer.layers if layer.name.endswith("score")]
    assert len(maps) == 4
    assert dock.image_panel.value().layer is dock.viewer.layers["scene"]
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
