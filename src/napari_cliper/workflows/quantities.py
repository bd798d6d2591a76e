"""Sizes of files and durations as people read them."""

from __future__ import annotations


def size_text(size: float) -> str:
    """Return bytes as MB or GB; nothing for an unknown size, 0."""
    return "" if not size else f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def duration(seconds: float) -> str:
    """Return a time in seconds (at least 1), minutes or hours."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
