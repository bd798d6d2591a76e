"""A large lazy image: labels on disk, and an editable window that follows the view."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.components.viewer_model import ViewerModel

from napari_cliper.annotation.edit_mask import ACCEPTED, PAINTED
from napari_cliper.annotation.project.sessions import sessions_folder
from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.plugin.layers import image_layers, large_annotation_layer

SIDE, PART = 1536, 128
SCENE = make_scene((PART, PART), 1_000_008).image


@pytest.fixture
def slide(dock, monkeypatch):
    """A dock beside a lazy image of which a whole array is never made."""
    monkeypatch.setattr(image_layers, "LARGEST_IN_MEMORY", 1024)
    monkeypatch.setattr(large_annotation_layer, "WINDOW", 512)
    read = []

    def block(block_info=None):
        read.append(block_info[None]["array-location"])
        return SCENE

    number = SIDE // PART
    chunks = ((PART,) * number, (PART,) * number, (3,))
    dock.read = read
    dock.source = da.map_blocks(block, chunks=chunks, dtype=np.uint8, meta=np.zeros((0, 0, 0), "u1"))
    dock.viewer.layers.clear()
    dock.viewer.add_image(dock.source, name="slide", rgb=True)
    return dock


def look_at(dock, row, column, qtbot, zoom=4.0):
    camera = dock.viewer.scene.camera
    camera.zoom = zoom
    camera.center = (0, row, column)
    qtbot.waitUntil(lambda: dock.windows.idle, timeout=10_000)


def stroke(annotation, row, column, label):
    """Paint around a pixel of the image, as the brush does."""
    rows, columns = annotation.edits.region
    annotation.layer.brush_size = 6
    annotation.layer.paint((row - rows.start, column - columns.start), label)
    annotation.follow()


def test_painting_undo_accept_and_saves_work_wherever_the_window_is(slide, run, qtbot):
    dock, controller = slide, slide.annotation_controller
    dock.image_panel.choose("visible", current_plane=True)
    look_at(dock, 700, 700, qtbot)
    dock.read.clear()
    run(dock)
    controller.accept()
    (annotation,) = controller.all
    store = annotation.store
    region = dock.result.seen().choice.region
    np.testing.assert_array_equal(annotation.edits.labels[region] > 0, dock.result.seen().labels > 0)
    assert (annotation.edits.edit_mask[region] == ACCEPTED).all()
    accepted = store.counts()
    assert accepted.decided == np.prod(dock.result.seen().labels.shape)
    assert annotation.layer.data.shape == (512, 512)
    shown = annotation.edits.region
    np.testing.assert_array_equal(annotation.layer.data, annotation.edits.labels[shown])
    stroke(annotation, 700, 700, 3)
    assert (annotation.edits.edit_mask[698:703, 698:703] == PAINTED).sum() > 10
    here = store.counts()
    look_at(dock, 100, 1400, qtbot)
    assert annotation.edits.region == (slice(0, 512), slice(1024, 1536))
    np.testing.assert_array_equal(annotation.layer.translate, (0, 1024))
    assert not annotation.layer.data.any()
    stroke(annotation, 60, 1500, 2)
    assert annotation.edits.labels[60, 1500] == 2
    assert dock.viewer.layers["slide"].get_value((60, 1500)) is not None
    annotation.layer.undo()
    assert store.counts() == here
    assert not annotation.layer.data.any()
    annotation.layer.undo()  # of the stroke that is out of sight
    assert store.counts() == accepted
    annotation.layer.redo()
    annotation.layer.redo()
    assert annotation.layer.data[60, 1500 - 1024] == 2
    assert len(dock.read) < 40  # of 144
