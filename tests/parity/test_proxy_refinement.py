"""The refinement with a vision foundation model against the published program's arrays."""

from __future__ import annotations

import numpy as np

from napari_cliper.segmentation.refiners.attention_maps import refine_with_attention
from napari_cliper.segmentation.refiners.foundation import feature_attention


def test_refined(proxy_case):
    attention = feature_attention(proxy_case.tensor("features")[0])
    refined = refine_with_attention(proxy_case.tensor("coarse"), attention)
    np.testing.assert_allclose(refined, proxy_case["refined"], rtol=0, atol=1e-4)
