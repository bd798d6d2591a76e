"""Connections to napari's events that can be disconnected together."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any


class Listeners:
    """Connections to napari's events; disconnects all of them, or those of one owner."""

    def __init__(self) -> None:
        self._by_owner: dict[Hashable, list[tuple[Any, Callable[..., None]]]] = {}

    def connect(self, owner: Hashable, emitter: Any, callback: Callable[..., None]) -> None:
        """Connect a callback to an event, for an owner such as a layer."""
        emitter.connect(callback)
        self._by_owner.setdefault(owner, []).append((emitter, callback))

    def disconnect(self, owner: Hashable) -> None:
        """Disconnect the callbacks of an owner."""
        for emitter, callback in self._by_owner.pop(owner, ()):
            emitter.disconnect(callback)

    def clear(self) -> None:
        """Disconnect all callbacks."""
        for owner in list(self._by_owner):
            self.disconnect(owner)

    def __bool__(self) -> bool:
        """Whether anything is connected."""
        return bool(self._by_owner)
