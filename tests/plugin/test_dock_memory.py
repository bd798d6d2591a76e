"""Embeddings and networks that the dock keeps."""

from __future__ import annotations

import pytest
from dock_views import choose, outputs

from napari_cliper.demo.scenes import make_scene

pytestmark = pytest.mark.one_binding


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


def test_unload_frees_the_networks_and_keeps_the_layers(dock, run):
    run(dock)
    assert dock.session.network_bytes > 0
    dock.panels["memory"].unload_button.click()
    assert dock.session.network_bytes == 0
    assert len(outputs(dock.viewer)) == 1
    run(dock)
    assert not dock.shown.outcome.encoded


def test_the_size_of_the_cache_is_remembered_and_kept(dock, run):
    run(dock)
    assert dock.session.capacity == 2_000_000_000
    second = dock.viewer.add_image(make_scene((96, 128), 1_000_009).image, name="second")
    choose(dock, second)
    run(dock)
    assert dock.panels["memory"].features.text().startswith("2 images")
    dock.panels["memory"].capacity.setValue(0.5)
    assert dock.session.capacity == 500_000_000
    dock.session.capacity = 1
    dock.state.result_changed.emit()
    assert dock.panels["memory"].features.text().startswith("1 image:")  # the last one stays
    dock.panels["memory"].forget_button.click()
    assert dock.session.kept[0] == 0
