"""A part of an image is that part of the whole: interpolated, resized or averaged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lazy_pixels import Lazy
from PIL import Image

from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import Pyramid
from napari_cliper.segmentation.features import tiled_image as tiled_images
from napari_cliper.segmentation.features.interpolation import bilinear_region
from napari_cliper.segmentation.features.preprocessing import resized, to_rgb
from napari_cliper.segmentation.features.tiled_image import tiled_image
from napari_cliper.segmentation.tiles import Window


@pytest.fixture(scope="module")
def scene():
    return make_scene((512, 512), 1_000_003, unit=256)


def test_a_part_of_an_interpolation_is_that_part_of_the_whole():
    rng = np.random.default_rng(0)
    for grid, shape in (((9, 13), (40, 57)), ((40, 57), (9, 13)), ((8, 8), (8, 8))):
        planes = torch.from_numpy(rng.random((3, *grid), np.float32))
        whole = F.interpolate(planes[None], size=shape, mode="bilinear")[0]
        for window in (Window(0, 0, *shape), Window(2, 3, 7, 8), Window(3, 0, 6, shape[1])):
            found = bilinear_region(planes, shape, window)
            np.testing.assert_allclose(found, whole[:, *window.slices], atol=1e-6)


def test_a_region_of_a_tiled_image_is_that_of_the_resized_image(scene):
    image = np.asarray(scene.image[..., 0], np.uint16)[:400, :500] * 7
    tiled, whole = tiled_image(image), to_rgb(image)
    np.testing.assert_array_equal(tiled.pixels, whole.pixels)
    assert tiled.notes == whole.notes
    assert tiled.contrast == whole.contrast
    for shape in ((350, 437), (100, 120), (800, 1000)):
        for resampling in ("bicubic", "bilinear"):
            expected = resized(whole.pixels, shape, resampling).astype(int)
            for window in (Window(0, 0, *shape), Window(16, 24, 72, 80)):
                found = tiled.scaled(window, shape, resampling)
                assert np.abs(found - expected[window.slices]).max() <= 1


def test_a_large_image_is_averaged_in_parts(scene, monkeypatch):
    image = Image.fromarray(scene.image)
    coarse = Lazy(scene.image[::2, ::2])
    for shape in ((100, 200), (256, 256), (37, 511)):
        expected = np.asarray(image.resize(shape[::-1], Image.Resampling.BOX)).astype(int)
        for most in (1 << 24, 10_000):
            lazy = Lazy(scene.image)
            tiled = tiled_image(lazy)
            lazy.read.clear()
            with monkeypatch.context() as patch:
                patch.setattr(tiled_images, "READ_PIXELS", most)
                found = tiled.averaged(shape)
            assert found.shape == (*shape, 3)
            assert np.abs(found - expected).max() <= 1
            rows = 512 // shape[0] + 2  # at least what one row of the result needs
            assert max(lazy.read) <= most + 512 * rows
    levels = Lazy(scene.image), coarse
    tiled_image(Pyramid(levels)).averaged((250, 250))
    assert len(levels[0].read) == 1  # the sample for the contrast
    assert coarse.read
