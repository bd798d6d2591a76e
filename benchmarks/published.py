"""A plain implementation of the published method, as the baseline: nothing in it is optimised.

Source: CLIPer (arXiv 2411.13836), step by step as described: the words are encoded with every
prompt, CLIP's blocks return their attention, the whole UNet runs, all self- and cross-attention
maps of its up blocks are stored, and the product of the ten sharpened maps is computed before it is
applied to the coarse map. All of it runs again for a changed word.

Shapes: T classes, Q queries, K layers, N patches, D embedding width, H heads, n latent pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor

READ_LAYERS = (-4, -6)


def word_vectors(model: Any, tokenizer: Any, words: Sequence[Sequence[str]]) -> Tensor:
    """The mean over each word's prompts, (Q, D); prompts are as long as the context."""
    vectors = []
    for prompts in words:
        tokens = tokenizer(list(prompts)).to(next(model.parameters()).device)
        encoded = F.normalize(model.encode_text(tokens).float(), dim=-1)
        vectors.append(F.normalize(encoded.mean(dim=0), dim=0))
    return torch.stack(vectors)


def patch_features(visual: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Early-layer fusion over (1, 1 + N, W) tokens: (K, N, D) features and (N, N) attention."""
    blocks = list(visual.transformer.resblocks)
    embeddings, attentions = [], []
    for block in blocks[:-1]:
        normed = block.ln_1(x)
        q, k, v = _heads(block, normed)
        weights = (q @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1)  # (H, n, n)
        embeddings.append(normed)
        attentions.append(weights)
        x = x + block.ls_1(_joined(block, weights, v))
        x = x + block.ls_2(block.mlp(block.ln_2(x)))
    embeddings.append(x)
    summed = torch.stack(attentions).sum(dim=0)
    last, features = blocks[-1], []
    for embedding in embeddings:
        summed = summed / summed.sum(dim=-2, keepdim=True)
        summed = summed / summed.sum(dim=-1, keepdim=True)
        mixed = (summed + summed.mT) / 2
        mixed = (mixed - mixed.mean(dim=-2, keepdim=True)).clamp(min=0)
        mixed = mixed / mixed.sum(dim=-1, keepdim=True)
        _, _, v = _heads(last, last.ln_1(embedding))
        features.append(visual.ln_post(_joined(last, mixed, v)) @ visual.proj)
    return torch.cat(features)[:, 1:], mixed.mean(dim=0)[1:, 1:]


def _heads(block: Any, x: Tensor) -> tuple[Tensor, ...]:
    attention = block.attn
    qkv = F.linear(x[0], attention.in_proj_weight, attention.in_proj_bias)
    return tuple(
        part.unflatten(-1, (attention.num_heads, -1)).transpose(0, 1)
        for part in qkv.chunk(3, dim=-1)
    )


def _joined(block: Any, weights: Tensor, v: Tensor) -> Tensor:
    joined: Tensor = block.attn.out_proj((weights @ v).transpose(0, 1).flatten(1))
    return joined[None]


def coarse_maps(
    features: Tensor,
    attention: Tensor,
    vectors: Tensor,
    classes: int,
    *,
    scale: float,
    layer: int,
    threshold: float,
) -> Tensor:
    """(T, N) coarse maps; the classes are the first of the vectors, each with one word."""
    queries = torch.cat([vectors, vectors[:classes].mean(dim=0, keepdim=True)])
    cosine = F.normalize(features, dim=-1) @ F.normalize(queries, dim=-1).T  # (K, N, Q)
    maps = (cosine * scale).softmax(dim=-1)[..., :classes].mT.clone()  # (K, T, N)
    selected = maps[layer]
    selected[selected < threshold * selected.amax(dim=-1, keepdim=True)] = 0
    return selected @ attention + maps.mean(dim=0)


class _Keeper:
    """An attention processor that keeps all maps, (H, n, n) or (H, n, 77)."""

    maps: Tensor

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Any = None, **_: Any
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q = attn.head_to_batch_dim(attn.to_q(hidden_states))
        k = attn.head_to_batch_dim(attn.to_k(context))
        v = attn.head_to_batch_dim(attn.to_v(context))
        self.maps = attn.get_attention_scores(q, k)
        out: Tensor = attn.to_out[1](attn.to_out[0](attn.batch_to_head_dim(self.maps @ v)))
        return out


def self_attention(unet: Any, latents: Tensor, timestep: int, prompt: Tensor) -> Tensor:
    """The maps that are read, (m, n, n), after the whole UNet has run with all of them kept."""
    names = [
        f"up_blocks.{number}.{name}.processor"
        for number, block in enumerate(unet.up_blocks)
        for name, module in block.named_modules()
        if isinstance(module, Attention)
    ]
    original = dict(unet.attn_processors)
    keepers = {name: _Keeper() for name in names}
    unet.set_attn_processor(original | keepers)
    try:
        unet(latents, timestep, encoder_hidden_states=prompt)
    finally:
        unet.set_attn_processor(original)
    maps = torch.cat([keepers[names[layer]].maps for layer in READ_LAYERS])
    return maps.float()


def sharpened(maps: Tensor, threshold: float) -> Tensor:
    """The maps without their faint values, rows normalised, (m, n, n)."""
    relative = maps / (maps.amax(dim=1, keepdim=True) + 1e-5)
    relative = torch.where(relative < threshold, 0, relative)
    return relative / (relative.sum(dim=2, keepdim=True) + 1e-5)


def product(maps: Tensor) -> Tensor:
    """A_1 A_2 .. A_m as one (n, n) matrix, of as many products as there are maps."""
    start = torch.eye(maps.shape[-1], device=maps.device)
    return reduce(torch.matmul, maps, start)


def refined_maps(coarse: Tensor, maps: Tensor, threshold: float) -> Tensor:
    """(T, h, w) coarse maps to (T, side, side) refined ones."""
    side = int(maps.shape[-1] ** 0.5)
    columns = F.interpolate(coarse[None], size=(side, side), mode="bilinear")[0].flatten(1).T
    return (product(sharpened(maps, threshold)) @ columns).T.reshape(-1, side, side)
