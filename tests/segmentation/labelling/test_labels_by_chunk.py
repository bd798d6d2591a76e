"""Labels that are computed chunk by chunk: those of the whole image, however they are read."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from napari_cliper.demo.run import all_classes
from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import (
    LiveLabels,
    SegmentationConfig,
    Segmenter,
    TileMemory,
    Tiles,
    UserHints,
    Window,
    image_affinity,
    in_chunks,
    labels_by_chunk,
    live_on_grid,
)
from napari_cliper.segmentation.labelling import labels_by_chunk as module
from napari_cliper.segmentation.labelling.labels_by_chunk import LabelsByChunk, WordLabels
from napari_cliper.segmentation.propagation import superpixel_graph


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
    found = labels_by_chunk(scores, live, thresholds)
    every = Window(0, 0, 200, 330)
    for stage, labels in found.items():
        expected = scores.to_labels(thresholds, stage=stage)
        assert (labels.shape, labels.dtype, labels.size) == (
            expected.shape, expected.dtype, expected.size,
        )  # fmt: skip
        reduced = live[stage].labels(thresholds)
        rows, columns = np.arange(200), np.arange(330)
        assert reduced.shape == (200, 330)  # the image is small
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
    assert labels.nbytes < expected.nbytes / 2 + labels.reduced.nbytes


class HintsOf:
    """Hints in the pixels of an image."""

    key = None

    def __init__(self, labels):
        self.labels = labels

    def at(self, window):
        return self.labels[window.slices].copy()


@pytest.mark.parametrize("refiner", ["none", "pamr"])
def test_hints_change_chunks_as_they_change_the_labels_of_a_whole_image(monkeypatch, refiner):
    """Strokes thinner than a patch contradict the words; the whole image is the reference."""
    monkeypatch.setattr(module, "CHUNK", 128)
    monkeypatch.setattr(superpixel_graph, "SMALL_PIXELS", 160 * 160)  # both have these superpixels
    scene = make_scene((320, 320), 1_000_003, unit=256)
    config = SegmentationConfig(model="demo", refiner=refiner, device="cpu", tiles=Tiles(256, 64))
    segmenter = Segmenter(config, tile_store=TileMemory())
    embedding = segmenter.embed(scene.image)
    scores = segmenter.score(embedding, all_classes())
    thresholds, stage = scores.settings.thresholds, scores.stages[-1]
    whole = LiveLabels(scores, stage)
    by_words = whole.labels(thresholds)
    hints = np.full(scores.shape, -1, np.int32)
    for label in np.flatnonzero(np.bincount(by_words.ravel())[1:])[:2] + 1:
        depth = distance_transform_edt(by_words == label)
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        hints[row - 1 : row + 2, column - 1 : column + 2] = 9 if label != 9 else 8
    expected = whole.labels(thresholds, UserHints(image_affinity(embedding), hints))
    changed = (expected != by_words).mean()
    assert changed > 0.01
    for pixels, alike in ((320 * 320, 0.999), (160 * 160, 0.99)):
        monkeypatch.setattr(module, "REDUCED_PIXELS", pixels)
        live = live_on_grid(scores)
        shape = live[stage].scores.shape
        reduced = np.full(shape, -1, np.int32)
        rows, columns = np.nonzero(hints >= 0)
        reduced[rows * shape[0] // 320, columns * shape[1] // 320] = hints[rows, columns]
        affinity = image_affinity(embedding, shape=shape)
        user_hints = UserHints(affinity, reduced, HintsOf(hints))
        before = labels_by_chunk(scores, live, thresholds)
        labels = labels_by_chunk(scores, live, thresholds, user_hints, before)[stage]
        found = np.asarray(labels)
        assert (found == expected).mean() > alike, (found != expected).mean()
        np.testing.assert_array_equal(found[hints >= 0], hints[hints >= 0])
        assert labels.words is before[stage].words
        np.testing.assert_array_equal(labels.counts, np.bincount(found.ravel(), minlength=10))


def test_a_class_that_only_chunks_have_is_found_and_what_they_lack_is_not():
    scene = make_scene((320, 320), 1_000_003, unit=256)
    config = SegmentationConfig(model="demo", refiner="pamr", device="cpu", tiles=Tiles(256, 64))
    segmenter = Segmenter(config, tile_store=TileMemory())
    scores = segmenter.score(segmenter.embed(scene.image), all_classes())
    thresholds = scores.settings.thresholds
    words = WordLabels(scores, "refined", thresholds)
    real = set(np.unique(scores.to_labels(thresholds)).tolist()) - {0}
    assert real
    missed = LabelsByChunk(words, np.zeros((8, 8), np.uint8))
    assert not missed.any()
    assert not missed.complete
    missed.compute(missed.missing(Window(0, 0, 320, 320))[0])
    assert missed.complete
    assert missed.found == real
    none = thresholds.with_values(class_threshold=float(scores.stage().class_scores.max()))
    wrong = LabelsByChunk(WordLabels(scores, "refined", none), np.ones((8, 8), np.uint8))
    assert wrong.found == {1}  # as far as it is known
    np.asarray(wrong)
    assert not wrong.any()
