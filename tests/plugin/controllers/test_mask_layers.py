"""Layers with objects are offered as masks for CorrCLIP, and decide about its labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import zarr
from colour_features import use_colour_features

from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import SegmentationConfig, Tiles

SCENE = make_scene((96, 128), 1_000_008)


@pytest.fixture
def corrclip(dock, monkeypatch):
    """The dock with CorrCLIP chosen, and a stand-in for its DINO."""
    use_colour_features(monkeypatch)
    monkeypatch.setattr(dock.engine_panel, "missing", lambda _config=None: ())
    config = SegmentationConfig(
        method="corrclip", model="demo", device="cpu", refiner="none", background=()
    )
    dock.engine_panel.setValue(config)
    return dock


def offered(dock):
    box = dock.engine_panel.form.masks
    return [box.itemText(index) for index in range(box.count())]


def labels(dock):
    return dock.shown.outcome.live["coarse"].labels(dock.shown.outcome.thresholds)


@pytest.mark.one_binding
def test_a_layer_as_masks(corrclip, run):
    dock, box = corrclip, corrclip.engine_panel.form.masks
    assert offered(dock) == ["superpixels", "SAM", "none"]
    layer = dock.viewer.add_labels(SCENE.instances.astype(np.int32) * 3, name="cells")
    dock.viewer.add_labels(np.zeros((8, 8), int), name="of another size")
    assert offered(dock) == ["superpixels", "SAM", "none", "cells"]
    layer.name = "nuclei"
    assert offered(dock)[-1] == "nuclei"
    box.setCurrentIndex(3)
    run(dock)
    assert dock.shown.outcome.embedding.record["masks"]["source"] == "given"
    for number in np.unique(SCENE.instances)[1:]:
        assert len(set(labels(dock)[SCENE.instances == number])) == 1
    # The layer is read again: all objects as one mask have one label.
    layer.data = (SCENE.instances > 0).astype(np.int32)
    run(dock)
    assert dock.shown.outcome.encoded
    assert len(set(labels(dock)[SCENE.instances > 0])) == 1
    # Settings of a project name no layer; a layer that is gone leaves the superpixels.
    dock.engine_panel.setValue(dock.engine_panel.value())
    assert dock.engine_panel.mask_layer() == "nuclei"
    dock.viewer.layers.remove(layer)
    assert offered(dock) == ["superpixels", "SAM", "none"]
    assert box.currentText() == "superpixels"
    run(dock)
    assert dock.shown.outcome.embedding.record["masks"]["source"] == "superpixels"


def choose(dock, qtbot, beginning):
    """Choose an entry of the menu beside Run, and wait for the end of its work."""
    dock.run_panel.menu.aboutToShow.emit()
    (action,) = [one for one in dock.run_panel.menu.actions() if one.text().startswith(beginning)]
    action.trigger()
    assert dock.job is not None, dock.status_panel.message.text()
    qtbot.waitUntil(lambda: dock.job is None and dock.idle, timeout=60_000)


def test_each_plane_of_a_stack_has_its_own_masks(corrclip, qtbot):
    dock, viewer = corrclip, corrclip.viewer
    viewer.layers.clear()
    image = np.stack([SCENE.image] * 3)
    viewer.add_image(image, name="stack", rgb=True, axis_labels=("z", "y", "x"))
    objects = SCENE.instances > 0
    masks = np.stack([SCENE.instances, objects, objects]).astype(np.int32)
    viewer.add_labels(masks, name="cells")
    viewer.layers.selection.active = viewer.layers["stack"]
    viewer.dims.set_point(0, 0)
    dock.engine_panel.form.masks.setCurrentText("cells")
    qtbot.waitUntil(lambda: dock.idle, timeout=60_000)

    def on_objects():
        """How many labels each plane has on its objects, and which planes were propagated."""
        shown = {one.shown.choice.plane[0]: one.shown.outcome for one in dock.result.kept}
        numbers = {
            z: len(set(one.live["coarse"].labels(one.thresholds)[objects]))
            for z, one in shown.items()
        }
        return numbers, {z for z, one in shown.items() if one.propagated}

    choose(dock, qtbot, "All planes of z")
    numbers, propagated = on_objects()
    assert numbers.keys() == {0, 1, 2}
    assert numbers[0] > 1  # else the masks of the first plane would do for the others
    assert numbers[1] == numbers[2] == 1
    assert not propagated
    dock.annotation_panel.accept_button.click()
    qtbot.waitUntil(lambda: dock.idle, timeout=60_000)
    choose(dock, qtbot, "Propagate to the next planes of z")
    numbers, propagated = on_objects()
    assert 1 in propagated, dock.status_panel.message.text()
    assert numbers[0] > 1
    assert numbers[1] == 1


@pytest.mark.one_binding
def test_with_tiles_planes_that_are_not_in_memory_are_read_by_tile(dock):
    planes = np.stack([SCENE.image, SCENE.image[::-1]])
    dock.viewer.layers.clear()
    dock.viewer.add_image(zarr.array(planes), name="lazy", rgb=True)
    dock.viewer.dims.set_point(0, 0)
    dock.engine_panel.setValue(replace(dock.engine_panel.value(), tiles=Tiles(64)))
    choice, _, shown = dock.requests.of_run()
    for z, request in ((0, shown), (1, dock.requests.of_plane(shown, replace(choice, plane=(1,))))):
        read = request.image.read()
        assert not isinstance(read, np.ndarray)
        np.testing.assert_array_equal(read[...], planes[z])
