"""What goes into the record of a result, as JSON can hold it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from .prompts import ClassPrompt
from .results import ScoreMaps
from .scoring.prototype_fusion import PrototypeFusion
from .scoring.prototypes import BACKGROUND, Prototypes

PACKAGES = ("napari-cliper", "torch", "open_clip_torch", "diffusers", "timm", "numpy")


def versions() -> dict[str, str]:
    """Of Python and of what the result depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def prototype_usage(
    prototypes: Prototypes | None, classes: Sequence[ClassPrompt], fusion: PrototypeFusion | None
) -> dict[str, Any]:
    """Which prototypes were asked, and how much they counted."""
    if prototypes is None or fusion is None:
        return {}
    shares = zip((*(one.name for one in classes), BACKGROUND), fusion.share.tolist(), strict=True)
    used = [
        {
            "class": name or "background",
            "prototypes": len(prototypes.of(name)),
            "images": prototypes.images_of(name),
            "share": round(share, 4),
        }
        for name, share in shares
        if share
    ]
    return {"prototypes": used}


def class_record(one: ClassPrompt, scores: ScoreMaps, index: int) -> dict[str, Any]:
    """A class with its scores."""
    refined = scores.refined
    return {
        "label": index + 1,
        "name": one.name,
        "synonyms": list(one.synonyms),
        "prompt": one.prompt,
        "score_coarse": float(scores.coarse.class_scores[index]),
        "score_refined": None if refined is None else float(refined.class_scores[index]),
    }
