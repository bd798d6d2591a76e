"""Networks with random weights, saved in the formats that the engine loads. Nothing is downloaded.

The cost of a pass does not depend on the values of the weights. The sizes are those of CLIP
ViT-B/16 and of Stable Diffusion 2.1; `QUICK` is small, to try the scripts out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel


@dataclass(frozen=True)
class Sizes:
    """Settings of CLIP, and of the UNet, the VAE and the text encoder of Stable Diffusion."""

    clip: dict[str, Any]
    unet: dict[str, Any]
    vae: dict[str, Any]
    text: dict[str, Any]


REAL = Sizes(
    clip=open_clip.get_model_config("ViT-B-16-quickgelu"),
    unet={
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "attention_head_dim": (5, 10, 20, 20),
        "cross_attention_dim": 1024,
    },
    vae={"block_out_channels": (128, 256, 512, 512)},
    text={
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,
        "num_attention_heads": 16,
    },
)
QUICK = Sizes(
    clip={
        "embed_dim": 64,
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": 224, "layers": 4, "width": 128, "patch_size": 16, "head_width": 64,
        },
        "text_cfg": {
            "context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 4,
        },
    },
    unet={
        "sample_size": 32,
        "block_out_channels": (64, 64, 128, 128),
        "attention_head_dim": (4, 4, 8, 8),
        "cross_attention_dim": 64,
    },
    vae={"block_out_channels": (32, 32, 64, 64)},
    text={
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
)  # fmt: skip


def build(folder: Path, *, quick: bool) -> None:
    """Write ``clip.safetensors`` and the diffusers folder ``sd``."""
    sizes = QUICK if quick else REAL
    torch.manual_seed(0)
    save_clip(folder, sizes)
    sd = folder / "sd"
    unet(sizes).save_pretrained(sd / "unet")
    autoencoder(sizes).save_pretrained(sd / "vae")
    PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        steps_offset=1,
    ).save_pretrained(sd / "scheduler")
    text = CLIPTextConfig(
        vocab_size=49408, bos_token_id=4, eos_token_id=5, pad_token_id=5, **sizes.text
    )
    CLIPTextModel(text).save_pretrained(sd / "text_encoder")
    _save_tokenizer(sd / "tokenizer")


def save_clip(folder: Path, sizes: Sizes = REAL) -> Path:
    """Write ``clip.safetensors``, and return its path."""
    names = ("embed_dim", "vision_cfg", "text_cfg")
    model = open_clip.CLIP(**{name: sizes.clip[name] for name in names}, quick_gelu=True)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    path = folder / "clip.safetensors"
    save_file(tensors, path, {"config": json.dumps(sizes.clip)})
    return path


def unet(sizes: Sizes) -> UNet2DConditionModel:
    """The UNet of Stable Diffusion."""
    return UNet2DConditionModel(use_linear_projection=True, **sizes.unet)


def autoencoder(sizes: Sizes) -> AutoencoderKL:
    """The VAE of Stable Diffusion."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        **sizes.vae,
    )


def _save_tokenizer(folder: Path) -> None:
    """A tokenizer of four letters: the only prompt is the empty one."""
    folder.mkdir(parents=True)
    words = ["a", "b", "a</w>", "b</w>", "<|startoftext|>", "<|endoftext|>"]
    special = {
        "bos_token": words[4],
        "eos_token": words[5],
        "pad_token": words[5],
        "unk_token": words[5],
    }
    own = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **special}
    for name, content in (
        ("vocab.json", {word: index for index, word in enumerate(words)}),
        ("special_tokens_map.json", special),
        ("tokenizer_config.json", own),
    ):
        (folder / name).write_text(json.dumps(content))
    (folder / "merges.txt").write_text("#version: 0.2\n")
