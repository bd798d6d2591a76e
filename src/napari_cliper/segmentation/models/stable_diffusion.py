"""Self-attention maps of Stable Diffusion for an image, from one UNet pass.

The only module that imports diffusers. Source: CLIPer (arXiv 2411.13836, sec. 3.3): the image
latents with a little noise pass through the UNet once; the self-attention of two of its
highest-resolution layers tells which pixels belong together.

Notation: h = w = side of the latents (64), n = h * w, H heads per layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, PNDMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from ..errors import DamagedWeightsError, InvalidInputError
from .pretrained import load_network, load_part

T = TypeVar("T")

LAYERS = (-4, -6)
"""Indices of the attention layers that are read, among all self- and cross-attention layers of the
up blocks: the self-attention of up_blocks[3].attentions[1] and [0]."""
STEPS, STEP_INDEX = 50, 45
"""Number of scheduler steps, and the step whose noise level is used."""


class _PassEndedError(Exception):
    """Raised after the last layer that is read, to skip the rest of the UNet."""


class _Reader:
    """A diffusers attention processor that passes each head's attention map to a callback.

    Parameters
    ----------
    keep : callable
        Called with the (n, n) map of each head in turn.
    ends : bool
        Whether this is the last layer that is read; the pass ends here.
    """

    def __init__(self, keep: Callable[[Tensor], None], *, ends: bool) -> None:
        self.keep = keep
        self.ends = ends

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Apply self-attention to (B, n, W) hidden states; returns (B, n, W)."""
        del encoder_hidden_states, attention_mask, temb  # unused in self-attention
        q, k, v = (
            attn.head_to_batch_dim(project(hidden_states))  # (H, n, d)
            for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        heads = []
        for one_q, one_k, one_v in zip(q.split(1), k.split(1), v.split(1), strict=True):
            weights = attn.get_attention_scores(one_q, one_k)  # (1, n, n)
            if not self.ends:
                heads.append(weights @ one_v)
            self.keep(weights[0])
            del weights  # free the memory before the next head
        if self.ends:
            raise _PassEndedError
        hidden_states = attn.batch_to_head_dim(torch.cat(heads))  # (B, n, W)
        for module in attn.to_out:
            hidden_states = module(hidden_states)
        return hidden_states


class Diffusion:
    """The parts of Stable Diffusion needed for refinement: UNet, VAE encoder and scheduler.

    Parameters
    ----------
    unet : UNet2DConditionModel
    vae : AutoencoderKL or AutoencoderTiny
        Only its encoder is used. The tiny one gives latents instead of their mean and variance.
    scheduler : PNDMScheduler
    prompt : (1, 77, C) float tensor
        Output of the text encoder for the empty prompt.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL | AutoencoderTiny,
        scheduler: PNDMScheduler,
        prompt: Tensor,
    ) -> None:
        self.unet = cast("Any", unet)
        self.encoder = cast("nn.Module", vae.encoder)
        self.tiny = isinstance(vae, AutoencoderTiny)
        self.quantise: nn.Module | None = None if self.tiny else vae.quant_conv
        for network in self.networks:
            network.eval().requires_grad_(requires_grad=False)
        self.scaling_factor = float(vae.config.scaling_factor)
        self.scheduler = cast("Any", scheduler)
        self.prompt = prompt
        self.side = int(self.unet.config.sample_size)
        self.image_side = self.side * 2 ** (len(vae.config.block_out_channels) - 1)
        self.scheduler.set_timesteps(STEPS)

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All torch modules with weights."""
        return tuple(m for m in (self.unet, self.encoder, self.quantise) if m is not None)

    def timestep(self, index: int = STEP_INDEX) -> int:
        """Return the scheduler's timestep at an index."""
        return int(self.scheduler.timesteps[index])

    def noise(self, seed: int) -> Tensor:
        """Return Gaussian noise for a seed, (1, 4, h, w) float32; identical on every device."""
        generator = torch.Generator().manual_seed(seed)
        channels = int(self.unet.config.in_channels)
        return torch.randn((1, channels, self.side, self.side), generator=generator)

    def noisy_latents(
        self, pixels: Tensor, noise: Tensor, *, step_index: int = STEP_INDEX
    ) -> Tensor:
        """Encode an image and add noise: the input of the UNet, (1, 4, h, w).

        Parameters
        ----------
        pixels : (1, 3, 8 h, 8 w) float tensor
            Values in [-1, 1].
        noise : (1, 4, h, w) float tensor
        """
        weight = next(self.encoder.parameters())
        mean = self.encoder(pixels.to(weight.device, weight.dtype))
        if self.quantise is not None:
            mean = self.quantise(mean)
        if not self.tiny:
            mean = mean.chunk(2, dim=1)[0]
        mean = mean.float() * self.scaling_factor
        time = torch.tensor([self.timestep(step_index)])
        return cast("Tensor", self.scheduler.add_noise(mean.cpu(), noise, time))

    def self_attention(
        self,
        latents: Tensor,
        keep: Callable[[Tensor], T],
        *,
        layers: Sequence[int] = LAYERS,
        step_index: int = STEP_INDEX,
    ) -> list[T]:
        """Run the UNet once and process the self-attention map of each head.

        Parameters
        ----------
        latents : (1, 4, h, w) float tensor
            As returned by `noisy_latents`.
        keep : callable
            Called with each raw (n, n) map (query, key). Only its result is stored, so that one
            raw map is in memory at a time.
        layers : sequence of int
            Indices as in `LAYERS`.

        Returns
        -------
        list
            Results of `keep`: all heads of the first of `layers`, then of the next.
        """
        attentions = [
            f"up_blocks.{number}.{name}.processor"
            for number, block in enumerate(self.unet.up_blocks)
            for name, module in block.named_modules()
            if isinstance(module, Attention)
        ]
        kept: dict[int, list[T]] = {}
        processors = dict(self.unet.attn_processors)
        original = dict(processors)
        last_read = max(layers, key=lambda layer: layer % len(attentions))
        for layer in layers:
            kept[layer] = []
            processors[attentions[layer]] = _Reader(
                partial(_keep_in, kept[layer], keep), ends=layer == last_read
            )
        self.unet.set_attn_processor(processors)
        weight = next(self.unet.parameters())
        try:
            with suppress(_PassEndedError):
                self.unet(
                    latents.to(weight.device, weight.dtype),
                    self.timestep(step_index),
                    encoder_hidden_states=self.prompt.to(weight.device, weight.dtype),
                )
        finally:
            self.unet.set_attn_processor(original)
        return [head for layer in layers for head in kept[layer]]


def _keep_in(found: list[T], keep: Callable[[Tensor], T], weights: Tensor) -> None:
    found.append(keep(weights))


def load(
    folder: Path, prompt: Tensor, dtype: torch.dtype, autoencoder: Path | None = None
) -> Diffusion:
    """Load UNet, VAE and scheduler of a model in diffusers format.

    Parameters
    ----------
    folder : Path
        Contains ``unet``, ``vae`` and ``scheduler``; weights as safetensors.
    prompt : (1, 77, C) float tensor
        See `transformers_networks.empty_prompt`.
    dtype : torch.dtype
        Dtype of the UNet and the VAE, except that the VAE stays in float32 for float16, where it
        would overflow.
    autoencoder : Path, optional
        Folder of an `AutoencoderTiny` that replaces the VAE.
    """
    missing = [part for part in ("unet", "vae", "scheduler") if not (folder / part).is_dir()]
    if missing:
        raise InvalidInputError(
            f"{folder} is not a Stable Diffusion model in diffusers format: it lacks "
            f"{', '.join(missing)}."
        )

    def network(kind: Any, path: Path, dtype: torch.dtype) -> Any:
        return load_network(
            path,
            kind,
            "diffusion_pytorch_model",
            torch_dtype=dtype,
            low_cpu_mem_usage=False,
        )

    unet = network(UNet2DConditionModel, folder / "unet", dtype)
    kind = AutoencoderKL if autoencoder is None else AutoencoderTiny
    exact = torch.float32 if dtype == torch.float16 else dtype
    vae = network(kind, autoencoder or folder / "vae", exact)
    if unet.config.cross_attention_dim != prompt.shape[-1]:
        raise DamagedWeightsError(
            f"The UNet in {folder} expects prompts of width {unet.config.cross_attention_dim}, but "
            f"its text encoder gives {prompt.shape[-1]}: they belong to different models."
        )
    return Diffusion(unet, vae, load_part(folder / "scheduler", PNDMScheduler), prompt)
