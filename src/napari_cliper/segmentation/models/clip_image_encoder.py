"""Patch features of CLIP's image encoder, run block by block.

The modules of open_clip are called directly, without monkey-patching. Sources: CLIPer (arXiv
2411.13836, sec. 3.2) for `early_layers`; CLIP, MaskCLIP (2112.01071), SCLIP (2312.01597), ClearCLIP
(2407.12442) and ProxyCLIP (2408.04883) for the methods that change the last block only.

Notation: B images, n = 1 + N tokens (class token first), N = h * w patches, W transformer width, H
heads, d = W / H, L blocks, D embedding width.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..progress import Monitor
from .last_block_attention import (
    LAST_BLOCK,
    LastBlockAttention,
    fused_attention,
    normalise_once,
    proxy_attention,
)

Interpolation = Literal["bilinear", "bicubic-offset"]
"""How position embeddings are resized to another patch grid: bilinear as in CLIPer, or bicubic by
the factor (grid + 0.1) / native grid as in SCLIP, ClearCLIP and ProxyCLIP."""

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""RGB mean and standard deviation of nearly every CLIP, for pixels in [0, 1]."""

CACHED = 1 << 20
"""Values of attention that are computed at once on a CPU, so that they stay in its cache."""


@dataclass(frozen=True)
class LayerFeatures:
    """Patch features of several layers, each passed through the last block.

    Parameters
    ----------
    features : (K, 1 + N, D) float tensor
        Projected, not normalised; class token first. K is L, or 1 if a single layer was selected.
    attention : (N, N) float tensor
        Attention of the last of the K layers, mean over the heads, patch tokens only.
    """

    features: Tensor
    attention: Tensor


class ClipImageEncoder:
    """CLIP's image encoder (image tower), run block by block.

    Parameters
    ----------
    visual : open_clip.transformer.VisionTransformer
        A ViT with a class token and learned position embeddings (see `clip.refusal`).
    mean, std : (float, float, float)
        RGB mean and standard deviation that pixels in [0, 1] are normalised with.
    """

    def __init__(
        self,
        visual: nn.Module,
        mean: tuple[float, float, float] = MEAN,
        std: tuple[float, float, float] = STD,
    ) -> None:
        self.mean, self.std = mean, std
        self.visual = cast("Any", visual.eval().requires_grad_(False))
        self.patch = int(self.visual.conv1.weight.shape[-1])
        self.native_grid: tuple[int, int] = tuple(self.visual.grid_size)
        self.blocks: Sequence[Any] = list(self.visual.transformer.resblocks)
        self.heads = int(self.blocks[0].attn.num_heads)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights and of the computation."""
        return cast("torch.dtype", self.visual.conv1.weight.dtype)

    @property
    def device(self) -> torch.device:
        """The device that holds the encoder."""
        return cast("torch.device", self.visual.conv1.weight.device)

    def grid(self, pixels: Tensor) -> tuple[int, int]:
        """Return rows and columns of the patches of (B, 3, H, W) pixels."""
        return pixels.shape[2] // self.patch, pixels.shape[3] // self.patch

    def tokens(self, pixels: Tensor, interpolation: Interpolation) -> Tensor:
        """Return the input tokens of the first block.

        Parameters
        ----------
        pixels : (B, 3, H, W) float tensor
            Normalised with `mean` and `std`; rows and columns beyond a multiple of the patch
            size are ignored.
        interpolation : Interpolation

        Returns
        -------
        (B, 1 + N, W) tensor
        """
        visual = self.visual
        patches = visual.conv1(pixels.to(self.device, self.dtype))  # (B, W, h, w)
        grid = self.grid(pixels)
        x = patches.flatten(2).mT  # (B, N, W)
        x = torch.cat([visual.class_embedding.expand(len(x), 1, -1).to(x.dtype), x], dim=1)
        x = x + self.positions(grid, interpolation).to(x.dtype)
        return cast("Tensor", visual.ln_pre(x))

    def positions(self, grid: tuple[int, int], interpolation: Interpolation) -> Tensor:
        """Return position embeddings for an (h, w) grid, (1 + N, W).

        Those of the patches are interpolated; that of the class token is unchanged.
        """
        positions: Tensor = self.visual.positional_embedding
        if grid == self.native_grid:
            return positions
        height, width = self.native_grid
        table = positions[1:].unflatten(0, (height, width)).permute(2, 0, 1)[None].float()
        if interpolation == "bilinear":
            table = F.interpolate(table, size=grid, mode="bilinear", align_corners=False)
        else:
            factors = ((grid[0] + 0.1) / height, (grid[1] + 0.1) / width)
            table = F.interpolate(table, scale_factor=factors, mode="bicubic", align_corners=False)
        patches = table[0].flatten(1).T.to(positions.dtype)  # (N, W)
        return torch.cat([positions[:1], patches])

    def early_layers(
        self,
        pixels: Tensor,
        *,
        attention: LastBlockAttention | Literal["fused"] = "fused",
        only_layer: int | None = None,
        interpolation: Interpolation = "bilinear",
        monitor: Monitor | None = None,
    ) -> list[LayerFeatures]:
        """Return the patch features of every layer, each passed through the last block.

        Source: CLIPer (arXiv 2411.13836, sec. 3.2).

        Parameters
        ----------
        pixels : (B, 3, H, W) float tensor
        attention : str
            ``"fused"`` is CLIPer's: the sum of the attentions of the early blocks, normalised
            once more for each layer. Otherwise a key of `LAST_BLOCK`.
        only_layer : int, optional
            Use this layer only; negative numbers count from the end.

        Returns
        -------
        list of LayerFeatures
            One per image; images do not influence each other.
        """
        monitor = monitor or Monitor()
        x = self.tokens(pixels, interpolation)  # (B, n, W)
        at_once = self._heads_at_once(x)
        embeddings: list[Tensor] = []
        summed: list[Tensor] = []  # of the heads that are computed at once, (B, heads, n, n) each
        for index, block in enumerate(self.blocks[:-1]):
            monitor.tell("Encoding the image", index, len(self.blocks))
            embedding = block.ln_1(x)
            embeddings.append(embedding)
            heads: list[Tensor] = []
            for place, (q, k, v) in enumerate(self._by_heads(block, embedding, at_once)):
                monitor.check()
                weights = LAST_BLOCK["vanilla"](q, k, v)
                heads.append(weights @ v)
                if index == 0:
                    summed.append(weights.to(torch.float32, copy=True))  # for training
                else:
                    summed[place] += weights
            x = self.finish(block, x, self.join(block, torch.cat(heads, dim=1)))
        embeddings.append(x)
        if only_layer is not None:
            embeddings = [embeddings[only_layer]]

        last = self.blocks[-1]

        def attended(normal: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
            """Yield attention and values of the heads that are computed at once."""
            if attention != "fused":
                for q, k, v in self._by_heads(last, normal, at_once):
                    yield LAST_BLOCK[attention](q, k, v).float(), v
                return
            for place, v in enumerate(self.values(last, normal).split(at_once, dim=1)):
                summed[place] = normalise_once(summed[place])
                yield fused_attention(summed[place]), v

        features: list[Tensor] = []
        of_last = x.new_zeros((), dtype=torch.float32)
        for embedding in embeddings:
            monitor.tell("Fusing early layers", len(features), len(embeddings))
            heads = []
            for weights, v in attended(last.ln_1(embedding)):
                monitor.check()
                heads.append(weights.to(v.dtype) @ v)
                if embedding is embeddings[-1]:
                    of_last = of_last + weights[..., 1:, 1:].sum(dim=1)
            features.append(self.project_out(self.join(last, torch.cat(heads, dim=1))))
        layers = torch.stack(features, dim=1).float()  # (B, K, n, D)
        of_last /= self.heads  # (B, N, N)
        return [LayerFeatures(*one) for one in zip(layers, of_last, strict=True)]

    def _heads_at_once(self, x: Tensor) -> int:
        """How many heads' attentions of (B, n, W) tokens are computed at once.

        On a CPU, no more than its cache holds; the results are the same.
        """
        if x.device.type != "cpu":
            return self.heads
        return min(max(CACHED // (len(x) * x.shape[1] ** 2), 1), self.heads)

    def _by_heads(
        self, block: Any, x: Tensor, at_once: int
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield q, k and v of some heads after the other; see `project`."""
        return zip(*(one.split(at_once, dim=1) for one in self.project(block, x)), strict=True)

    def last_block(
        self,
        pixels: Tensor,
        attention: LastBlockAttention,
        *,
        residual: bool,
        interpolation: Interpolation = "bicubic-offset",
        monitor: Monitor | None = None,
    ) -> Tensor:
        """Return patch features with the attention of the last block replaced.

        Parameters
        ----------
        pixels : (B, 3, H, W) float tensor
        attention : str
            A key of `LAST_BLOCK`.
        residual : bool
            Whether the last block keeps its residual connections and its MLP.

        Returns
        -------
        (B, N, D) tensor
            Projected patch features without the class token, not normalised.
        """
        outputs = []
        for x in self.before_last(pixels, interpolation=interpolation, monitor=monitor):
            last = self.blocks[-1]
            q, k, v = self.project(last, last.ln_1(x))
            out = self.merge(last, LAST_BLOCK[attention](q, k, v), v)
            out = self.finish(last, x, out) if residual else out
            outputs.append(self.project_out(out)[:, 1:])
        return torch.cat(outputs).float()

    def proxied(
        self,
        pixels: Tensor,
        external: Tensor,
        *,
        beta: float,
        gamma: float,
        monitor: Monitor | None = None,
    ) -> Tensor:
        """Return patch features with the last attention taken from a vision foundation model.

        Source: ProxyCLIP (2408.04883, eq. 5-7).

        Parameters
        ----------
        pixels : (B, 3, H, W) float tensor
        external : (B, C, fh, fw) float tensor
            Patch features of the foundation model; their grid is that of the output.
        beta, gamma : float
            Shift and scale, see `proxy_attention`.

        Returns
        -------
        (B, fh * fw, D) tensor
            Projected, not normalised.
        """
        tokens = self.proxied_tokens(pixels, external, beta=beta, gamma=gamma, monitor=monitor)
        return self.project_out(tokens).float()

    def proxied_tokens(
        self,
        pixels: Tensor,
        external: Tensor,
        *,
        beta: float,
        gamma: float,
        mean: float | None = None,
        monitor: Monitor | None = None,
    ) -> Tensor:
        """Return what the last block gives in `proxied`, before it is projected.

        Parameters
        ----------
        pixels, external, beta, gamma
            As for `proxied`.
        mean : float, optional
            See `proxy_attention`.

        Returns
        -------
        (B, fh * fw, W) tensor
        """
        grid = external.shape[-2:]
        height, width = self.grid(pixels)
        outputs = []
        for x, proxy in zip(
            self.before_last(pixels, monitor=monitor),
            external,
            strict=True,
        ):
            last = self.blocks[-1]
            values = self.project(last, last.ln_1(x))[2][0, :, 1:]  # (H, N, d)
            table = values.mT.unflatten(-1, (height, width)).float()  # (H, d, h, w)
            table = F.interpolate(table, size=grid, mode="bilinear", align_corners=False)
            values = table.flatten(2).mT  # (H, fh * fw, d)
            weights = proxy_attention(proxy.flatten(1).T.float(), beta, gamma, mean)
            outputs.append(self.merge(last, weights.to(x.dtype), values[None].to(x.dtype)))
        return torch.cat(outputs)

    def inputs_of_blocks(
        self,
        pixels: Tensor,
        *,
        interpolation: Interpolation = "bicubic-offset",
        monitor: Monitor | None = None,
    ) -> Iterator[Tensor]:
        """Yield the input of each block in turn; the last block is not run.

        Parameters
        ----------
        pixels : (B, 3, H, W) float tensor
        interpolation : Interpolation

        Yields
        ------
        (B, n, W) tensor
            L of them. Item b, counted from 0, is the output of block b, counted from 1 as in the
            papers.
        """
        monitor = monitor or Monitor()
        x = self.tokens(pixels, interpolation)
        yield x
        for index, block in enumerate(self.blocks[:-1]):
            monitor.tell("Encoding the image", index, len(self.blocks))
            x = block(x)
            yield x

    def before_last(
        self,
        pixels: Tensor,
        *,
        interpolation: Interpolation = "bicubic-offset",
        monitor: Monitor | None = None,
    ) -> Iterator[Tensor]:
        """Yield the input of the last block for each image, (1, n, W)."""
        monitor = monitor or Monitor()
        inputs = self.inputs_of_blocks(pixels, interpolation=interpolation, monitor=monitor)
        for one in deque(inputs, maxlen=1).pop().split(1):
            monitor.check()
            yield one

    def project(self, block: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute q, k and v, each (B, H, n, d), from layer-normalised tokens (B, n, W)."""
        qkv = F.linear(x, block.attn.in_proj_weight, block.attn.in_proj_bias)  # (B, n, 3 W)
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def values(self, block: Any, x: Tensor) -> Tensor:
        """Compute v alone; see `project`."""
        weight, bias = (
            table.chunk(3)[2] for table in (block.attn.in_proj_weight, block.attn.in_proj_bias)
        )
        v = F.linear(x, weight, bias)  # (B, n, W)
        return cast("Tensor", v.unflatten(-1, (self.heads, -1)).transpose(1, 2))

    def merge(self, block: Any, weights: Tensor, v: Tensor) -> Tensor:
        """Apply attention (..., n, n) to values (B, H, n, d), join and project heads: (B, n, W)."""
        return self.join(block, weights @ v)

    def join(self, block: Any, heads: Tensor) -> Tensor:
        """Join and project heads, (B, H, n, d) to (B, n, W)."""
        return cast("Tensor", block.attn.out_proj(heads.transpose(1, 2).flatten(2)))

    def finish(self, block: Any, x: Tensor, attended: Tensor) -> Tensor:
        """Apply the residual connections and the MLP of a block."""
        x = x + block.ls_1(attended)
        return cast("Tensor", x + block.ls_2(block.mlp(block.ln_2(x))))

    def project_out(self, x: Tensor) -> Tensor:
        """Apply the final layer norm and projection, (B, n, W) to (B, n, D)."""
        x = self.visual.ln_post(x)
        return cast("Tensor", x if self.visual.proj is None else x @ self.visual.proj)
