"""CLIP: words become vectors, an image becomes patch features.

The only file that imports open_clip. Its modules are walked as they are; nothing in
it is patched. Sources: CLIPer (arXiv 2411.13836, sec. 3.2) for `early_layers`;
CLIP, MaskCLIP (2112.01071), SCLIP (2312.01597), ClearCLIP (2407.12442) and
ProxyCLIP (2408.04883) for the last block alone.

Shapes: B images (1 here), n = 1 + N tokens with the class token first, N = h * w
patches, W width, H heads, d = W / H, L blocks, D embedding width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import (
    LAST_BLOCK,
    LastBlockAttention,
    fused_attention,
    normalise_once,
    proxy_attention,
)
from .errors import DamagedWeightsError, InvalidInputError, unknown_choice
from .progress import Monitor

Interpolation = Literal["bilinear", "bicubic-offset"]
"""How position embeddings reach another grid: CLIPer's way, or that of SCLIP, ClearCLIP
and ProxyCLIP (bicubic with the factor (grid + 0.1) / native grid)."""

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


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
    """

    def __init__(self, visual: nn.Module) -> None:
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
            Normalised by `MEAN` and `STD`; what is over a multiple of the patch
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
        monitor = monitor or Monitor()
        x = self.tokens(pixels, interpolation)  # (1, n, W)
        embeddings: list[Tensor] = []
        summed = x.new_zeros((), dtype=torch.float32)
        for index, block in enumerate(self.blocks[:-1]):
            monitor.tell("Encoding the image", index, len(self.blocks))
            embedding = block.ln_1(x)
            embeddings.append(embedding)
            q, k, v = self._project(block, embedding)
            weights = LAST_BLOCK["vanilla"](q, k, v)  # (H, n, n)
            summed = summed + weights.float()
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
        return LayerFeatures(
            torch.cat(features).float(), weights.mean(dim=0)[1:, 1:].contiguous()
        )

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
            values = self._project(last, last.ln_1(x))[2][:, 1:]  # (H, N, d)
            table = values.mT.unflatten(-1, (height, width)).float()  # (H, d, h, w)
            table = F.interpolate(table, size=grid, mode="bilinear", align_corners=False)
            values = table.flatten(2).mT  # (H, fh * fw, d)
            weights = proxy_attention(proxy.flatten(1).T.float(), beta, gamma)
            out = self._merge(last, weights.to(x.dtype), values.to(x.dtype))
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
        yield from x.split(1)

    def _project(self, block: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised tokens (1, n, W) to q, k and v, each (H, n, d)."""
        qkv = F.linear(x[0], block.attn.in_proj_weight, block.attn.in_proj_bias)  # (n, 3 W)
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(1, 2, 0, 3)
        return q, k, v

    def _merge(self, block: Any, weights: Tensor, v: Tensor) -> Tensor:
        """Attention (H, n, n) of values (H, n, d), heads joined and projected: (1, n, W)."""
        heads = (weights @ v).transpose(0, 1).flatten(1)  # (n, W)
        return cast("Tensor", block.attn.out_proj(heads))[None]

    def _finish(self, block: Any, x: Tensor, attended: Tensor) -> Tensor:
        """The rest of a block: residual connections and MLP."""
        x = x + block.ls_1(attended)
        return cast("Tensor", x + block.ls_2(block.mlp(block.ln_2(x))))

    def _project_out(self, x: Tensor) -> Tensor:
        """The tower's last norm and projection, (B, n, W) to (B, n, D)."""
        x = self.visual.ln_post(x)
        return cast("Tensor", x if self.visual.proj is None else x @ self.visual.proj)


class TextEncoder:
    """CLIP's text tower and its tokenizer.

    Parameters
    ----------
    model : open_clip model
        With `encode_text`.
    tokenizer : callable
        Strings to (P, context) int tensors.
    """

    batch = 64  # prompts a pass

    def __init__(self, model: nn.Module, tokenizer: Any) -> None:
        self.model = cast("Any", model.eval().requires_grad_(False))
        self.tokenizer = tokenizer
        self.context_length = int(tokenizer.context_length or 77)

    @property
    def device(self) -> torch.device:
        """Where the tower is."""
        return next(iter(self.model.parameters())).device

    def token_count(self, prompt: str) -> int:
        """How many tokens a prompt takes, both marks of its ends included.

        A prompt that fills the context may be longer still: it is cut there.
        """
        tokens = self.tokenizer([prompt], context_length=4 * self.context_length)
        return int((tokens != 0).sum())

    def encode(self, prompts: Sequence[str], monitor: Monitor | None = None) -> Tensor:
        """Prompts to unit vectors, (P, D) float32 on the CPU."""
        monitor = monitor or Monitor()
        vectors = []
        with monitor.watching(self.model):
            for start in range(0, len(prompts), self.batch):
                monitor.tell("Encoding the words", start, len(prompts))
                tokens = self.tokenizer(list(prompts[start : start + self.batch]))
                encoded = self.model.encode_text(tokens.to(self.device))
                vectors.append(F.normalize(encoded.float(), dim=-1).cpu())
        return torch.cat(vectors)


@dataclass(frozen=True)
class Clip:
    """Both towers of one CLIP; a bare image tower has no `text`."""

    image: ImageEncoder
    text: TextEncoder | None


def refusal(config: dict[str, Any]) -> str | None:
    """Why a CLIP of this open_clip configuration cannot be walked; None if it can.

    Parameters
    ----------
    config : dict
        As `open_clip.get_model_config` gives it.
    """
    vision = config["vision_cfg"]
    reasons = (
        (vision.get("timm_model_name"), "its image tower comes from timm, not a plain ViT"),
        (isinstance(vision.get("layers"), list | tuple), "its image tower is a ResNet, not a ViT"),
        (vision.get("attentional_pool"), "it pools patches by attention, so they have no vector"),
        (
            vision.get("pool_type", "tok") != "tok",
            f"it pools by {vision.get('pool_type')!r} and not by the class token",
        ),
        (
            vision.get("pos_embed_type", "learnable") != "learnable",
            "its position embeddings are sines and not learned",
        ),
        (
            vision.get("qk_norm") or vision.get("scaled_cosine_attn"),
            "it normalises queries and keys (q-k norm)",
        ),
        (
            vision.get("block_type") == "custom"
            or any(vision.get(f"scale_{part}") for part in ("heads", "attn_inner", "attn", "fc")),
            "its blocks are not the plain attention blocks of CLIP",
        ),
        ("multimodal_cfg" in config, "it is a captioning model (CoCa)"),
    )
    return next((reason for found, reason in reasons if found), None)


def model_config(architecture: str) -> dict[str, Any]:
    """The configuration of an open_clip name; a clear error for one that cannot work."""
    config = open_clip.get_model_config(architecture)
    if config is None:
        raise unknown_choice("open_clip model", architecture, open_clip.list_models())
    reason = refusal(config)
    if reason:
        raise InvalidInputError(
            f"{architecture} cannot be used: {reason}. Choose a ViT with a class token and learned "
            "position embeddings, such as ViT-B-16 or ViT-L-14."
        )
    return cast("dict[str, Any]", config)


def pretrained_files(architecture: str, tag: str) -> tuple[str, tuple[str, ...], bool]:
    """Where open_clip says the weights of a tag are.

    Returns
    -------
    repository : str
        On the hub.
    files : tuple of str
        Alternatives, best first.
    quick_gelu : bool
        Whether the weights were trained with QuickGELU.
    """
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in tags:
        raise unknown_choice(f"weights of {architecture}", tag, tags)
    found = open_clip.get_pretrained_cfg(architecture, tag)
    repository, _, file = str(found.get("hf_hub") or "").rpartition("/")
    if not repository:
        raise InvalidInputError(
            f"open_clip:{architecture}/{tag} is not on the hub. Fetch {found.get('url')} yourself "
            f"and choose open_clip:{architecture}/PATH."
        )
    files = (file,) if file else ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    return repository, files, bool(found.get("quick_gelu"))


def build(
    config: dict[str, Any],
    tensors: dict[str, Tensor],
    *,
    source: str,
    quick_gelu: bool = False,
    architecture: str = "",
) -> Clip:
    """A CLIP of a configuration with these weights, in float32 on the CPU.

    Parameters
    ----------
    config : dict
        As `model_config` gives it; a bare image tower needs no ``text_cfg``.
    tensors : dict of str to Tensor
        A checkpoint under open_clip's names.
    source : str
        Where the weights are from, for messages.
    quick_gelu : bool
        Whether the tag says QuickGELU where the configuration does not.
    architecture : str
        The open_clip name, for its tokenizer; "" for CLIP's own.
    """
    reason = refusal(config)
    if reason:
        raise InvalidInputError(f"{source} cannot be used: {reason}.")
    bare = bool(tensors) and all(name.startswith("visual.") for name in tensors)
    text_config = _NO_TEXT if bare else config["text_cfg"]
    custom_text = config.get("custom_text") or text_config.get("hf_model_name")
    model = (open_clip.CustomTextCLIP if custom_text else open_clip.CLIP)(
        embed_dim=config["embed_dim"],
        vision_cfg=config["vision_cfg"],
        text_cfg=text_config,
        quick_gelu=quick_gelu or bool(config.get("quick_gelu")),
    )
    if bare:
        tensors = {name.removeprefix("visual."): tensor for name, tensor in tensors.items()}
        _load(model.visual, tensors, source)
        return Clip(ImageEncoder(model.visual), None)
    if custom_text and "positional_embedding" in tensors:
        tensors = open_clip.model.convert_to_custom_text_state_dict(tensors)
    _load(model, tensors, source)
    context = text_config.get("context_length", 77)
    tokenizer = (
        open_clip.get_tokenizer(architecture)
        if architecture
        else open_clip.SimpleTokenizer(context_length=context)
    )
    return Clip(ImageEncoder(model.visual), TextEncoder(model, tokenizer))


_NO_TEXT = {"layers": 1, "width": 64, "heads": 1, "vocab_size": 8, "context_length": 8}
"""The text tower that open_clip must build, and nobody uses, beside a bare image tower."""


def _load(target: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Fill a network; refuse a checkpoint whose tensors are not those of the network."""
    wanted = {name: tuple(tensor.shape) for name, tensor in target.state_dict().items()}
    missing = sorted(wanted.keys() - tensors.keys())
    if missing:
        raise DamagedWeightsError(
            f"{source} lacks {len(missing)} of {len(wanted)} tensors of this architecture, "
            f"{missing[0]!r} first. Name the architecture that it was trained with."
        )
    for name, shape in wanted.items():
        if tuple(tensors[name].shape) != shape:
            raise DamagedWeightsError(
                f"{source} is of another shape: {name!r} is {tuple(tensors[name].shape)} where the "
                f"architecture has {shape}. Name the architecture that it was trained with."
            )
    target.load_state_dict(tensors, strict=False)
