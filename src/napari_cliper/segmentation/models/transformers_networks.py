"""The networks of transformers: SAM, SAM 2 and EdgeTAM, and the text encoder of Stable Diffusion.

The only module that imports transformers. Sources: SAM (arXiv 2304.02643), SAM 2 (2408.00714),
EdgeTAM (2501.07256). The encoder and the decoder of a model share its network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    CLIPTextModel,
    CLIPTokenizer,
    EdgeTamConfig,
    EdgeTamModel,
    Sam2Config,
    Sam2Model,
    SamConfig,
    SamModel,
    TimmWrapperConfig,
)
from transformers.utils import logging

from ..errors import DamagedWeightsError, InvalidInputError
from ..progress import Monitor
from .pretrained import load_network, load_part
from .promptable import BlockAttention, InputLayout, in_order, no_last_attention, split_box

logging.disable_progress_bar()

# ---------------------------------------------------------------------- SAM and its relatives


class SamEncoder:
    """The image encoder of a `SamModel`.

    Parameters
    ----------
    network : SamModel
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = cast("Any", network)
        self.layout = InputLayout(int(self.network.config.vision_config.image_size))

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All torch modules with weights."""
        return (self.network,)

    def encode(self, pixels: Tensor, monitor: Monitor) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """See `promptable.ImageEmbedder`; the features are of three blocks and of the neck."""
        vision = self.network.vision_encoder
        depth = len(vision.layers)
        blocks = [vision.layers[depth * part // 4 - 1] for part in (1, 2, 3)]
        with _outputs(blocks) as read, monitor.watching(vision):
            neck = vision(_like(pixels, vision)).last_hidden_state
        return (neck,), [*(one.permute(0, 3, 1, 2)[0] for one in read), neck[0]]

    def last_attention(
        self, pixels: Tensor, inside: tuple[int, int], monitor: Monitor
    ) -> BlockAttention:
        """See `promptable.AttentionEmbedder`; computed from the queries, keys and values."""
        vision = self.network.vision_encoder
        attention = vision.layers[-1].attn
        with _outputs([attention.qkv]) as read, monitor.watching(vision):
            vision(_like(pixels, vision))
        (qkv,) = read  # (1, h, w, 3 C)
        cells, patch = qkv.shape[1:3], pixels.shape[-1] // qkv.shape[2]
        if len(qkv) > 1:  # windows, not the whole square
            raise no_last_attention()
        heads = int(attention.num_attention_heads)
        q, k, v = qkv.flatten(0, 2).unflatten(-1, (3, heads, -1)).permute(1, 2, 0, 3)
        grid = (inside[0] // patch, inside[1] // patch)
        index = torch.arange(cells[0] * cells[1], device=q.device).reshape(cells)
        kept = index[: grid[0], : grid[1]].flatten()

        def of_head(head: int) -> Tensor:
            monitor.check()
            logits = (q[head, kept] * attention.scale) @ k[head].T  # (n, h * w)
            if attention.use_rel_pos:
                logits += attention.get_decomposed_rel_pos(
                    q[head : head + 1], attention.rel_pos_h, attention.rel_pos_w, cells, cells
                ).reshape(index.numel(), -1)[kept]
            return cast("Tensor", logits.float().softmax(dim=-1)[:, kept].cpu())

        return BlockAttention(grid, v[:, kept].float().cpu(), of_head)


class Sam2Encoder:
    """The image encoder of a `Sam2Model` or an `EdgeTamModel`.

    Parameters
    ----------
    network : Sam2Model or EdgeTamModel
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = cast("Any", network)
        side = int(self.network.config.prompt_encoder_config.image_size)
        self.layout = InputLayout(side, padded=False)

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All torch modules with weights."""
        return (self.network,)

    def encode(self, pixels: Tensor, monitor: Monitor) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """See `promptable.ImageEmbedder`; the features are of three stages and of the neck."""
        network = self.network
        with _inputs(network.vision_encoder.neck) as read, monitor.watching(network.vision_encoder):
            maps = network.get_image_embeddings(_like(pixels, network))
        stages = [one.permute(0, 3, 1, 2)[0] for one in read[0][:3]]  # at 1/4, 1/8 and 1/16
        return tuple(maps), [*stages, maps[-1][0]]


class SamDecoder:
    """The prompt encoder and mask decoder of a `SamModel`, a `Sam2Model` or an `EdgeTamModel`.

    Parameters
    ----------
    network : SamModel, Sam2Model or EdgeTamModel
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = cast("Any", network)

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All torch modules with weights."""
        return (self.network,)

    def decode(
        self,
        embedding: tuple[Tensor, ...],
        points: Tensor,
        labels: Tensor,
        previous: Tensor | None = None,
        *,
        single: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """See `promptable.MaskDecoder`; returns three masks, or a single one."""
        several = labels.numel() > 1
        maps = [_like(one, self.network) for one in embedding]
        device = maps[0].device
        points, labels, box = split_box(points, labels)

        def decoded(*, multimask: bool) -> tuple[Tensor, Tensor]:
            found = self.network(
                image_embeddings=maps[0] if isinstance(self.network, SamModel) else maps,
                input_points=points[:, None].to(device) if labels.numel() else None,
                input_labels=labels[:, None].to(device) if labels.numel() else None,
                input_boxes=None if box is None else box.to(device),
                input_masks=None if previous is None else _like(previous[None, None], self.network),
                multimask_output=multimask,
            )
            return found.pred_masks[0, 0], found.iou_scores[0, 0]

        first = decoded(multimask=False) if several else None
        if single and first is not None:
            return first
        return in_order(decoded(multimask=True), first)


def load_sam(folder: Path) -> tuple[SamEncoder | Sam2Encoder, SamDecoder]:
    """Load a SAM, SAM 2 or EdgeTAM in the format of transformers, in float32 on the CPU.

    Parameters
    ----------
    folder : Path
        Contains ``config.json`` and ``model.safetensors``.

    Raises
    ------
    InvalidInputError
        For another type of model.
    DamagedWeightsError
        If a file cannot be read, or tensors are missing.
    """
    described = _described(folder / "config.json")
    kind = str(described.get("model_type", "")).removesuffix("_video")
    if kind not in _KINDS:
        raise InvalidInputError(
            f"{folder / 'config.json'} describes a model of the type "
            f"{described.get('model_type')!r}. The types that can outline objects are "
            f"{', '.join(map(repr, _KINDS))}."
        )
    config_class, model_class = _KINDS[kind]
    if kind == "edgetam":
        described = _with_backbone(described)
    try:
        config = config_class.from_dict({**described, "model_type": kind})
    except (TypeError, ValueError) as error:
        raise DamagedWeightsError(
            f"{folder / 'config.json'} cannot be read: {error} Download the model again."
        ) from error
    network = load_network(folder, model_class, "model", config=config, dtype=torch.float32)
    network.eval().requires_grad_(requires_grad=False)
    encoder = SamEncoder(network) if kind == "sam" else Sam2Encoder(network)
    return encoder, SamDecoder(network)


_KINDS: Mapping[str, tuple[Any, Any]] = {
    "sam": (SamConfig, SamModel),
    "sam2": (Sam2Config, Sam2Model),
    "edgetam": (EdgeTamConfig, EdgeTamModel),
}


def _described(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedWeightsError(f"{path} cannot be read: {error}. Download it again.") from error
    if not isinstance(found, dict):
        raise DamagedWeightsError(f"{path} does not describe a model. Download it again.")
    return found


def _with_backbone(described: dict[str, Any]) -> dict[str, Any]:
    """Name the backbone of EdgeTAM: transformers' own default is another network."""
    vision = dict(described.get("vision_config") or {})
    given = vision.get("backbone_config") or {}
    vision["backbone_config"] = TimmWrapperConfig(
        architecture=given.get("architecture", "repvit_m1"),
        model_args=given.get("model_args")
        or {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    )
    return {**described, "vision_config": vision}


_OFFICIAL_NAMES = (
    (r"iou_prediction_head\.layers\.0", "iou_prediction_head.proj_in"),
    (r"iou_prediction_head\.layers\.1", "iou_prediction_head.layers.0"),
    (r"iou_prediction_head\.layers\.2", "iou_prediction_head.proj_out"),
    (r"(output_hypernetworks_mlps\.\d+)\.layers\.0", r"\1.proj_in"),
    (r"(output_hypernetworks_mlps\.\d+)\.layers\.1", r"\1.layers.0"),
    (r"(output_hypernetworks_mlps\.\d+)\.layers\.2", r"\1.proj_out"),
    (r"output_upscaling\.0", "upscale_conv1"),
    (r"output_upscaling\.1", "upscale_layer_norm"),
    (r"output_upscaling\.3", "upscale_conv2"),
    (r"mask_downscaling\.0", "mask_embed.conv1"),
    (r"mask_downscaling\.1", "mask_embed.layer_norm1"),
    (r"mask_downscaling\.3", "mask_embed.conv2"),
    (r"mask_downscaling\.4", "mask_embed.layer_norm2"),
    (r"mask_downscaling\.6", "mask_embed.conv3"),
    (r"point_embeddings", "point_embed"),
    (r"\.norm(\d|_final)", r".layer_norm\1"),
    (r"pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
)
"""Names of the published SAM checkpoints as regular expressions, and those of transformers."""


def sam_decoder(tensors: Mapping[str, Tensor], source: str) -> SamDecoder:
    """Build the decoder of SAM alone, for an image encoder of another library.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        With the names ``prompt_encoder.*`` and ``mask_decoder.*`` of the published checkpoints;
        others are ignored.
    source : str
        Where the weights come from, for error messages.

    Raises
    ------
    InvalidInputError
        If the tensors are not those of a SAM decoder.
    """
    ours = {}
    for name, tensor in tensors.items():
        if name.startswith(("prompt_encoder.", "mask_decoder.")):
            for old, new in _OFFICIAL_NAMES:
                name = re.sub(old, new, name)  # noqa: PLW2901 - one rule after another
            ours[name] = tensor
    unused = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2}
    network = SamModel(SamConfig(vision_config=unused)).eval().requires_grad_(requires_grad=False)
    del network.vision_encoder
    ours["shared_image_embedding.positional_embedding"] = ours.get(
        "prompt_encoder.shared_embedding.positional_embedding", torch.empty(0)
    )
    wrong = sorted(
        name
        for name, tensor in network.state_dict().items()
        if name not in ours or ours[name].shape != tensor.shape
    )
    if wrong:
        raise InvalidInputError(
            f"{source} is not SAM's prompt encoder and mask decoder: {len(wrong)} tensors are "
            f"missing or have another shape, {wrong[0]!r} first. It holds: "
            f"{', '.join(list(tensors)[:5])} ..."
        )
    network.load_state_dict(ours, strict=False)
    return SamDecoder(network)


def _like(tensor: Tensor, network: nn.Module) -> Tensor:
    weight = next(network.parameters())
    return tensor.to(weight.device, weight.dtype)


@contextmanager
def _outputs(modules: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
    """Collect what modules return, in the order in which they run."""
    read: list[Tensor] = []
    with ExitStack() as stack:
        for module in modules:
            handle = module.register_forward_hook(lambda _module, _given, out: read.append(out))
            stack.callback(handle.remove)
        yield read


@contextmanager
def _inputs(module: nn.Module) -> Iterator[list[Any]]:
    """Collect the first argument of a module."""
    read: list[Any] = []
    handle = module.register_forward_pre_hook(lambda _module, given: read.append(given[0]))
    try:
        yield read
    finally:
        handle.remove()


# ---------------------------------------------------------------------- Stable Diffusion


def empty_prompt(folder: Path, monitor: Monitor | None = None) -> Tensor:
    """Encode the empty prompt with the text encoder of Stable Diffusion, (1, 77, C) float32.

    Parameters
    ----------
    folder : Path
        A model in diffusers format with ``tokenizer`` and ``text_encoder``.
    """
    monitor = monitor or Monitor()
    tokenizer = load_part(folder / "tokenizer", CLIPTokenizer)
    encoder = load_network(folder / "text_encoder", CLIPTextModel, "model", dtype=torch.float32)
    ids = tokenizer(
        "", padding="max_length", max_length=tokenizer.model_max_length, return_tensors="pt"
    ).input_ids
    with monitor.watching(encoder), torch.inference_mode():
        return cast("Tensor", encoder(ids).last_hidden_state.float())
