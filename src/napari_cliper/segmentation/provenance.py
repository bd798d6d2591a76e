"""The provenance record of a result, as JSON values."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

from .features.preprocessing import RGBImage
from .features.tiled_image import TiledImage
from .networks import Networks
from .prompts import ClassPrompt
from .prototype_fusion import PrototypeFusion
from .results import ScoreMaps
from .scoring.prototypes import BACKGROUND, Prototypes

PACKAGES = ("napari-cliper", "torch", "open_clip_torch", "diffusers", "timm", "numpy")


@cache
def versions() -> Mapping[str, str]:
    """Versions of Python and of the libraries that results depend on; read once."""
    found = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    return MappingProxyType(found)


def embedding_record(
    networks: Networks,
    image: RGBImage | TiledImage,
    resized: tuple[int, int],
    seconds: dict[str, float],
) -> Mapping[str, Any]:
    """Sizes, contrast, device, weights, versions and times of an embedding."""
    return {
        "image": {
            "shape": list(image.shape),
            "resized": list(resized),
            "contrast": image.contrast,
        },
        "device": str(networks.device),
        "precision": str(networks.dtype).removeprefix("torch."),
        **engine_record(networks),
        "seconds": seconds,
    }


def settings_record(networks: Networks) -> dict[str, Any]:
    """All settings that results depend on, known before any network is loaded."""
    config = networks.config
    values = {
        **asdict(config),
        "refiner": config.chosen_refiner,
        "foundation_model": config.chosen_foundation,
        "background": list(config.chosen_background),
        "device": networks.device.type,
        "precision": str(networks.dtype).removeprefix("torch."),
    }
    del values["offline"]
    return {
        "napari-cliper": version("napari-cliper"),
        **{f"config.{name}": value for name, value in values.items()},
        **{f"settings.{name}": value for name, value in networks.settings.as_dict.items()},
    }


def engine_record(networks: Networks) -> dict[str, Any]:
    """The weights of the loaded networks, and the versions of libraries."""
    return {
        "weights": [dict(row) for one in networks.loaded.values() for row in one.weights],
        "versions": dict(versions()),
    }


def prototype_usage(
    prototypes: Prototypes | None, classes: Sequence[ClassPrompt], fusion: PrototypeFusion | None
) -> dict[str, Any]:
    """The prototypes that were used, and their weights."""
    if prototypes is None or fusion is None:
        return {}
    weights = zip((*(one.name for one in classes), BACKGROUND), fusion.weight.tolist(), strict=True)
    used = [
        {
            "class": name or "background",
            "prototypes": len(prototypes.of(name)),
            "images": prototypes.images_of(name),
            "pixel_sizes": list(prototypes.sizes_of(name)),  # micrometres
            "weight": round(weight, 4),
        }
        for name, weight in weights
        if weight
    ]
    return {"prototypes": used}


def score_record(
    scores: ScoreMaps, embedding: Mapping[str, Any], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Settings, seed, weights, versions, classes with their scores, and time of each step.

    `embedding` is the record of the embedding.
    """
    config = {
        **asdict(scores.config),
        "refiner": scores.config.chosen_refiner,
        "foundation_model": scores.config.chosen_foundation,
    }
    return {
        "config": {k: list(v) if isinstance(v, tuple) else v for k, v in config.items()},
        "settings": scores.settings.as_dict,
        "seed": scores.config.seed,
        **embedding,
        "classes": [_class_record(scores, index) for index in range(len(scores.classes))],
        "background": list(scores.background),
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "notes": list(scores.notes),
    }


def _class_record(scores: ScoreMaps, index: int) -> dict[str, Any]:
    """A class with its scores."""
    one, refined = scores.classes[index], scores.refined
    return {
        "label": index + 1,
        "name": one.name,
        "synonyms": list(one.synonyms),
        "prompt": one.prompt,
        "score_coarse": float(scores.coarse.class_scores[index]),
        "score_refined": None if refined is None else float(refined.class_scores[index]),
    }
