"""Superpixels and the walk over them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import SegmentationConfig, Segmenter, image_affinity
from napari_cliper.segmentation.features.patch_features import patch_features
from napari_cliper.segmentation.propagation.superpixel_graph import RESTART, _reach
from napari_cliper.segmentation.refiners.attention_maps import SelfAttention, compress


def embedded(image: np.ndarray, **settings):
    return Segmenter(SegmentationConfig(model="demo", **settings)).embed(image)


@pytest.fixture(scope="module")
def scene():
    return make_scene((128, 160), seed=3)


@pytest.fixture(scope="module")
def embedding(scene):
    return embedded(scene.image)


@pytest.fixture(scope="module")
def affinity(embedding):
    return image_affinity(embedding)


def test_every_pixel_is_in_a_superpixel_and_every_superpixel_has_pixels(affinity):
    assert affinity.regions.shape == (128, 160)
    assert affinity.regions.dtype == np.int32
    assert np.unique(affinity.regions).tolist() == list(range(len(affinity.reach)))
    parts = (affinity.regions, affinity.reach, affinity.nearby)
    assert affinity.nbytes == sum(part.nbytes for part in parts)


def test_superpixels_are_mostly_of_one_label(affinity, scene):
    table = np.zeros((len(affinity.reach), scene.labels.max() + 1))
    np.add.at(table, (affinity.regions.ravel(), scene.labels.ravel()), 1)
    assert table.max(axis=1).sum() / table.sum() > 0.95


def test_nearby_is_two_steps_or_less(affinity):
    touching = {(0, 0)}
    for one, other in (
        (affinity.regions[1:], affinity.regions[:-1]),
        (affinity.regions[:, 1:], affinity.regions[:, :-1]),
    ):
        touching |= set(zip(one.flat, other.flat, strict=True))
    touching |= {(b, a) for a, b in touching}
    direct = {b for a, b in touching if a == 0}
    expected = {b for a, b in touching if a in direct} | direct
    assert set(torch.nonzero(affinity.nearby[0])[:, 0].tolist()) == {int(one) for one in expected}
    assert torch.equal(affinity.nearby, affinity.nearby.T)


def test_a_walk_is_somewhere(affinity):
    count = len(affinity.reach)
    assert (affinity.reach >= -1e-4).all()
    # float32 (6e-8), a system of condition 2 / RESTART = 20, sums of several hundred numbers
    expected = torch.full((count,), float(count))
    torch.testing.assert_close(affinity.reach.sum(dim=1), expected, atol=0, rtol=1e-4)


def test_a_walk_stays_among_its_like(affinity, scene):
    """Superpixels of one label reach each other far more often than those of another."""
    votes = np.zeros((len(affinity.reach), scene.labels.max() + 1))
    np.add.at(votes, (affinity.regions.ravel(), scene.labels.ravel()), 1)
    label = torch.from_numpy(votes.argmax(axis=1))
    same = label[:, None] == label
    assert affinity.reach[same].mean() > 5 * affinity.reach[~same].mean()


def test_the_walk_is_the_series_of_its_steps():
    steps = torch.rand(6, 6, generator=torch.Generator().manual_seed(0)).softmax(dim=-1)
    total, power = torch.zeros(6, 6), torch.eye(6)
    for _ in range(400):
        total += RESTART * power
        power = (1 - RESTART) * power @ steps
    torch.testing.assert_close(_reach(steps), total * 6, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
def test_the_refiners_attention_takes_part(embedding, affinity, sparse):
    """Attention that joins the left half with the right one, whatever they look like."""
    cells = 16 * 16
    column = torch.arange(cells) % 16
    apart = (column[:, None] < 8) != (column < 8)
    joined = apart.float() + (0 if sparse else 1e-3)
    if sparse:
        keep = torch.rand(cells, cells, generator=torch.Generator().manual_seed(0)) < 0.1
        joined *= keep
    joined /= joined.sum(dim=1, keepdim=True).clamp(min=1e-9)
    attention = SelfAttention((compress(joined), compress(joined)), (16, 16))
    found = image_affinity(replace(embedding, self_attention=attention))
    assert np.array_equal(found.regions, affinity.regions)
    centre = np.zeros(len(found.reach))
    np.add.at(centre, found.regions.ravel(), np.tile(np.arange(160), 128))
    left = torch.from_numpy(centre / np.bincount(found.regions.ravel()) < 80)
    across = [one.reach[left][:, ~left].mean() for one in (affinity, found)]
    assert across[1] > 1.2 * across[0]


@pytest.mark.parametrize("shape", [(8, 8), (8, 200), (40, 9), (700, 530)])
def test_any_size(shape):
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    found = image_affinity(embedded(image, refiner="none", shorter_side=32))
    assert found.regions.shape == shape
    assert torch.isfinite(found.reach).all()


def test_an_image_of_nearly_one_colour():
    image = np.full((64, 64), 7, np.uint8)
    image[0, 0] = 8  # one of a single value is refused
    found = image_affinity(embedded(image, refiner="none"))
    assert torch.isfinite(found.reach).all()


@pytest.mark.parametrize("method", ["sclip", "maskclip"])
def test_features_of_windows_are_those_of_the_image(method, scene):
    """Where one window covers the image, its features are the image's; more windows cover it."""
    whole = embedded(scene.image, method=method, refiner="none", window=0)
    planes = patch_features(whole)
    torch.testing.assert_close(planes.norm(dim=0), torch.ones(planes.shape[1:]))
    parts = patch_features(
        embedded(scene.image, method=method, refiner="none", window=112, stride=56)
    )
    assert parts.shape == planes.shape
    assert torch.isfinite(parts).all()
    alike = (parts * planes).sum(dim=0)
    assert alike.mean() > 0.6
