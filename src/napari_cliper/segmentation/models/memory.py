"""How much memory an image may ask for, and how a lack of it is recognised."""

from __future__ import annotations

import torch

from ..errors import InvalidInputError

MAX_PATCHES = 20_000
"""No image may have more, on any machine: the attention between them grows with the square."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, on any device, or Python had no memory left."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error).lower() for words in ("can't allocate memory", "out of memory")
    )


def check_budget(
    name: str, shape: tuple[int, int], patches: int, heads: int, device: torch.device, free: int
) -> None:
    """Refuse an image whose attention the device cannot hold.

    Parameters
    ----------
    name : str
        Whose patches they are, for the message.
    shape : (int, int)
        (Y, X) of the image.
    patches, heads : int
        Of one pass of the network.
    device : torch.device
    free : int
        Bytes that the device can give.

    Raises
    ------
    InvalidInputError
    """
    needed = 4 * heads * (patches + 1) ** 2 * 4  # logits, softmax, their sum, one in work; float32
    if patches <= MAX_PATCHES and needed <= free:
        return
    reason = (
        f"more than the {MAX_PATCHES:,} that any machine is trusted with"
        if patches > MAX_PATCHES
        else f"and {device} has {free / 1e9:.1f} GB free"
    )
    raise InvalidInputError(
        f"An image of {shape[0]} x {shape[1]} pixels makes {patches:,} patches for {name}; their "
        f"attention needs {needed / 1e9:.1f} GB, {reason}. Choose a smaller shorter side, or cut "
        "the image into pieces that are closer to a square."
    )
