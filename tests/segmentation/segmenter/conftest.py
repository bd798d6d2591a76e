"""A segmenter with networks of random weights."""

from __future__ import annotations

import pytest
import timm
import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from segmenter_inputs import IMAGE

from napari_cliper.segmentation import SegmentationConfig, Segmenter
from napari_cliper.segmentation.models import dino as proxy
from napari_cliper.segmentation.models.stable_diffusion import Diffusion


@pytest.fixture(scope="module")
def config(tiny_clip):
    quick = {
        "model": str(tiny_clip), "device": "cpu", "offline": True, "shorter_side": 64,
        "refiner": "none", "templates": "word", "background": ("sky", "sea"),
    }  # fmt: skip

    def make(**options):
        return SegmentationConfig(**quick | options)

    return make


@pytest.fixture(scope="module")
def segmenter(config):
    return Segmenter(config())


@pytest.fixture(scope="module")
def embedding(segmenter):
    return segmenter.embed(IMAGE)


class _Networks:
    """Small networks in the place of those that are downloaded."""

    def __init__(self):
        torch.manual_seed(0)
        self.foundation = proxy.FoundationModel(
            timm.models.VisionTransformer(
                img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=0,
                dynamic_img_size=True,
            )
        )  # fmt: skip
        small = {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4}
        unet = UNet2DConditionModel(
            sample_size=8, cross_attention_dim=16, attention_head_dim=2, **small
        )
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            **small,
        )  # fmt: skip
        scheduler = PNDMScheduler(skip_prk_steps=True, steps_offset=1)
        self.diffusion = Diffusion(unet, vae, scheduler, torch.randn(1, 77, 16))


@pytest.fixture(scope="module")
def networks():
    return _Networks()
