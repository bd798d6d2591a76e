"""Stable Diffusion in small: the parts of a folder, and how a segmenter loads it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import CLIPTextConfig, CLIPTextModel

from napari_cliper.segmentation import SegmentationConfig
from napari_cliper.segmentation.models import loading
from napari_cliper.segmentation.progress import Monitor

REFERENCE = Path(__file__).parent / "parity" / "reference" / "diffusion"
SIDE = 8  # of the latents, in place of 64
WEIGHTS = "diffusion_pytorch_model.safetensors"


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def write_text_encoder(folder, width=32):
    """The text tower and the tokenizer of a Stable Diffusion, by transformers itself."""
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=6,
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=12,
        bos_token_id=4,
        eos_token_id=5,
        pad_token_id=5,
    )
    CLIPTextModel(text).save_pretrained(folder / "text_encoder")
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir(exist_ok=True)
    words = ["a", "b", "a</w>", "b</w>", "<|startoftext|>", "<|endoftext|>"]
    (tokenizer / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
    }
    (tokenizer / "special_tokens_map.json").write_text(json.dumps(special))
    own = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 12, **special}
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(own))


def load(folder, dtype=torch.float32, monitor=None):
    """As a segmenter does it."""
    chosen_config = SegmentationConfig(diffusion_model=str(folder), device="cpu", offline=True)
    return loading.load_diffusion(
        chosen_config, torch.device("cpu"), dtype, monitor or Monitor()
    ).network
