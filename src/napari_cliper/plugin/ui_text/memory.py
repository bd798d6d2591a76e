"""Texts of memory and caches in the settings."""

from __future__ import annotations

from collections.abc import Mapping

from ...workflows.quantities import size_text
from .common import count

MEMORY_FOLD = "Memor&y and caches"
UNLOAD = "Unload"
UNLOAD_TIP = (
    "Free the memory of the networks, on the GPU too. The next run loads them again. Layers and "
    "thresholds stay unchanged."
)
UNLOAD_WHY_NOT = "No network is in memory."
CACHE_SIZE_TIP = (
    "Memory for the features of images that were run: new words for these images then take "
    "only a moment. When it is full, the features used longest ago are removed."
)
CACHE_SIZE_NAME = "Memory for image features in GB"
CACHE_SIZE_UNIT = " GB"
FORGET = "Clear"
FORGET_NAME = "Clear the image features"
FORGET_TIP = (
    "Free the memory of the image features. The next run of each image computes them again."
)
FORGET_WHY_NOT = "No image features are in memory."
CLEAR = "Clear ..."
CLEAR_TITLE = "Delete files?"
CLEAR_WEIGHTS_NAME = "Clear the model weights"
CLEAR_EMBEDDINGS_NAME = "Clear the text features"
OPEN_FOLDER = "Open"
OPEN_WEIGHTS_NAME = "Open the folder of the model weights"
OPEN_EMBEDDINGS_NAME = "Open the folder of the text features"
NOTHING_TO_CLEAR = "There is nothing to delete."
MODEL_WEIGHTS = "Model weights"
TEXT_FEATURES = "Text features"
COMPUTING_SIZE = "..."
COMPUTING_TIP = "The size is being computed."
WEIGHTS_AGAIN = (
    "They have to be downloaded again. Other programs that use these models must download "
    "them too. All other files in the folder stay."
)
EMBEDDINGS_AGAIN = "They are computed again when they are needed."
NO_SUCH_FOLDER = "This folder does not exist yet."


def networks_in_memory(size: int) -> str:
    """Memory of the networks in bytes."""
    return f"Networks in memory: {size_text(size) or 'none'}"


def image_features(*, images: int, size: int) -> str:
    """How many images have features in memory, and their bytes."""
    return f"{count(images, 'image')}: {size / 1e6:.0f} MB of"


def cache_line(title: str, size: int | None) -> str:
    """A cache on disk with its size in bytes; None where it is not known."""
    if size is None:
        return f"{title}: {COMPUTING_SIZE}"
    return f"{title}: {size_text(size) or 'none'}"


def cache_tip(folder: object, contents: Mapping[str, int]) -> str:
    """Where a cache is, and what is in it."""
    return "\n".join([str(folder), *contents_lines(contents)])


def clear_question(title: str, folder: object, contents: Mapping[str, int], after: str) -> str:
    """What would be deleted, and what that means."""
    head = f"{title} in {folder}, to be deleted:"
    return "\n\n".join([head, "\n".join(contents_lines(contents)), after])


def cleared(title: str, size: int) -> str:
    """Files of a cache were deleted."""
    return f"{title}: {size_text(size)} deleted."


def contents_lines(contents: Mapping[str, int]) -> list[str]:
    """What is in a cache, with sizes."""
    return [f"{name}: {size_text(size)}" for name, size in contents.items()]
