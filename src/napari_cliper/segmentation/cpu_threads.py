"""How many CPU threads PyTorch uses, and how they wait for each other. Loads no torch by itself."""

from __future__ import annotations

import os


def wait_passively() -> None:
    """Let PyTorch's threads sleep while they wait; has an effect only before PyTorch is loaded.

    By default they spin. Beside another busy program, a pass of a network then takes ten times as
    long, because the thread that all others wait for gets no core. A choice of the user is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def available_cores() -> int:
    """Return how many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_threads() -> int:
    """Return how many threads an operation of PyTorch uses in this thread."""
    import torch  # noqa: PLC0415 - this module is imported before PyTorch

    return torch.get_num_threads()


def use_cpu_threads(count: int) -> None:
    """Set how many threads an operation of PyTorch uses in this thread and in those it starts."""
    import torch  # noqa: PLC0415 - as above

    torch.set_num_threads(count)
