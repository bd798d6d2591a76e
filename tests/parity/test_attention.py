"""The last block of the other methods against the arrays of their published programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from napari_cliper.segmentation.features.extraction import (
    LAST_BLOCKS,
    PROXY_BETA,
    PROXY_GAMMA,
    LastBlock,
)
from napari_cliper.segmentation.models import clip
from napari_cliper.segmentation.models.image_encoder import ImageEncoder

METHODS = {**LAST_BLOCKS, "sclip_no_residual": LastBlock("q-q+k-k", residual=False)}
INPUTS = ("pixel_values", "external_features")


@pytest.fixture(scope="module")
def encoder(reference: Path) -> ImageEncoder:
    config = json.loads((reference / "cliper" / "clip_visual.json").read_text())
    tensors = load_file(reference / "cliper" / "clip_visual.safetensors")
    return clip.build(config, tensors, source="reference").image


def test_patch_features(attention_case, encoder):
    compared = 0
    for key, expected in attention_case.arrays.items():
        size, _, method = key.partition("_")
        if method in INPUTS:
            continue
        pixels = attention_case.tensor(f"{size}_pixel_values")
        block = METHODS[method]
        if block.attention is None:
            features = encoder.proxied(
                pixels,
                attention_case.tensor(f"{size}_external_features"),
                beta=PROXY_BETA,
                gamma=PROXY_GAMMA,
            )
        else:
            features = encoder.last_block(pixels, block.attention, residual=block.residual)
        np.testing.assert_allclose(features, expected, rtol=0, atol=1e-4, err_msg=key)
        compared += 1
    assert compared, f"{attention_case.path} holds no output to compare with"
