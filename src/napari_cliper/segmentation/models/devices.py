"""Choose the device and the dtype that networks compute on."""

from __future__ import annotations

import psutil
import torch

from ..config import Precision
from ..errors import InvalidInputError, unknown_choice

_DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def choose_device(name: str) -> torch.device:
    """Return the torch device of a name; ``"auto"`` prefers CUDA, then MPS, then the CPU.

    Raises
    ------
    InvalidInputError
        If the name is unknown or this computer has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, colon, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (colon and not index.isdecimal()):
        raise unknown_choice("device", name, ("auto", "cpu", "cuda", "cuda:0", "mps"))
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }[kind]
    if int(index or 0) >= there:
        found = f"{there} device{'s' * (there != 1)} of that kind" if there else "none"
        raise InvalidInputError(
            f"The device {name!r} is not available: torch finds {found}. Choose 'cpu' or 'auto'."
        )
    return torch.device(name)


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype that the networks compute in.

    ``"auto"`` is float16 on CUDA and float32 elsewhere.

    Raises
    ------
    InvalidInputError
        For float16 on a CPU, which lacks many of its operations, and for bfloat16 on a GPU that
        does not support it.
    """
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if precision == "float16" and device.type == "cpu":
        raise InvalidInputError(
            "float16 does not work on a CPU. Choose float32, or bfloat16 if the CPU supports it."
        )
    if precision == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise InvalidInputError("This GPU does not support bfloat16. Choose float16 or float32.")
    return _DTYPES[precision]


def free_memory(device: torch.device) -> int:
    """Return the free memory of a device in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
