"""Build CLIP models by name, check their architecture and encode text prompts.

The only module that imports open_clip. `image_encoder` runs the image towers built here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import DamagedWeightsError, InvalidInputError, unknown_choice
from ..progress import Monitor
from .clip_image_encoder import MEAN, STD, ClipImageEncoder
from .registry import CLIP_ADVICE, SIGLIP, refuse_siglip


class TextEncoder:
    """CLIP's text encoder (text tower) and its tokenizer.

    Parameters
    ----------
    model : open_clip model
        Has a method `encode_text`.
    tokenizer : callable
        Turns P strings into a (P, context length) int tensor.
    """

    batch = 64  # prompts in one forward pass

    def __init__(self, model: nn.Module, tokenizer: Any) -> None:
        self.model = cast("Any", model.eval().requires_grad_(False))
        self.tokenizer = tokenizer
        self.context_length = int(tokenizer.context_length or 77)
        # Padding token: given by tokenizers of transformers, 0 in those of open_clip.
        self.padding = int(getattr(getattr(tokenizer, "tokenizer", None), "pad_token_id", 0))
        # Plain CLIP has causal attention and pools at the end-of-text token (the highest id), so
        # the padding behind it need not be computed.
        self._ends_early = (
            isinstance(model, open_clip.CLIP)
            and self.model.attn_mask is not None
            and self.model.text_pool_type == "argmax"
        )

    @property
    def device(self) -> torch.device:
        """The device that holds the text encoder."""
        return cast("torch.device", next(iter(self.model.parameters())).device)

    def token_count(self, prompt: str) -> int:
        """Return the number of tokens of a prompt, start and end tokens included.

        Prompts are truncated at four times the context length before they are counted.
        """
        (tokens,) = self.tokenizer([prompt], context_length=4 * self.context_length)
        return int((tokens != self.padding).nonzero().max()) + 1

    def encode(self, prompts: Sequence[str], monitor: Monitor | None = None) -> Tensor:
        """Encode P prompts as unit vectors, (P, D) float32 on the CPU."""
        monitor = monitor or Monitor()
        vectors = []
        with monitor.watching(self.model):
            for start in range(0, len(prompts), self.batch):
                monitor.check()
                tokens = self.tokenizer(list(prompts[start : start + self.batch]))
                vectors.append(F.normalize(self._encoded(tokens), dim=-1).cpu())
        return torch.cat(vectors)

    def _encoded(self, tokens: Tensor) -> Tensor:
        """Encode (P, context length) tokens as (P, D) float32 vectors, equal to `encode_text`."""
        model, tokens = self.model, tokens.to(self.device)
        if not self._ends_early:
            return cast("Tensor", model.encode_text(tokens).float())
        ends = tokens.argmax(dim=-1)  # (P,)
        count = int(ends.max()) + 1
        x = model.token_embedding(tokens[:, :count]) + model.positional_embedding[:count]
        x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:count, :count]))
        x = x[torch.arange(len(x), device=x.device), ends]  # (P, W)
        project = model.text_projection
        if project is not None:
            x = project(x) if isinstance(project, nn.Linear) else x @ project
        return cast("Tensor", x.float())


@dataclass(frozen=True)
class Clip:
    """Image and text encoder of a CLIP model; `text` is None for an image tower alone."""

    image: ClipImageEncoder
    text: TextEncoder | None

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All torch modules with weights."""
        return (self.image.visual if self.text is None else self.text.model,)


def refusal(config: dict[str, Any]) -> str | None:
    """Return why an open_clip architecture is unsupported, or None if it is supported.

    Parameters
    ----------
    config : dict
        As returned by `open_clip.get_model_config`.
    """
    vision = config["vision_cfg"]
    reasons = (
        ("init_logit_bias" in config, SIGLIP),
        (vision.get("timm_model_name"), "its image tower comes from timm, not a plain ViT"),
        (isinstance(vision.get("layers"), list | tuple), "its image tower is a ResNet, not a ViT"),
        (
            vision.get("attentional_pool"),
            "it pools patches by attention, so patches have no embedding of their own",
        ),
        (
            vision.get("pool_type", "tok") != "tok",
            f"it pools by {vision.get('pool_type')!r} and not by the class token",
        ),
        (
            vision.get("pos_embed_type", "learnable") != "learnable",
            "its position embeddings are sinusoidal, not learned",
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
    """Return the configuration of an open_clip architecture.

    Raises
    ------
    InvalidInputError
        If the name is unknown or the architecture is unsupported (see `refusal`).
    """
    config = open_clip.get_model_config(architecture)
    if config is None:
        refuse_siglip(architecture)
        names = open_clip.list_models()
        usable = [name for name in names if refusal(open_clip.get_model_config(name)) is None]
        raise unknown_choice("open_clip model", architecture, usable)
    reason = refusal(config)
    if reason:
        raise InvalidInputError(f"{architecture} cannot be used: {reason}. {CLIP_ADVICE}")
    return cast("dict[str, Any]", config)


def completed(config: dict[str, Any], source: str) -> dict[str, Any]:
    """Return a user's open_clip configuration with missing values set to open_clip's defaults.

    Parameters
    ----------
    config : dict
        In open_clip's format; an image tower alone has no ``text_cfg``.
    source : str
        Where the configuration comes from, for error messages.
    """
    try:
        vision = asdict(open_clip.CLIPVisionCfg(**config["vision_cfg"]))
        return {**config, "embed_dim": int(config["embed_dim"]), "vision_cfg": vision}
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{source} is not an open_clip configuration: {type(error).__name__} ({error}). It "
            "needs embed_dim, vision_cfg and text_cfg, as in open_clip_config.json."
        ) from error


@dataclass(frozen=True)
class Pretrained:
    """Repository and preprocessing of one of open_clip's pretrained tags.

    Parameters
    ----------
    repository : str
        Repository on the Hugging Face hub.
    files : tuple of str
        Alternative file names, best first.
    quick_gelu : bool
        Whether the weights were trained with QuickGELU.
    mean, std : (float, float, float)
        RGB mean and standard deviation that pixels in [0, 1] are normalised with.
    """

    repository: str
    files: tuple[str, ...]
    quick_gelu: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def pretrained(architecture: str, tag: str) -> Pretrained:
    """Return open_clip's entry for a pretrained tag.

    Raises
    ------
    InvalidInputError
        If the tag is unknown or its weights are not on the hub.
    """
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in tags:
        raise unknown_choice(f"weights of {architecture}", tag, tags)
    found = open_clip.get_pretrained_cfg(architecture, tag)
    repository, _, file = str(found.get("hf_hub") or "").rpartition("/")
    if not repository:
        raise InvalidInputError(
            f"open_clip:{architecture}/{tag} is not on the hub. Download {found.get('url')} "
            f"yourself and choose open_clip:{architecture}/PATH."
        )
    files = (file,) if file else ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    return Pretrained(
        repository,
        files,
        bool(found.get("quick_gelu")),
        tuple(found.get("mean") or MEAN),
        tuple(found.get("std") or STD),
    )


def listed_models() -> tuple[str, ...]:
    """Return the models of open_clip's table that can be used, as ``open_clip:NAME/TAG``."""
    found = []
    for architecture, tag in open_clip.list_pretrained():
        with suppress(InvalidInputError):
            model_config(architecture)
            pretrained(architecture, tag)
            found.append(f"open_clip:{architecture}/{tag}")
    return tuple(found)


TEXT_FILES = (
    ("config.json",),
    ("tokenizer.json", "sentencepiece.bpe.model", "spiece.model"),
    ("tokenizer_config.json",),
)
"""Files needed from `text_repository`, each with its alternatives."""


def text_repository(config: dict[str, Any]) -> str:
    """Return the hub repository of the tokenizer; "" if the model uses CLIP's own tokenizer."""
    text = config.get("text_cfg", {})
    return str(text.get("hf_model_name") or text.get("hf_tokenizer_name") or "")


def openai_templates(name: str) -> tuple[str, ...]:
    """Return OpenAI's ImageNet prompt templates, the set ``"openai-80"`` or ``"openai-7"``."""
    templates = {
        "openai-80": open_clip.OPENAI_IMAGENET_TEMPLATES,
        "openai-7": open_clip.SIMPLE_IMAGENET_TEMPLATES,
    }
    return tuple(template("{}") for template in templates[name])


def build(
    config: dict[str, Any],
    tensors: dict[str, Tensor],
    *,
    source: str,
    quick_gelu: bool = False,
    mean: tuple[float, float, float] = MEAN,
    std: tuple[float, float, float] = STD,
    text_folder: Path | None = None,
) -> Clip:
    """Build a CLIP model and load its weights, in float32 on the CPU.

    Parameters
    ----------
    config : dict
        As returned by `model_config`; an image tower alone needs no ``text_cfg``.
    tensors : dict of str to Tensor
        State dict with open_clip's parameter names.
    source : str
        Where the weights come from, for error messages.
    quick_gelu : bool
        Use QuickGELU even if the configuration does not ask for it.
    mean, std : (float, float, float)
        RGB mean and standard deviation that pixels in [0, 1] are normalised with.
    text_folder : Path, optional
        Folder with `TEXT_FILES`; needed if `text_repository` names a repository.
    """
    reason = refusal(config)
    if reason:
        raise InvalidInputError(f"{source} cannot be used: {reason}.")
    tensors = _undistributed(tensors)
    bare = is_bare(tensors)
    text_config = _NO_TEXT if bare else _text_config(config, text_folder, source)
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
        return Clip(ClipImageEncoder(model.visual, mean, std), None)
    if custom_text and "positional_embedding" in tensors:
        tensors = open_clip.model.convert_to_custom_text_state_dict(tensors)
    _load(model, tensors, source)
    return Clip(
        ClipImageEncoder(model.visual, mean, std), TextEncoder(model, _tokenizer(text_config))
    )


def is_bare(tensors: dict[str, Tensor]) -> bool:
    """Return whether a checkpoint holds an image tower without a text tower."""
    return bool(tensors) and all(name.startswith("visual.") for name in tensors)


_NO_TEXT = {"layers": 1, "width": 64, "heads": 1, "vocab_size": 8, "context_length": 8}
"""Minimal text tower: open_clip cannot build an image tower alone. It is discarded."""


def _text_config(config: dict[str, Any], folder: Path | None, source: str) -> dict[str, Any]:
    """Return the text configuration with hub repositories replaced by the local `folder`."""
    if not isinstance(config.get("text_cfg"), dict):
        raise InvalidInputError(
            f"{source} has a text tower, but its configuration has no text_cfg. Add it."
        )
    text = dict(config["text_cfg"])
    repository = text_repository(config)
    if not repository:
        return text
    if folder is None:
        raise InvalidInputError(
            f"{source} needs the tokenizer of {repository}. Give text_folder, a folder with its "
            "files."
        )
    if text.get("hf_model_name"):
        text |= {"hf_model_name": str(folder), "hf_model_pretrained": False}
    return text | {"hf_tokenizer_name": str(folder)}


@lru_cache(maxsize=4)
def _clip_tokenizer(context: int) -> Any:
    """Return CLIP's own tokenizer, which takes a tenth of a second to build and can be shared."""
    return open_clip.SimpleTokenizer(context_length=context)


def _tokenizer(text: dict[str, Any]) -> Any:
    context, options = text.get("context_length", 77), text.get("tokenizer_kwargs") or {}
    folder = text.get("hf_tokenizer_name")
    if not folder and not options:
        return _clip_tokenizer(context)
    if not folder:
        return open_clip.SimpleTokenizer(context_length=context, **options)
    try:
        return open_clip.tokenizer.HFTokenizer(
            folder, context_length=context, tokenizer_mode=text.get("tokenizer_mode"), **options
        )
    except (ImportError, OSError, ValueError) as error:
        raise DamagedWeightsError(
            f"The tokenizer in {folder} cannot be read: {error}. Delete that folder and download "
            "it again. A SentencePiece tokenizer also needs 'pip install sentencepiece'."
        ) from error


def _undistributed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefix ``module.`` that DistributedDataParallel adds to parameter names."""
    if not all(name.startswith("module.") for name in tensors):
        return tensors
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def _load(target: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Load a state dict; raise DamagedWeightsError for missing tensors and other shapes."""
    wanted = {name: tuple(tensor.shape) for name, tensor in target.state_dict().items()}
    missing = sorted(wanted.keys() - tensors.keys())
    if missing:
        raise DamagedWeightsError(
            f"{source} lacks {len(missing)} of {len(wanted)} tensors of this architecture, "
            f"{missing[0]!r} first. Choose the architecture that it was trained with."
        )
    for name, shape in wanted.items():
        if tuple(tensors[name].shape) != shape:
            raise DamagedWeightsError(
                f"{source} does not fit: {name!r} has shape {tuple(tensors[name].shape)}, but the "
                f"architecture has {shape}. Choose the architecture that it was trained with."
            )
    target.load_state_dict(tensors, strict=False)


def matching_architectures(tensors: dict[str, Tensor]) -> list[str]:
    """Return the names of open_clip's architectures that fit the tensor shapes of a checkpoint."""
    shapes = {name: tuple(tensor.shape) for name, tensor in _undistributed(tensors).items()}
    try:
        width, _, patch, _ = shapes["visual.conv1.weight"]
        positions = shapes["visual.positional_embedding"][0]
        embed_dim = shapes["visual.proj"][1]
    except (KeyError, ValueError):
        return []
    layers = sum(name.endswith("ln_1.weight") for name in shapes if name.startswith("visual."))
    vocabulary = shapes.get("token_embedding.weight", shapes.get("text.token_embedding.weight"))
    context = shapes.get("positional_embedding", shapes.get("text.positional_embedding"))

    def fits(config: dict[str, Any]) -> bool:
        vision, text = config["vision_cfg"], config["text_cfg"]
        return (
            refusal(config) is None
            and config["embed_dim"] == embed_dim
            and (vision.get("width"), vision.get("patch_size")) == (width, patch)
            and vision.get("layers") == layers
            and (vision["image_size"] // patch) ** 2 + 1 == positions
            and (
                vocabulary is None
                or context is None
                or (
                    (text.get("vocab_size"), text.get("width")) == vocabulary
                    and text.get("context_length") == context[0]
                )
            )
        )

    return [name for name in open_clip.list_models() if fits(open_clip.get_model_config(name))]
