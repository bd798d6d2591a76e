"""The memory that a part of a test takes, as Linux counts it: of C libraries too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Memory:
    """How many bytes of resident memory were added at most."""

    added: int = 0


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@contextmanager
def most_resident_during() -> Iterator[Memory]:
    """Yield what is added meanwhile; known at the end."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _peak()
    memory = Memory()
    try:
        yield memory
    finally:
        memory.added = _peak() - before
