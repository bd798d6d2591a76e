"""Refiners against matrix products and loops written out, and what a person would see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from skimage.transform import resize

from napari_cliper.segmentation import Monitor, Stopped
from napari_cliper.segmentation.refiners.attention_maps import (
    CLASSES,
    SPARSE_BELOW,
    LevelMap,
    SelfAttention,
    compress,
    refine_with_attention,
    sharpen,
)
from napari_cliper.segmentation.refiners.foundation import feature_attention
from napari_cliper.segmentation.refiners.pamr import refine_with_colours

GRID = (6, 5)
N = GRID[0] * GRID[1]


@pytest.fixture
def random():
    generator = torch.Generator().manual_seed(5)
    return lambda *shape: torch.rand(shape, generator=generator)


# ---------------------------------------------------------------------- attention maps


def test_sharpen(random):
    raw = random(N, N)
    relative = raw.numpy() / (raw.numpy().max(axis=0) + 1e-5)
    relative[relative < 0.4] = 0
    expected = relative / (relative.sum(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(sharpen(raw, 0.4), expected, atol=1e-6)


@pytest.mark.parametrize("threshold", [0, 0.95], ids=["dense", "sparse"])
@pytest.mark.parametrize("fusion", ["product", "mean"])
def test_heads_are_multiplied_in_their_order(random, threshold, fusion):
    heads = [sharpen(random(N, N), threshold) for _ in range(3)]
    kept = tuple(compress(head) for head in heads)
    assert all(isinstance(one, sparse.csr_array if threshold else LevelMap) for one in kept)
    a1, a2, a3 = (head.double().numpy() for head in heads)
    explicit = a1 @ a2 @ a3 if fusion == "product" else (a1 + a2 + a3) / 3

    coarse = random(4, *GRID)
    found = refine_with_attention(coarse, SelfAttention(kept, GRID), fusion)
    expected = (explicit @ coarse.double().numpy().reshape(4, N).T).T.reshape(4, *GRID)
    np.testing.assert_allclose(found, expected, atol=1e-6 if threshold else 1e-5)


def test_coarse_maps_are_taken_to_the_grid_of_the_attention(random):
    coarse = random(2, 3, 4)
    attention = SelfAttention((torch.eye(80),), (8, 10))
    expected = resize(coarse.permute(1, 2, 0).numpy(), (8, 10), order=1, mode="edge")
    found = refine_with_attention(coarse, attention).permute(1, 2, 0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sparse_maps_take_less_memory(random):
    raw = random(200, 200)
    dense = SelfAttention((compress(sharpen(raw, 0)),), (10, 20))
    thin = SelfAttention((compress(sharpen(raw, 0.99)),), (10, 20))
    assert dense.nbytes == 2 * 200 * 200 + 4 * 200
    assert 0 < thin.nbytes < dense.nbytes / 5


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 1])
@pytest.mark.parametrize("rows", [3, 512, 513], ids="{} rows".format)
def test_levels_are_within_half_a_step(random, share, rows):
    """Rows that differ by orders of magnitude, and one of equal values or of none at all."""
    matrix = random(rows, 700) * torch.logspace(-9, 3, rows)[:, None]
    matrix[random(rows, 700) > max(share, 2 * SPARSE_BELOW)] = 0
    matrix[1] = share
    found = compress(matrix)
    assert isinstance(found, LevelMap)
    exact = found.levels.double() * found.step
    half_a_step = matrix.double().amax(dim=1, keepdim=True) / 65535 / 2
    assert ((exact - matrix).abs() <= half_a_step * 1.02).all()
    columns = random(700, 3)
    torch.testing.assert_close(
        found @ columns, (exact @ columns.double()).float(), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("fill", [0.01, 0.05, 0.2, 1.0])
def test_sparse_and_dense_maps_refine_alike(random, fill):
    """The limits that the reference arrays set for the diffusion chain, at any fill."""
    heads = []
    for _ in range(10):
        raw = random(400, 400)
        raw[random(400, 400) > fill] = 0
        raw.fill_diagonal_(1)
        heads.append(sharpen(raw, 0.1))
    coarse = random(3, 20, 20)
    exact = refine_with_attention(coarse, SelfAttention(tuple(heads), (20, 20)))
    kept = SelfAttention(tuple(compress(head) for head in heads), (20, 20))
    filled = np.mean([(head > 0).float().mean() for head in heads])
    kind = sparse.csr_array if filled <= SPARSE_BELOW else LevelMap
    assert {type(one) for one in kept.maps} == {kind}
    error = (refine_with_attention(coarse, kept) - exact).abs()
    assert error.mean() <= 1e-5
    assert error.max() <= 1e-4


@pytest.mark.parametrize("threshold", [0, 0.95], ids=["dense", "sparse"])
def test_many_classes_are_each_as_alone(random, threshold):
    """More classes than are refined at a time."""
    kept = tuple(compress(sharpen(random(N, N), threshold)) for _ in range(2))
    coarse = random(2 * CLASSES + 3, *GRID)
    found = refine_with_attention(coarse, SelfAttention(kept, GRID))
    assert found.shape == (len(coarse), *GRID)
    for index in (0, CLASSES - 1, CLASSES, len(coarse) - 1):
        alone = refine_with_attention(coarse[[index]], SelfAttention(kept, GRID))
        torch.testing.assert_close(found[[index]], alone, rtol=0, atol=1e-6)


def test_nothing_left_is_sparse_and_refines_to_nothing():
    kept = compress(torch.zeros(N, N))
    assert isinstance(kept, sparse.csr_array)
    refined = refine_with_attention(torch.ones(2, *GRID), SelfAttention((kept,), GRID))
    assert not refined.any()


def test_features_of_two_things_keep_their_scores_apart():
    features = torch.zeros(2, 4, 6)
    features[0, :, :3] = features[1, :, 3:] = 1
    coarse = torch.rand(1, 4, 6)
    refined = refine_with_attention(coarse, feature_attention(features))
    for half in (slice(0, 3), slice(3, 6)):  # each pixel: the mean of its own thing
        np.testing.assert_allclose(refined[..., half], coarse[..., half].mean(), atol=1e-6)


# ---------------------------------------------------------------------- PAMR


def pamr(maps, image, iterations, dilations):
    """Araslanov and Roth (2020), pixel by pixel."""
    channels, height, width = image.shape
    moves = [
        (dy * d, dx * d) for d in dilations for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx
    ]

    def at(planes, y, x):
        return planes[:, min(max(y, 0), height - 1), min(max(x, 0), width - 1)]

    for _ in range(iterations):
        result = np.zeros_like(maps)
        for y in range(height):
            for x in range(width):
                centre = image[:, y, x]
                around = np.array([at(image, y + dy, x + dx) for dy, dx in moves])
                spread = np.concatenate([around, [centre] * len(dilations)]).std(axis=0, ddof=1)
                distance = (np.abs(around - centre) / (1e-8 + 0.1 * spread)).mean(axis=1)
                weights = np.exp(distance.min() - distance)
                weights /= weights.sum()
                for weight, (dy, dx) in zip(weights, moves, strict=True):
                    result[:, y, x] += weight * at(maps, y + dy, x + dx)
        maps = result
    assert channels == 3
    return maps


@pytest.mark.parametrize("dilations", [(1,), (1, 2), (2, 9)], ids=str)
def test_pamr_against_a_loop(random, dilations):
    maps, image = random(2, *GRID), random(3, *GRID) * 255
    found = refine_with_colours(maps, image, iterations=2, dilations=dilations)
    expected = pamr(maps.double().numpy(), image.double().numpy(), 2, dilations)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_pamr_stays_within_the_range_and_keeps_a_constant(random):
    maps = torch.cat([random(1, 7, 9), torch.full((1, 7, 9), 0.3)])
    found = refine_with_colours(maps, random(3, 20, 25), iterations=5, dilations=(1, 4))
    assert found.shape == (2, 20, 25)
    assert maps[0].min() <= found[0].min() < found[0].max() <= maps[0].max()
    np.testing.assert_allclose(found[1], 0.3, atol=1e-6)


def test_pamr_of_a_flat_image_is_a_plain_mean():
    maps = torch.zeros(1, 9, 9)
    maps[0, 4, 4] = 8
    found = refine_with_colours(maps, torch.full((3, 9, 9), 7.0), iterations=1, dilations=(1,))
    expected = torch.zeros(9, 9)
    expected[3:6, 3:6] = 1
    expected[4, 4] = 0
    torch.testing.assert_close(found[0], expected)


def test_pamr_moves_a_blurred_border_onto_the_edge_of_the_image():
    image = torch.zeros(3, 24, 40)
    image[:, :, 23:] = 200
    image += torch.rand(3, 24, 40, generator=torch.Generator().manual_seed(0))
    ramp = torch.linspace(0, 1, 40).expand(1, 24, 40)  # its middle is 3 pixels off the edge
    found = refine_with_colours(ramp, image, iterations=10, dilations=(1, 2, 4))[0].mean(dim=0)
    steps = found.diff()
    assert int(steps.argmax()) == 22
    assert steps.max() > 5 * ramp[0, 0].diff().max()
    assert found[:20].std() < ramp[0, 0, :20].std()


def test_pamr_changes_no_argument_and_can_be_stopped(random):
    maps, image = random(1, *GRID), random(3, *GRID)
    before = maps.clone(), image.clone()
    seen = []
    monitor = Monitor(seen.append, lambda: len(seen) == 3)
    with pytest.raises(Stopped):
        refine_with_colours(maps, image, iterations=99, dilations=(1,), monitor=monitor)
    assert [(one.done, one.total) for one in seen] == [(0, 99), (1, 99), (2, 99)]
    torch.testing.assert_close((maps, image), before)
