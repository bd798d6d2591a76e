"""Superpixels and the walk over them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import SegmentationConfig, Segmenter, image_affinity
from napari_cliper.segmentation.features.patch_features import patch_features
from napari_cliper.segmentation.propagation.superpixel_graph import NEIGHBOURS, RESTART, _reach
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
    assert np.unique(affinity.regions).tolist() == list(range(len(affinity.means)))
    assert affinity.sizes.sum() == affinity.regions.size
    assert affinity.walked.max() < len(affinity.reach)
    dense = (affinity.regions, affinity.features, affinity.reach, affinity.means)
    assert affinity.nbytes > sum(part.nbytes for part in dense)


def test_superpixels_are_mostly_of_one_label(affinity, scene):
    """The larger ones too."""
    for regions in (affinity.regions, affinity.walked[affinity.regions]):
        table = np.zeros((regions.max() + 1, scene.labels.max() + 1))
        np.add.at(table, (regions.ravel(), scene.labels.ravel()), 1)
        assert table.max(axis=1).sum() / table.sum() > 0.95


def test_neighbours_and_those_with_the_nearest_features_are_joined(affinity):
    """The graph is symmetric; all that touch are in it, and neighbours by feature too."""
    touching = {
        (int(a), int(b))
        for one, other in (
            (affinity.regions[1:], affinity.regions[:-1]),
            (affinity.regions[:, 1:], affinity.regions[:, :-1]),
        )
        for a, b in zip(one.flat, other.flat, strict=True)
        if a != b
    }
    found = affinity.touching.tocoo()
    assert set(zip(found.row.tolist(), found.col.tolist(), strict=True)) == {
        *touching, *((b, a) for a, b in touching)
    }  # fmt: skip
    alike = affinity.alike.toarray()
    np.testing.assert_allclose(alike, alike.T)
    assert (alike[found.row, found.col] > 0).all()
    assert not alike.diagonal().any()
    assert ((alike > 0).sum(axis=1) >= NEIGHBOURS).all()
    apart = np.linalg.norm(affinity.means[:, None] - affinity.means[None], axis=2)
    assert apart[alike > 0.5].mean() < 0.5 * apart[alike == 0].mean()


def test_a_walk_is_somewhere(affinity):
    count = len(affinity.reach)
    assert (affinity.reach >= -1e-4).all()
    # float32 (6e-8), a system of condition 2 / RESTART = 20, sums of several hundred numbers
    expected = torch.full((count,), float(count))
    torch.testing.assert_close(affinity.reach.sum(dim=1), expected, atol=0, rtol=1e-4)


def test_a_walk_stays_among_its_like(affinity, scene):
    """Superpixels of one label reach each other more often than those of another."""
    votes = np.zeros((len(affinity.reach), scene.labels.max() + 1))
    large = affinity.walked[affinity.regions]
    np.add.at(votes, (large.ravel(), scene.labels.ravel()), 1)
    label = torch.from_numpy(votes.argmax(axis=1))
    same = label[:, None] == label
    assert affinity.reach[same].mean() > 2 * affinity.reach[~same].mean()


def test_the_walk_is_the_series_of_its_steps():
    steps = torch.rand(6, 6, generator=torch.Generator().manual_seed(0)).softmax(dim=-1)
    total, power = torch.zeros(6, 6), torch.eye(6)
    for _ in range(400):
        total += RESTART * power
        power = (1 - RESTART) * power @ steps
    torch.testing.assert_close(_reach(steps), total * 6, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
def test_the_refiners_attention_takes_part(embedding, affinity, sparse):
    """Attention that keeps the left half apart from the right one, whatever they look like."""
    cells = 16 * 16
    column = torch.arange(cells) % 16
    together = (column[:, None] < 8) == (column < 8)
    joined = together.float() + (0 if sparse else 1e-3)
    if sparse:
        keep = torch.rand(cells, cells, generator=torch.Generator().manual_seed(0)) < 0.1
        joined *= keep
    joined /= joined.sum(dim=1, keepdim=True).clamp(min=1e-9)
    attention = SelfAttention((compress(joined), compress(joined)), (16, 16))
    found = image_affinity(replace(embedding, self_attention=attention))
    assert np.array_equal(found.regions, affinity.regions)
    large = found.walked[found.regions].ravel()
    centre = np.bincount(large, np.tile(np.arange(160), 128), len(found.reach))
    left = torch.from_numpy(centre / np.bincount(large, minlength=len(found.reach)).clip(1) < 80)
    across = [one.reach[left][:, ~left].mean() for one in (affinity, found)]
    assert across[1] < 0.98 * across[0]


def test_another_encoders_features_replace_those_of_clip(embedding, affinity, scene):
    """Features that know the truth: the walk and the pixel features follow them."""
    labels = torch.from_numpy(scene.labels[::4, ::4].astype(np.int64))
    patches = torch.nn.functional.one_hot(labels).permute(2, 0, 1).float()
    found = image_affinity(embedding, patches=[patches])
    assert found.features.count == affinity.features.count + min(8, len(patches))
    votes = np.zeros((len(found.reach), scene.labels.max() + 1))
    np.add.at(votes, (found.walked[found.regions].ravel(), scene.labels.ravel()), 1)
    label = torch.from_numpy(votes.argmax(axis=1))
    same = label[:, None] == label
    share = [(one.reach * same).sum() / one.reach.sum() for one in (affinity, found)]
    assert share[1] > share[0]


@pytest.mark.parametrize("shape", [(8, 8), (8, 200), (40, 9), (1200, 1000)])
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
