"""What tests of annotations share."""

from __future__ import annotations

import pytest

from napari_cliper.annotation import chunks, compressed_bytes


@pytest.fixture
def small_chunks(monkeypatch, user_cache):  # noqa: ARG001 - where the file is
    """Chunks of 16 x 16 pixels, three of them unpacked, of which few fit into memory."""
    monkeypatch.setattr(chunks, "CHUNK", 16)
    monkeypatch.setattr(chunks, "UNPACKED", 3)
    monkeypatch.setattr(compressed_bytes, "_STORE", compressed_bytes._Store())
    monkeypatch.setattr(compressed_bytes, "IN_MEMORY", 300)  # bytes; the others are in a file
