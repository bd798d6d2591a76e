"""What listens to napari, kept so that it can stop."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any


class Listeners:
    """Connections to napari's events that can be undone, all or those of one layer."""

    def __init__(self) -> None:
        self._by_owner: dict[Hashable, list[tuple[Any, Callable[..., None]]]] = {}

    def connect(self, owner: Hashable, emitter: Any, callback: Callable[..., None]) -> None:
        """Call back on an event, on behalf of an owner such as a layer."""
        emitter.connect(callback)
        self._by_owner.setdefault(owner, []).append((emitter, callback))

    def disconnect(self, owner: Hashable) -> None:
        """Undo what was connected for an owner."""
        for emitter, callback in self._by_owner.pop(owner, ()):
            emitter.disconnect(callback)

    def clear(self) -> None:
        """Undo everything."""
        for owner in list(self._by_owner):
            self.disconnect(owner)

    def __bool__(self) -> bool:
        """Whether anything is connected."""
        return bool(self._by_owner)
