"""Labels that are computed chunk by chunk: those of the whole image, however they are read."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter

from napari_cliper.demo.run import all_classes
from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import (
    SegmentationConfig,
    Segmenter,
    TileMemory,
    Tiles,
    Window,
    in_chunks,
    labels_by_chunk,
    live_on_grid,
)
from napari_cliper.segmentation.labelling import labels_by_chunk as module
from napari_cliper.segmentation.labelling.labels_by_chunk import HintedCells, LabelsByChunk


def test_chunks_have_the_labels_of_the_whole_image_and_only_what_is_read_is_computed(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 96)
    scene = make_scene((200, 330), 1_000_003, unit=256)
    config = SegmentationConfig(model="demo", refiner="pamr", device="cpu", tiles=Tiles(128, 32))
    segmenter = Segmenter(config, tile_store=TileMemory())
    embedding = segmenter.embed(scene.image)
    scores = segmenter.score(embedding, all_classes())
    assert in_chunks(scores)
    thresholds = scores.settings.thresholds.with_values(class_threshold=0.5)
    live = live_on_grid(scores)
    found = labels_by_chunk(scores, live, thresholds, embedding)
    every = Window(0, 0, 200, 330)
    for stage, labels in found.items():
        expected = scores.to_labels(thresholds, stage=stage)
        assert (labels.shape, labels.dtype, labels.size) == (
            expected.shape, expected.dtype, expected.size,
        )  # fmt: skip
        reduced = live[stage].labels(thresholds)
        rows, columns = np.arange(200), np.arange(330)
        of_cells = reduced[rows * len(reduced) // 200][:, columns * reduced.shape[1] // 330]
        np.testing.assert_array_equal(labels.seen(every), of_cells)
        assert labels.any() == reduced.any()
        assert len(labels.missing(every)) == 12
    labels, expected = found["refined"], scores.to_labels(thresholds)
    np.testing.assert_array_equal(labels[100:150, 90:100], expected[100:150, 90:100])
    assert labels[150, 329] == expected[150, 329]
    np.testing.assert_array_equal(labels[7, 5:90], expected[7, 5:90])
    assert len(labels.missing(every)) == 12 - 4
    missing = labels.missing(Window(0, 0, 200, 200))
    assert missing[0] == Window(0, 96, 96, 192)
    labels.compute(missing[0])
    part = Window(3, 100, 90, 190)
    np.testing.assert_array_equal(labels.seen(part), expected[3:90, 100:190])
    np.testing.assert_array_equal(labels.seen(part, 2), expected[3:90:2, 100:190:2])
    np.testing.assert_array_equal(np.asarray(labels), expected)
    for step in (1, 2):
        np.testing.assert_array_equal(labels.seen(every, step), expected[::step, ::step])
    assert not labels.missing(every)
    assert expected.any()
    assert labels.nbytes < expected.nbytes / 2


def test_edges_of_what_follows_hints_are_those_of_the_image(monkeypatch):
    """Hints that name all objects, cell by cell, where the words find nothing."""
    monkeypatch.setattr(module, "CHUNK", 160)
    scene = make_scene((320, 320), 1_000_003, unit=256)
    config = SegmentationConfig(model="demo", device="cpu", tiles=Tiles(256, 64, 0.5))
    segmenter = Segmenter(config, tile_store=TileMemory())
    embedding = segmenter.embed(scene.image)
    scores = segmenter.score(embedding, all_classes())
    thresholds = scores.settings.thresholds.with_values(class_threshold=2.0)
    live = live_on_grid(scores)["coarse"]
    rows, columns = (np.arange(320) * cells // 320 for cells in live.labels(thresholds).shape)
    centres = [
        (2 * np.arange(cells) + 1) * 320 // (2 * cells) for cells in (rows[-1] + 1, columns[-1] + 1)
    ]
    named = scene.labels[np.ix_(*centres)].astype(np.uint8)
    hinted = HintedCells(named > 0, embedding)
    labels = np.asarray(LabelsByChunk(scores, "coarse", thresholds, named, hinted))
    cells = named[rows][:, columns]
    assert (cells == scene.labels).mean() > 0.9
    assert (labels != scene.labels).mean() < 0.8 * (cells != scene.labels).mean()
    far = ~maximum_filter(cells > 0, 33)
    assert far.any()
    assert not labels[far].any()
