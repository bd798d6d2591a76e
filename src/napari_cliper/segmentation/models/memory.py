"""Estimate the memory that attention needs, and recognise out-of-memory errors."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ..errors import InvalidInputError
from .registry import REGISTRY

MAX_PATCHES = 20_000
"""Upper limit on any computer, because attention grows with the square of the patches."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of torch (any device) or Python means out of memory."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error).lower() for words in ("can't allocate memory", "out of memory")
    )


def attention_bytes(patches: int, heads: int) -> int:
    """Return the memory of one pass: float32 logits, softmax, sum and a temporary."""
    return 4 * heads * (patches + 1) ** 2 * 4


SAM_BYTES = 1_800_000_000
"""What SAM ViT-B needs beside its weights, measured. Two arrays of 12 heads and 4096 x 4096 pairs
of patches take most of it."""


def sam_bytes(name: str) -> int:
    """Return the memory that a SAM needs beside its weights; 0 for those that need little.

    Parameters
    ----------
    name : str
        A row of the registry, or a folder. The SAM of a folder in the format of transformers is
        taken by its heads and patches; ONNX files are not looked at.
    """
    if name in REGISTRY:
        return SAM_BYTES if REGISTRY[name].patch else 0
    try:
        described = json.loads((Path(name) / "config.json").read_text(encoding="utf-8"))
        if described["model_type"] != "sam":  # SAM 2 and EdgeTAM have no attention of all patches
            return 0
        vision = described.get("vision_config", {})
        side = int(vision.get("image_size", 1024)) // int(vision.get("patch_size", 16))
        heads = int(vision.get("num_attention_heads", 12))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return 0  # loading it says what is wrong
    return SAM_BYTES * heads // 12 * side**4 // 4096**2


def check_sam_memory(name: str, device: torch.device, free: int) -> None:
    """Raise an error if a device with so many free bytes has too little memory for a SAM.

    Raises
    ------
    InvalidInputError
    """
    needed = sam_bytes(name)
    if free < needed:
        raise InvalidInputError(
            f"SAM needs {needed / 1e9:.1f} GB, and {device} has {free / 1e9:.1f} GB free. Close "
            "other programs, or choose a method and a refiner without SAM."
        )


def check_budget(
    name: str,
    shape: tuple[int, int],
    patches: int,
    heads: int,
    device: torch.device,
    free: int,
    *,
    tile: bool = False,
) -> None:
    """Raise an error if the attention for an image or a tile does not fit into memory.

    Parameters
    ----------
    name : str
        Name of the network, for the message.
    shape : (int, int)
        (Y, X) of the image or tile in pixels.
    patches, heads : int
        Number of patches and attention heads in one forward pass.
    device : torch.device
    free : int
        Free memory of the device in bytes.
    tile : bool
        Whether it is a tile, for the message.

    Raises
    ------
    InvalidInputError
    """
    needed = attention_bytes(patches, heads)
    if patches <= MAX_PATCHES and needed <= free:
        return
    reason = (
        f"and the limit is {MAX_PATCHES:,} patches"
        if patches > MAX_PATCHES
        else f"and {device} has {free / 1e9:.1f} GB free"
    )
    one, smaller = "An image", "split the image into pieces that are closer to a square"
    if tile:
        one, smaller = "A tile", "smaller tiles, a smaller scale of them, or larger objects"
    raise InvalidInputError(
        f"{one} of {shape[0]} x {shape[1]} pixels has {patches:,} patches for {name}; their "
        f"attention needs {needed / 1e9:.1f} GB, {reason}. Choose a smaller shorter side, or "
        f"{smaller}."
    )
