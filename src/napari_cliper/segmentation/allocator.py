"""Memory that Python has freed and the C library keeps. Loads no torch."""

from __future__ import annotations

import ctypes
import sys


def give_back_memory() -> None:
    """Return freed memory to the system; has an effect with glibc (Linux) only.

    glibc keeps what is freed below memory still in use, in each thread's own heap. After jobs in
    many threads, each with arrays of other sizes, that is gigabytes. Takes milliseconds.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
