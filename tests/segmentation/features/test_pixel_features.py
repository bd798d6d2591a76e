"""Features of pixels: what they see, and that values at pixels, rows and means agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cliper.segmentation.features.pixel_features import pixel_features


def image_of(shape=(60, 75)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)


@pytest.mark.parametrize("grey", [True, False])
def test_values_at_pixels_are_those_of_whole_planes(grey):
    image = image_of()
    features = pixel_features(image[..., :1].repeat(3, axis=2) if grey else image)
    assert features.count == sum(len(level) for level in features.levels) == (20 if grey else 30)
    weights = np.random.default_rng(1).normal(0, 1, (3, features.count)).astype(np.float32)
    weighted = features.weighted(weights)
    planes = torch.cat([weighted.rows(start, min(start + 7, 60)) for start in range(0, 60, 7)], 1)
    torch.testing.assert_close(planes, weighted.rows(0, 60), atol=1e-4, rtol=1e-4)
    rows, columns = np.array([0, 59, 31, 8]), np.array([0, 74, 30, 61])
    found = features.at(rows, columns) @ weights.T
    np.testing.assert_allclose(found, planes[:, rows, columns].T, atol=1e-3)


def test_every_feature_varies_around_0_by_1():
    for level in pixel_features(image_of()).levels:
        torch.testing.assert_close(
            level.mean(dim=(1, 2)), torch.zeros(len(level)), atol=1e-4, rtol=0
        )
        torch.testing.assert_close(level.std(dim=(1, 2)), torch.ones(len(level)), atol=1e-3, rtol=0)


def test_a_shape_is_seen_wherever_it_is_and_however_it_is_turned():
    """Gradient magnitude and eigenvalues of the Hessian: a quarter turn turns the planes."""
    image = image_of((64, 64))
    found, turned = pixel_features(image), pixel_features(np.rot90(image).copy())
    for one, other in zip(found.levels, turned.levels, strict=True):
        torch.testing.assert_close(torch.rot90(one, dims=(1, 2)), other, atol=2e-3, rtol=1e-3)


def test_an_image_of_one_colour_has_no_features():
    image = np.full((40, 40, 3), 7, np.uint8)
    assert not any(level.any() for level in pixel_features(image).levels)


def test_a_smaller_copy_stands_for_a_large_image():
    image = image_of((40, 50))
    features = pixel_features(image, (400, 500))
    assert features.weighted(np.ones((2, features.count), np.float32)).rows(395, 400).shape == (
        2, 5, 500,
    )  # fmt: skip
