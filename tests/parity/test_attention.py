"""The last block of the other methods against the arrays of their published programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from napari_cliper.segmentation import METHODS
from napari_cliper.segmentation.methods.sclip import Sclip
from napari_cliper.segmentation.models import clip
from napari_cliper.segmentation.models.clip_image_encoder import ClipImageEncoder
from napari_cliper.segmentation.models.last_block_attention import PROXY_BETA, PROXY_GAMMA


class SclipWithoutResidual(Sclip):
    residual = False


INPUTS = ("pixel_values", "external_features")


@pytest.fixture(scope="module")
def encoder(reference: Path) -> ClipImageEncoder:
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
        if method == "proxyclip":
            features = encoder.proxied(
                pixels,
                attention_case.tensor(f"{size}_external_features"),
                beta=PROXY_BETA,
                gamma=PROXY_GAMMA,
            )
        else:
            variant = method == "sclip_no_residual"
            block = SclipWithoutResidual() if variant else METHODS[method].make()
            features = encoder.last_block(pixels, block.attention, residual=block.residual)
        np.testing.assert_allclose(features, expected, rtol=0, atol=1e-4, err_msg=key)
        compared += 1
    assert compared, f"{attention_case.path} holds no output to compare with"
