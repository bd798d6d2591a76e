"""NACLIP and ResCLIP against the arrays of the published program."""

from __future__ import annotations

import numpy as np

from napari_cliper.segmentation import METHODS
from napari_cliper.segmentation.progress import Monitor


def test_naclip(resclip_case, later_encoder):
    if "naclip" not in resclip_case.arrays:
        return
    pixels = resclip_case.tensor("pixel_values")
    features, grid = METHODS["naclip"].make().encode(later_encoder, None, (), pixels, Monitor())
    assert grid == (pixels.shape[2] // 16, pixels.shape[3] // 16)
    np.testing.assert_allclose(features, resclip_case["naclip"], rtol=0, atol=1e-4)
