"""From an image and words to labels, through networks of random weights."""

from __future__ import annotations

import numpy as np
import pytest
from segmenter_inputs import CLASSES, IMAGE, METHODS, maps_of

from napari_cliper.segmentation import Segmenter
from napari_cliper.segmentation.models import loading


@pytest.mark.parametrize(("window", "refiner"), [(0, "none"), (48, "pamr")])
@pytest.mark.parametrize("method", METHODS)
def test_an_image_and_words_become_labels(config, method, window, refiner):
    segmenter = Segmenter(config(method=method, window=window, stride=32, refiner=refiner))
    embedding = segmenter.embed(IMAGE)
    scores = segmenter.score(embedding, CLASSES)

    maps = scores.coarse.maps
    assert maps.shape == ((2, 4, 5) if method == "cliper" else (2, 64, 78))
    assert np.isfinite(maps).all()
    np.testing.assert_allclose(scores.coarse.class_scores, maps.max(axis=(1, 2)))
    if method != "cliper":
        assert maps.sum(axis=0).max() <= 1 + 1e-5
        assert (scores.coarse.background + maps.max(axis=0)).max() <= 1 + 1e-5
    assert (scores.refined is not None) is (refiner == "pamr")
    if scores.refined:
        assert scores.refined.maps.shape[1:] == embedding.resized.shape[:2]
        assert (scores.refined.maps.max(axis=(1, 2)) <= maps.max(axis=(1, 2)) + 1e-6).all()

    labels = scores.to_labels(
        scores.settings.thresholds.with_values(class_threshold=0, background_threshold=0.01)
    )
    assert labels.shape == IMAGE.shape[:2]
    assert labels.dtype == np.uint8
    assert 0 < labels.max() <= 2
    assert len(embedding.windows) == (4 if window else method != "cliper")
    assert embedding.nbytes > IMAGE.nbytes

    again = segmenter.score(segmenter.embed(IMAGE), CLASSES)
    np.testing.assert_array_equal(again.stage().maps, scores.stage().maps)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["cliper", "sclip"])
def test_precisions_agree(config, method, precision):
    exact = maps_of(Segmenter(config(method=method, logit_scale=1.0)), ["dog", "cat"])
    other = Segmenter(config(method=method, logit_scale=1.0, precision=precision))
    found = maps_of(other, ["dog", "cat"])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, atol=1e-6 if precision == "float32" else 0.05)


@pytest.fixture
def others(networks, monkeypatch):
    foundation = loading.Loaded(networks.foundation, ())
    diffusion = loading.Loaded(networks.diffusion, ())
    monkeypatch.setattr(loading, "load_foundation", lambda *_, monitor: foundation)
    monkeypatch.setattr(loading, "load_diffusion", lambda *_, monitor: diffusion)
    return networks


@pytest.mark.parametrize(
    ("method", "refiner"),
    [
        ("proxyclip", "none"), ("proxyclip", "foundation"), ("cliper", "foundation"),
        ("cliper", "stable-diffusion"), ("maskclip", "stable-diffusion-mean"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("others")
def test_methods_and_refiners_with_a_second_network(config, method, refiner):
    segmenter = Segmenter(config(method=method, refiner=refiner))
    embedding = segmenter.embed(IMAGE)
    scores = segmenter.score(embedding, CLASSES)
    assert np.isfinite(scores.stage().maps).all()
    if refiner != "none":
        grid = (8, 10) if refiner == "foundation" else (8, 8)  # 64 x 80 in patches of 8; latents
        assert scores.refined.maps.shape == (2, *grid)
        assert embedding.self_attention.grid == grid
        assert (np.ptp(scores.refined.maps, axis=(1, 2)) > 0).all()
    if method == "cliper":  # half of what each stage says
        maxima = scores.refined.maps.max(axis=(1, 2)) + scores.coarse.maps.max(axis=(1, 2))
        np.testing.assert_allclose(scores.refined.class_scores, maxima / 2, rtol=1e-6)


@pytest.mark.usefixtures("others")
def test_seed_decides_the_noise(config):
    def refined(seed):
        segmenter = Segmenter(config(refiner="stable-diffusion", seed=seed))
        scores = segmenter.score(segmenter.embed(IMAGE), CLASSES)
        assert scores.record["seed"] == seed
        return scores.refined.maps

    once = refined(7)
    np.testing.assert_array_equal(refined(7), once)
    assert np.abs(refined(8) - once).max() > 1e-6
