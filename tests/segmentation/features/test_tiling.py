"""Sliding windows: together they see everything, and agree where they see the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cliper.segmentation.features.tiling import (
    blend,
    sliding_windows,
    stitch_attention,
)
from napari_cliper.segmentation.tiles import Window

LAYOUTS = [
    ((100, 100), 100, 50),
    ((100, 130), 48, 32),
    ((130, 100), 48, 48),
    ((40, 200), 64, 16),
    ((33, 47), 32, 1),
    ((20, 20), 64, 64),
]


@pytest.mark.parametrize(("shape", "side", "stride"), LAYOUTS)
def test_windows_cover_every_pixel_and_lie_inside(shape, side, stride):
    seen = np.zeros(shape, int)
    windows = sliding_windows(shape, side, stride)
    for window in windows:
        assert 0 <= window.top < window.bottom <= shape[0]
        assert 0 <= window.left < window.right <= shape[1]
        assert window.shape == (min(side, shape[0]), min(side, shape[1]))
        seen[window.top : window.bottom, window.left : window.right] += 1
    assert seen.all()
    assert len(set(windows)) == len(windows)


def test_last_window_is_moved_back_inside():
    assert sliding_windows((100, 130), 48, 40) == [
        Window(top, left, top + 48, left + 48) for top in (0, 40, 52) for left in (0, 40, 80, 82)
    ]


@pytest.mark.parametrize("side", [0, 100, 1000])
def test_side_of_zero_or_beyond_the_image_is_one_window(side):
    assert sliding_windows((60, 100), side, 7) == [Window(0, 0, 60, 100)]


@pytest.mark.parametrize(("shape", "side", "stride"), LAYOUTS)
def test_blend_gives_back_what_every_window_agrees_on(shape, side, stride):
    picture = torch.rand(2, *shape)
    windows = sliding_windows(shape, side, stride)
    parts = (picture[:, w.top : w.bottom, w.left : w.right] for w in windows)
    torch.testing.assert_close(blend(parts, windows, shape), picture)


def test_blend_is_the_mean_where_windows_overlap():
    windows = sliding_windows((1, 5), 3, 2)  # columns 0..2 and 2..4
    found = blend([torch.full((1, 1, 3), 1.0), torch.full((1, 1, 3), 4.0)], windows, (1, 5))
    assert found.flatten().tolist() == [1, 1, 2.5, 4, 4]


def test_blend_needs_a_window_for_each_part():
    with pytest.raises(ValueError, match="no window"):
        blend([], [], (3, 3))
    with pytest.raises(ValueError, match="argument 2 is longer"):
        blend([torch.ones(1, 3, 3)], sliding_windows((3, 6), 3, 3), (3, 6))


def test_stitched_attention_is_the_mean_over_windows_that_saw_the_pair():
    grid, side, stride = (3, 5), 3, 2
    windows = sliding_windows(grid, side, stride)
    parts = [torch.rand(9, 9).softmax(dim=-1) for _ in windows]
    found = stitch_attention(parts, windows, grid)

    pairs: dict[tuple[int, int], list[float]] = {}
    for part, window in zip(parts, windows, strict=True):
        cells = [
            row * grid[1] + column
            for row in range(window.top, window.bottom)
            for column in range(window.left, window.right)
        ]
        for i, query in enumerate(cells):
            for j, key in enumerate(cells):
                pairs.setdefault((query, key), []).append(part[i, j].item())
    expected = np.zeros((15, 15))
    for pair, values in pairs.items():
        expected[pair] = np.mean(values)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(dim=1), 1, atol=1e-6)
    assert found[0, 4] == 0  # columns 0 and 4 were never seen together


def test_one_window_over_all_changes_no_attention():
    attention = torch.rand(12, 12).softmax(dim=-1)
    found = stitch_attention([attention], [Window(0, 0, 3, 4)], (3, 4))
    torch.testing.assert_close(found, attention)
