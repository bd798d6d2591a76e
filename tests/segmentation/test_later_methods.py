"""Methods on images for which the published programs fail or were never run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segmenter_inputs import CLASSES, IMAGE
from sklearn.cluster import DBSCAN

from napari_cliper.segmentation import SegmentationConfig, Segmenter, TileMemory, Tiles
from napari_cliper.segmentation.methods.cliptrase import density_clusters
from napari_cliper.segmentation.methods.scclip import anomalies, anomaly_scores, repaired

LATER = ("scclip", "naclip", "resclip", "cliptrase")

HALF_EMPTY = np.where(np.arange(110)[:, None] < 60, np.uint8(40), IMAGE)
WIDE, SMALL = IMAGE[:24, :90], IMAGE[:40, :40]


def scored(image, method, **options):
    config = SegmentationConfig(
        method=method, model="demo", refiner="none", templates="word", **options
    )
    segmenter = Segmenter(config, tile_store=TileMemory())
    return segmenter.score(segmenter.embed(image), CLASSES)


@pytest.mark.parametrize("method", LATER)
def test_every_image_gets_maps(method):
    """Few patches, equal patches, windows that are not square, and tiles."""
    for image, options in (
        (WIDE, {"shorter_side": 32, "window": 48, "stride": 32}),
        (SMALL, {"shorter_side": 32}),
        (HALF_EMPTY, {"shorter_side": 112}),
        (IMAGE, {"tiles": Tiles(64, scale=1.0)}),
    ):
        scores = scored(image, method, **options)
        maps = scores.stage().maps
        assert np.isfinite(maps).all()
        assert np.ptp(maps) > 0
        assert scores.to_labels().shape == image.shape[:2]


def test_anomalous_patches_are_the_outliers_and_are_repaired_from_their_neighbours():
    generator = torch.Generator().manual_seed(3)
    grid = (5, 9)  # not square
    patches = torch.randn(45, 8, generator=generator)
    odd = [0, 13, 31]
    patches[odd] += 20
    found = anomalies(anomaly_scores(patches))
    assert found.nonzero()[:, 0].tolist() == odd
    mended = repaired(patches, grid, found)
    for index in range(45):
        expected = patches[index]
        if index in odd:
            y, x = divmod(index, grid[1])
            near = [
                (y + dy) * grid[1] + x + dx
                for dy in (-1, 0, 1)
                for dx in (-1, 0, 1)
                if (dy or dx) and 0 <= y + dy < grid[0] and 0 <= x + dx < grid[1]
            ]
            expected = patches[near].mean(dim=0)
        torch.testing.assert_close(mended[index], expected)
    surrounded = repaired(patches, grid, torch.ones(45, dtype=torch.bool))
    torch.testing.assert_close(surrounded, patches)  # there is nothing to repair them from


def test_density_clusters_are_those_of_scikit_learn():
    generator = np.random.default_rng(7)
    for count, radius, neighbours in ((60, 0.4, 3), (60, 0.9, 5), (30, 0.05, 2), (5, 9.0, 3)):
        points = generator.normal(size=(count, 3)).astype(np.float32)
        expected = DBSCAN(eps=radius, min_samples=neighbours).fit_predict(points)
        found = density_clusters(torch.from_numpy(points), radius, neighbours)
        np.testing.assert_array_equal(found, expected)


def test_equal_patches_have_no_anomaly():
    for count in (1, 2, 40):
        scores = anomaly_scores(torch.ones(count, 8))
        assert (scores == 1).all()
        assert not anomalies(scores).any()


def test_words_change_the_features_of_resclip_but_not_its_embedding():
    config = SegmentationConfig(method="resclip", model="demo", refiner="none", templates="word")
    segmenter = Segmenter(config)
    embedding = segmenter.embed(IMAGE)
    before = embedding.windows[0].features.clone()
    words = ("nucleus", "crystal")
    others = (*words, "bacteria", "agar", "fibre")
    first = segmenter.score(embedding, words, background=()).coarse.logits
    more = segmenter.score(embedding, others, background=()).coarse.logits
    assert np.abs(more[:2] - first).max() > 1e-3  # with other methods they would be the same
    torch.testing.assert_close(embedding.windows[0].features, before)
    again = segmenter.score(embedding, words, background=()).coarse.logits
    np.testing.assert_array_equal(again, first)


def test_a_note_says_what_was_not_published():
    notes = " ".join(scored(SMALL, "scclip", shorter_side=32).notes)
    assert "only 16 patches" in notes
    assert "block numbers were scaled" in notes
    for method, shape, noted in (
        ("scclip", (336, 448), False), ("naclip", (30, 999), False), ("resclip", (30, 999), False),
        ("cliptrase", (700, 700), False), ("cliptrase", (700, 900), True),
    ):  # fmt: skip
        reader = Segmenter(SegmentationConfig(method=method, model="ViT-B/16")).reader
        assert bool(reader.notes(shape, None)) is noted
