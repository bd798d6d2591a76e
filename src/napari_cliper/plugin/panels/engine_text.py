"""What the engine's choices are called, in plain words. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ...segmentation import WeightsEntry

PRESET_NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "voc21": ("VOC, with background", "PASCAL VOC: 20 kinds of things and the background."),
        "voc20": ("VOC, no background", "PASCAL VOC: 20 kinds of things that fill the image."),
        "context60": ("Context, with background", "PASCAL Context: 59 things and the background."),
        "context59": ("Context, no background", "PASCAL Context: 59 things, no background."),
        "coco-object": ("COCO Object", "COCO: 80 kinds of things and the background."),
        "coco-stuff": ("COCO Stuff", "COCO: 171 things and surfaces, no background."),
        "ade20k": ("ADE20K", "ADE20K: 150 things and surfaces of indoor and outdoor scenes."),
        "cityscapes": ("Cityscapes", "Cityscapes: 19 things and surfaces in streets."),
    }
)
"""Name and tooltip by data set of the published settings."""

TEMPLATE_NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "cliper-15": ("15 of CLIPer", "Sentences such as 'a photo of a small cat.'"),
        "openai-80": ("80 of OpenAI", "OpenAI's long list of sentences; slower at first."),
        "openai-7": ("7 of OpenAI", "OpenAI's short list of sentences."),
        "word": ("the bare word", "No sentence around the word."),
    }
)
"""Name and tooltip by template set."""

PRECISION_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "auto": "float16 on CUDA, float32 elsewhere.",
        "float32": "Exact; the most memory.",
        "float16": "Half the memory on a GPU; does not work on a CPU.",
        "bfloat16": "Half the memory; on newer GPUs and some CPUs.",
    }
)
"""Tooltip by precision."""

DEVICES: Mapping[str, str] = MappingProxyType(
    {
        "auto": "The best there is: CUDA, then mps, then the CPU.",
        "cpu": "The processor; works everywhere.",
        "cuda": "An NVIDIA GPU; type cuda:1 for the second one.",
        "mps": "The GPU of an Apple computer.",
    }
)
"""Tooltip by device. Which are there is known only to torch, which a form must not load."""

FURTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "select_layer": "layer",
        "logit_scale": "logit scale",
        "attention_threshold": "attention threshold",
    }
)
"""Settings without a row in the form, which a configuration may bring along."""


def plain_name(name: str) -> str:
    """A model's name as people write it; of a path, the last part."""
    if name.startswith("stable-diffusion-"):
        return name.replace("stable-diffusion-", "Stable Diffusion ")
    weights = (".safetensors", ".bin", ".pt", ".pth")
    is_path = not name.startswith("open_clip:") and (
        name.endswith(weights) or Path(name).is_absolute()
    )
    return Path(name).name or name if is_path else name


def size_text(size: int) -> str:
    """Bytes as MB or GB; nothing for an unknown size."""
    return "" if not size else f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def weights_text(row: WeightsEntry, on_disk: bool | None) -> str:
    """A row of the registry with where it is: on disk, or how large a download."""
    if not row.repositories:
        where = "in the package"
    elif on_disk:
        where = "on disk"
    else:
        where = size_text(row.size) + (" to download" if on_disk is False else "")
    return f"{plain_name(row.name)} ({where})" if where else plain_name(row.name)


def missing_text(row: WeightsEntry, way_round: str = "") -> str:
    """What a person reads where weights are not on disk."""
    facts = ", ".join(part for part in (size_text(row.size), f"licence {row.licence}") if part)
    text = f"{plain_name(row.name)} is not on this machine: {facts}."
    return f"{text} {way_round}" if way_round else text
