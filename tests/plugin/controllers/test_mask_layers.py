"""Layers with objects are offered as masks for CorrCLIP, and decide about its labels."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import SegmentationConfig
from napari_cliper.segmentation.models import loading

SCENE = make_scene((96, 128), 1_000_008)


class Colours:
    """A foundation model whose features of a patch are its mean colour."""

    patch, mean, std = 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    networks = (nn.Identity(),)

    def query_key_sums(self, pixels, _monitor=None):
        return nn.functional.avg_pool2d(pixels, self.patch).float()


@pytest.fixture
def corrclip(dock, monkeypatch):
    """The dock with CorrCLIP chosen, and a stand-in for its DINO."""
    loaded = loading.Loaded(Colours(), [])
    monkeypatch.setattr(loading, "load_foundation", lambda *_, monitor: loaded)
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
