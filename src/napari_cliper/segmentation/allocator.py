"""Return memory that Python has freed to the system. Does not load torch."""

from __future__ import annotations

import ctypes
import sys


def give_back_memory() -> None:
    """Return freed memory to the system; has an effect with glibc (Linux) only.

    In each thread's heap, glibc keeps freed memory that lies below memory still in use. After jobs
    in many threads with arrays of different sizes, this can be gigabytes. Takes milliseconds.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
