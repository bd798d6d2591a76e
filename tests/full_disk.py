"""A disk that seems full."""

from __future__ import annotations

from contextlib import contextmanager

import pytest


@contextmanager
def small_files():
    """No file may be larger than 4 KiB: to write on fails as on a full disk."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
