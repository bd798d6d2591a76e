"""Estimate the memory that attention needs, and recognise out-of-memory errors."""

from __future__ import annotations

import torch

from ..errors import InvalidInputError

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


def check_sam_memory(device: torch.device, free: int) -> None:
    """Raise an error if a device with so many free bytes has too little memory for SAM ViT-B.

    Raises
    ------
    InvalidInputError
    """
    if free < SAM_BYTES:
        raise InvalidInputError(
            f"SAM needs {SAM_BYTES / 1e9:.1f} GB, and {device} has {free / 1e9:.1f} GB free. Close "
            "other programs, or choose a method and a refiner without SAM."
        )


def check_budget(
    name: str, shape: tuple[int, int], patches: int, heads: int, device: torch.device, free: int
) -> None:
    """Raise an error if the attention for an image does not fit into memory.

    Parameters
    ----------
    name : str
        Name of the network, for the message.
    shape : (int, int)
        (Y, X) of the image in pixels.
    patches, heads : int
        Number of patches and attention heads in one forward pass.
    device : torch.device
    free : int
        Free memory of the device in bytes.

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
    raise InvalidInputError(
        f"An image of {shape[0]} x {shape[1]} pixels has {patches:,} patches for {name}; their "
        f"attention needs {needed / 1e9:.1f} GB, {reason}. Choose a smaller shorter side, or "
        "split the image into pieces that are closer to a square."
    )
