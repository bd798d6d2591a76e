"""The label stores of this process, by the folder that they read."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol
from weakref import WeakSet


class OpenStore(Protocol):
    """The part of `label_store.LabelStore` that is used here."""

    in_memory: bool

    @property
    def path(self) -> Path | None:
        """The folder that it reads."""
        ...


_ALL: WeakSet[OpenStore] = WeakSet()
_LOCK = threading.Lock()


def add(store: OpenStore) -> None:
    """Register a new store for as long as it is in use."""
    with _LOCK:
        _ALL.add(store)


def in_use(path: Path) -> bool:
    """Return whether a store reads a folder."""
    with _LOCK:
        return any(store.path == path and not store.in_memory for store in _ALL)
