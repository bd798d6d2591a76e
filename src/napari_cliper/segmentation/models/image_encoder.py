"""CLIP's image tower, walked block by block: an image becomes patch features.

Its modules are called as they are; nothing in them is patched. Sources: CLIPer (arXiv
2411.13836, sec. 3.2) for `early_layers`; CLIP, MaskCLIP (2112.01071), SCLIP
(2312.01597), ClearCLIP (2407.12442) and ProxyCLIP (2408.04883) for the last block alone.

Shapes: B images, n = 1 + N tokens with the class token first, N = h * w patches, W
width, H heads, d = W / H, L blocks, D embedding width.
"""

from __future__ import annotations

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
"""How position embeddings reach another grid: CLIPer's way, or that of SCLIP, ClearCLIP
and ProxyCLIP (bicubic with the factor (grid + 0.1) / native grid)."""

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""What nearly every CLIP takes off its pixels, and divides them by."""


@dataclass(frozen=True)
class LayerFeatures:
    """What the last block makes of every kept embedding.

    Parameters
    ----------
    features : (K, 1 + N, D) float tensor
        Projected, not normalised; class token first. K is L, or 1 without fusion.
    attention : (N, N) float tensor
        Head mean of the last embedding's attention, patches only.
    """

    features: Tensor
    attention: Tensor


class ImageEncoder:
    """CLIP's image tower, walked block by block.

    Parameters
    ----------
    visual : open_clip.transformer.VisionTransformer
        A ViT with a class token and learned positions (see `refusal`).
    mean, std : (float, float, float)
        What its pixels are normalised by.
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
        """The dtype the tower computes in."""
        return cast("torch.dtype", self.visual.conv1.weight.dtype)

    @property
    def device(self) -> torch.device:
        """Where the tower is."""
        return cast("torch.device", self.visual.conv1.weight.device)

    def tokens(self, pixels: Tensor, interpolation: Interpolation) -> Tensor:
        """Pixels to the input of the first block.

        Parameters
        ----------
        pixels : (B, 3, H, W) float tensor
            Normalised by `mean` and `std`; what is over a multiple of the patch
            is left out by the convolution.
        interpolation : Interpolation

        Returns
        -------
        (B, 1 + N, W) tensor
        """
        visual = self.visual
        patches = visual.conv1(pixels.to(self.device, self.dtype))  # (B, W, h, w)
        grid = (patches.shape[2], patches.shape[3])
        x = patches.flatten(2).mT  # (B, N, W)
        x = torch.cat([visual.class_embedding.expand(len(x), 1, -1).to(x.dtype), x], dim=1)
        x = x + self.positions(grid, interpolation).to(x.dtype)
        return cast("Tensor", visual.ln_pre(x))

    def positions(self, grid: tuple[int, int], interpolation: Interpolation) -> Tensor:
        """Position embeddings for a (h, w) grid, (1 + N, W); the class position stays."""
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
    ) -> LayerFeatures:
        """Give the last block every layer's embedding, under one attention.

        Parameters
        ----------
        pixels : (1, 3, H, W) float tensor
        attention : str
            ``"fused"`` is CLIPer's: the attentions of the early blocks, summed and
            normalised once more for each embedding.
        only_layer : int, optional
            Keep this layer's embedding alone (no fusion of layers); negative counts
            from the end.
        """
        (one,) = self.early_layers_of_each(
            pixels,
            attention=attention,
            only_layer=only_layer,
            interpolation=interpolation,
            monitor=monitor,
        )
        return one

    def early_layers_of_each(
        self,
        pixels: Tensor,
        *,
        attention: LastBlockAttention | Literal["fused"] = "fused",
        only_layer: int | None = None,
        interpolation: Interpolation = "bilinear",
        monitor: Monitor | None = None,
    ) -> list[LayerFeatures]:
        """`early_layers` of several images in one pass.

        Parameters
        ----------
        pixels : (B, 3, H, W) float tensor
            The other parameters are those of `early_layers`.

        Returns
        -------
        list of LayerFeatures
            One for each image; none depends on the others.
        """
        monitor = monitor or Monitor()
        x = self.tokens(pixels, interpolation)  # (B, n, W)
        embeddings: list[Tensor] = []
        summed = x.new_zeros((), dtype=torch.float32)
        for index, block in enumerate(self.blocks[:-1]):
            monitor.tell("Encoding the image", index, len(self.blocks))
            embedding = block.ln_1(x)
            embeddings.append(embedding)
            q, k, v = self._project(block, embedding)
            weights = LAST_BLOCK["vanilla"](q, k, v)  # (B, H, n, n)
            summed = summed + weights.float()
            monitor.check()
            x = self._finish(block, x, self._merge(block, weights, v))
        embeddings.append(x)
        if only_layer is not None:
            embeddings = [embeddings[only_layer]]

        last = self.blocks[-1]
        features: list[Tensor] = []
        weights = summed
        for embedding in embeddings:
            monitor.tell("Fusing early layers", len(features), len(embeddings))
            q, k, v = self._project(last, last.ln_1(embedding))
            if attention == "fused":
                summed = normalise_once(summed)
                weights = fused_attention(summed)
            else:
                weights = LAST_BLOCK[attention](q, k, v).float()
            features.append(self._project_out(self._merge(last, weights.to(v.dtype), v)))
        layers = torch.stack(features, dim=1).float()  # (B, K, n, D)
        attentions = weights.mean(dim=1)[:, 1:, 1:].contiguous()  # (B, N, N)
        return [LayerFeatures(*one) for one in zip(layers, attentions, strict=True)]

    def last_block(
        self,
        pixels: Tensor,
        attention: LastBlockAttention,
        *,
        residual: bool,
        interpolation: Interpolation = "bicubic-offset",
        monitor: Monitor | None = None,
    ) -> Tensor:
        """Run all blocks but give the last one another attention.

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
            Projected patch features, class token dropped, not normalised.
        """
        outputs = []
        for x in self._before_last(pixels, interpolation, monitor or Monitor()):
            last = self.blocks[-1]
            q, k, v = self._project(last, last.ln_1(x))
            out = self._merge(last, LAST_BLOCK[attention](q, k, v), v)
            out = self._finish(last, x, out) if residual else out
            outputs.append(self._project_out(out)[:, 1:])
        return torch.cat(outputs).float()

    def proxied(
        self,
        pixels: Tensor,
        external: Tensor,
        *,
        beta: float,
        gamma: float,
        interpolation: Interpolation = "bicubic-offset",
        monitor: Monitor | None = None,
    ) -> Tensor:
        """CLIP's last values under the attention of a vision foundation model.

        Source: ProxyCLIP (2408.04883, eq. 5-7).

        Parameters
        ----------
        pixels : (B, 3, H, W) float tensor
        external : (B, C, fh, fw) float tensor
            Patch features of the foundation model; their grid is the output's.

        Returns
        -------
        (B, fh * fw, D) tensor
        """
        grid = external.shape[-2:]
        height, width = pixels.shape[-2] // self.patch, pixels.shape[-1] // self.patch
        outputs = []
        for x, proxy in zip(
            self._before_last(pixels, interpolation, monitor or Monitor()), external, strict=True
        ):
            last = self.blocks[-1]
            values = self._project(last, last.ln_1(x))[2][0, :, 1:]  # (H, N, d)
            table = values.mT.unflatten(-1, (height, width)).float()  # (H, d, h, w)
            table = F.interpolate(table, size=grid, mode="bilinear", align_corners=False)
            values = table.flatten(2).mT  # (H, fh * fw, d)
            weights = proxy_attention(proxy.flatten(1).T.float(), beta, gamma)
            out = self._merge(last, weights.to(x.dtype), values[None].to(x.dtype))
            outputs.append(self._project_out(out))
        return torch.cat(outputs).float()

    def _before_last(
        self, pixels: Tensor, interpolation: Interpolation, monitor: Monitor
    ) -> Iterator[Tensor]:
        """The input of the last block for one image after another, (1, n, W) each."""
        x = self.tokens(pixels, interpolation)
        for index, block in enumerate(self.blocks[:-1]):
            monitor.tell("Encoding the image", index, len(self.blocks))
            x = block(x)
        for one in x.split(1):
            monitor.check()
            yield one

    def _project(self, block: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised tokens (B, n, W) to q, k and v, each (B, H, n, d)."""
        qkv = F.linear(x, block.attn.in_proj_weight, block.attn.in_proj_bias)  # (B, n, 3 W)
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def _merge(self, block: Any, weights: Tensor, v: Tensor) -> Tensor:
        """Attention (.., n, n) of values (B, H, n, d), heads joined and projected: (B, n, W)."""
        heads = (weights @ v).transpose(1, 2).flatten(2)  # (B, n, W)
        return cast("Tensor", block.attn.out_proj(heads))

    def _finish(self, block: Any, x: Tensor, attended: Tensor) -> Tensor:
        """The rest of a block: residual connections and MLP."""
        x = x + block.ls_1(attended)
        return cast("Tensor", x + block.ls_2(block.mlp(block.ln_2(x))))

    def _project_out(self, x: Tensor) -> Tensor:
        """The tower's last norm and projection, (B, n, W) to (B, n, D)."""
        x = self.visual.ln_post(x)
        return cast("Tensor", x if self.visual.proj is None else x @ self.visual.proj)
