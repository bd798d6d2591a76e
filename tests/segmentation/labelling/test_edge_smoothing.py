"""Edges between labels after hints: smooth, where the image has its edge, however it is divided."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from napari_cliper.segmentation.labelling import edge_smoothing
from napari_cliper.segmentation.labelling.edge_smoothing import (
    BLOCK,
    CONTRAST,
    HALVED,
    MOST_RADIUS,
    SHARPNESS,
    reach,
    smoothed_best,
    window_radius,
)

SHAPE = 2 * BLOCK + 31, BLOCK + 60
RADIUS = 3


def disc_with_spikes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, lightness with noise, and scores that are wrong in small squares at the edge."""
    random = np.random.default_rng(0)
    rows, columns = np.indices(SHAPE)
    truth = np.hypot(rows - SHAPE[0] / 2, columns - SHAPE[1] / 2) < 70
    lightness = np.where(truth, -1.0, 1.0) + random.normal(0, 0.2, SHAPE)
    scores = np.stack([truth * -3.0, ~truth * -3.0, np.full(SHAPE, -9.0)])
    rim = np.argwhere(truth ^ np.roll(truth, 1, axis=0) | truth ^ np.roll(truth, 1, axis=1))
    for row, column in random.permutation(rim)[:60]:
        here = np.s_[:2, row - 1 : row + 2, column - 1 : column + 2]
        scores[here] = scores[here][::-1]
    return truth, lightness.astype(np.float32), scores.astype(np.float32)


def edge_length(labels: np.ndarray) -> int:
    return np.count_nonzero(np.diff(labels, axis=0)) + np.count_nonzero(np.diff(labels, axis=1))


def test_spikes_are_gone_and_the_edge_is_where_the_image_has_it():
    truth, lightness, scores = disc_with_spikes()
    raw, found = scores.argmax(axis=0), smoothed_best(scores, lightness, RADIUS, slice(0, SHAPE[0]))
    assert ((raw != truth).sum(), edge_length(raw)) > (300, 1.3 * edge_length(truth))
    assert (found != truth).sum() < 0.25 * (raw != truth).sum()
    assert edge_length(found) < 1.05 * edge_length(truth)


def test_the_filter_fits_a_line_in_each_window():
    """The mean of all fits by ridge regression, of the windows that have the pixel."""
    _, lightness, scores = disc_with_spikes()
    power = np.exp(SHARPNESS * scores[:2].astype(float))
    probable = power[1] / power.sum(axis=0)
    side = 2 * RADIUS + 1
    some = sliding_window_view(lightness.astype(float), (side, side))
    values = sliding_window_view(probable, (side, side))
    mean, value_mean = some.mean((2, 3)), values.mean((2, 3))
    slope = ((some * values).mean((2, 3)) - mean * value_mean) / (some.var((2, 3)) + CONTRAST)
    offset = value_mean - slope * mean
    lines = [sliding_window_view(part, (side, side)).mean((2, 3)) for part in (slope, offset)]
    inside = (slice(2 * RADIUS, -2 * RADIUS),) * 2
    expected = lines[0] * lightness[inside] + lines[1]
    found = smoothed_best(scores, lightness, RADIUS, slice(0, SHAPE[0]))[inside]
    decided = np.abs(expected - 0.5) > 1e-3
    assert decided.mean() > 0.99
    np.testing.assert_array_equal(found[decided], (expected > 0.5)[decided])


def test_wide_windows_on_every_second_pixel_give_the_same(monkeypatch):
    truth, lightness, scores = disc_with_spikes()
    for radius in range(HALVED, MOST_RADIUS + 1):
        with monkeypatch.context() as patch:
            coarse = smoothed_best(scores, lightness, radius, slice(0, SHAPE[0]))
            patch.setattr(edge_smoothing, "HALVED", MOST_RADIUS + 1)
            full = smoothed_best(scores, lightness, radius, slice(0, SHAPE[0]))
        assert (coarse != full).mean() < 0.005
        assert (coarse != truth).mean() < 0.002
        assert edge_length(coarse) < 1.02 * edge_length(truth)


@pytest.mark.parametrize("radius", [RADIUS, MOST_RADIUS])
def test_bands_and_labels_that_cannot_win(radius):
    _, lightness, scores = disc_with_spikes()
    never = np.zeros(SHAPE, bool)
    never[90:150, 30:120] = True
    scores[1][never] = -np.inf
    whole = smoothed_best(scores, lightness, radius, slice(0, SHAPE[0]))
    assert not (whole[never] == 1).any()
    parts = []
    for start in range(0, SHAPE[0], BLOCK):
        stop = min(start + BLOCK, SHAPE[0])
        first = max(start - reach(radius), 0)
        band = np.s_[first : stop + reach(radius)]
        parts.append(
            smoothed_best(
                scores[:, band], lightness[band], radius, slice(start - first, stop - first)
            )
        )
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_window_follows_the_superpixels():
    assert [window_radius(256 * 256, 2184), window_radius(1024 * 1024, 6000)] == [3, 7]
    assert window_radius(100, 100) == 2
    assert window_radius(10**8, 6000) == 8
