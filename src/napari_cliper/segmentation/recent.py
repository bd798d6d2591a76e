"""A cache in memory that drops the least recently used values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class RecentCache(Generic[K, V]):
    """Values by key; the least recently used are dropped. Several threads may use it.

    Parameters
    ----------
    limit : int
        Bytes that all values together may take.
    at_least : int
        Number of values that are kept even if they take more.
    size : callable, optional
        Returns the bytes of a value. Default: its `nbytes`.
    """

    def __init__(
        self, limit: int, *, at_least: int = 0, size: Callable[[V], int] = attrgetter("nbytes")
    ) -> None:
        self.limit = limit
        self._at_least = at_least
        self._size: Callable[[Any], int] = size
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self._values)

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        with self._lock:
            return sum(map(self._size, self._values.values()))

    def get(self, key: K) -> V | None:
        """Return a value and mark it as used; None if it is missing."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Store a value as the most recently used one."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            self.trim()

    def trim(self) -> None:
        """Drop values beyond the limit, for example after it or a size has changed."""
        with self._lock:
            while len(self._values) > self._at_least and self.nbytes > self.limit:
                self._values.popitem(last=False)

    def clear(self) -> None:
        """Drop all values."""
        with self._lock:
            self._values.clear()
