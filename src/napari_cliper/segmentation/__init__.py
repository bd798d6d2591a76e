"""The engine: an image and some words in, label maps out. Knows nothing of napari or Qt.

Nothing here loads torch until a `Segmenter` is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import atomic
from .config import (
    PRECISIONS,
    SegmentationConfig,
    Settings,
    published_settings,
)
from .errors import (
    DamagedWeightsError,
    InvalidInputError,
    OutOfMemoryError,
    SegmentationError,
    Stopped,
    WeightsUnavailableError,
)
from .features.contrast import to_8bit
from .labelling.live_labels import LiveLabels, Shortfall
from .labelling.thresholds import Thresholds
from .methods.table import METHODS, MethodRow
from .models.registry import REGISTRY, WeightsEntry
from .progress import Monitor, Progress
from .prompts import (
    BACKGROUND_WORDS,
    MAX_CLASSES,
    TEMPLATE_SETS,
    ClassPrompt,
    check_repeated,
    parse_classes,
    parse_words,
)
from .refiners.table import REFINERS, RefinerRow

if TYPE_CHECKING:
    from .labelling.uncertainty import most_uncertain
    from .models.loading import weights_of
    from .models.weights import cached, fetch, vocabulary
    from .propagation.label_propagation import OPEN, ImageAffinity
    from .propagation.superpixel_graph import image_affinity
    from .results import ImageEmbedding, ScoreMaps, Stage, StageMaps
    from .scoring.prototypes import BACKGROUND, Prototype, Prototypes
    from .segmenter import Segmenter

_LAZY = {
    "BACKGROUND": "scoring.prototypes",
    "OPEN": "propagation.label_propagation",
    "ImageAffinity": "propagation.label_propagation",
    "ImageEmbedding": "results",
    "Prototype": "scoring.prototypes",
    "Prototypes": "scoring.prototypes",
    "ScoreMaps": "results",
    "Stage": "results",
    "Segmenter": "segmenter",
    "StageMaps": "results",
    "cached": "models.weights",
    "fetch": "models.weights",
    "image_affinity": "propagation.superpixel_graph",
    "vocabulary": "models.weights",
    "most_uncertain": "labelling.uncertainty",
    "weights_of": "models.loading",
}
"""Names whose modules load torch or the hub: imported when first asked for."""

__all__ = [
    "BACKGROUND",
    "BACKGROUND_WORDS",
    "MAX_CLASSES",
    "METHODS",
    "OPEN",
    "PRECISIONS",
    "REFINERS",
    "REGISTRY",
    "TEMPLATE_SETS",
    "ClassPrompt",
    "DamagedWeightsError",
    "ImageAffinity",
    "ImageEmbedding",
    "InvalidInputError",
    "LiveLabels",
    "MethodRow",
    "Monitor",
    "OutOfMemoryError",
    "Progress",
    "Prototype",
    "Prototypes",
    "RefinerRow",
    "ScoreMaps",
    "SegmentationConfig",
    "SegmentationError",
    "Segmenter",
    "Settings",
    "Shortfall",
    "Stage",
    "StageMaps",
    "Stopped",
    "Thresholds",
    "WeightsEntry",
    "WeightsUnavailableError",
    "atomic",
    "cached",
    "check_repeated",
    "fetch",
    "image_affinity",
    "most_uncertain",
    "parse_classes",
    "parse_words",
    "published_settings",
    "to_8bit",
    "vocabulary",
    "weights_of",
]


def __getattr__(name: str) -> Any:
    """Import what is heavy on first use."""
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
