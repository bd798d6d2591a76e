"""Labels after hints are computed in bands of rows, by several threads: nobody can tell."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_cliper.demo.run import HELD_OUT_SEED, all_classes
from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import (
    OPEN,
    LiveLabels,
    SegmentationConfig,
    Segmenter,
    Thresholds,
    UserHints,
    cpu_threads,
    image_affinity,
    use_cpu_threads,
)
from napari_cliper.segmentation.labelling import corrected_labels
from napari_cliper.segmentation.labelling.edge_smoothing import BLOCK

THRESHOLDS = Thresholds(0.9, 0.4, min_max=True)


@pytest.fixture(scope="module")
def hinted():
    """A scene of three bands, known and unknown words, strokes also along its edges."""
    scene = make_scene((3 * BLOCK - 50, 180), HELD_OUT_SEED + 2)
    segmenter = Segmenter(SegmentationConfig(model="demo"))
    embedding = segmenter.embed(scene.image)
    random = np.random.default_rng(0)
    labels = np.full(scene.labels.shape, OPEN)
    for row, column in random.integers(0, (scene.labels.shape), (40, 2)):
        stroke = np.s_[row : row + 3, column : column + 6]
        labels[stroke] = scene.labels[stroke]
    for edge in (np.s_[:1], np.s_[-1:], np.s_[:, :1], np.s_[:, -1:]):
        labels[edge] = scene.labels[edge]
    scores = segmenter.score(embedding, all_classes())
    return scores, UserHints(image_affinity(embedding), labels)


@pytest.fixture(autouse=True)
def _bands(monkeypatch):
    monkeypatch.setattr(corrected_labels, "BAND_BYTES", 1)
    before = cpu_threads()
    yield
    use_cpu_threads(before)


def found(hinted, threads):
    scores, hints = hinted
    use_cpu_threads(threads)
    live = LiveLabels(scores, "refined")
    return live.labels(THRESHOLDS, hints), live.uncertainty(THRESHOLDS, hints)


def test_labels_do_not_depend_on_the_number_of_threads(hinted):
    labels, uncertainty = found(hinted, 1)
    assert len(np.unique(labels)) > 3
    for threads in (2, 3):
        others = found(hinted, threads)
        np.testing.assert_array_equal(others[0], labels)
        np.testing.assert_allclose(others[1], uncertainty, atol=1e-5)


def test_labels_do_not_depend_on_the_height_of_the_bands(hinted, monkeypatch):
    labels, _ = found(hinted, 2)
    monkeypatch.setattr(corrected_labels, "BAND_BYTES", 1 << 30)
    np.testing.assert_array_equal(found(hinted, 2)[0], labels)


def test_the_error_of_a_band_reaches_the_caller(hinted, monkeypatch):
    def fail(_scores, lightness, _radius, rows):
        if rows.start:  # not the first band
            raise MemoryError("a band")
        return np.zeros((rows.stop, lightness.shape[1]), np.intp)

    monkeypatch.setattr(corrected_labels, "smoothed_best", fail)
    running = threading.active_count()
    for threads in (1, 3):
        with pytest.raises(MemoryError, match="a band"):
            found(hinted, threads)
        assert threading.active_count() == running
