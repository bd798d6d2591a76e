"""Folders of real labelled images: DIR/KIND/images, labels and instances, one PNG file for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

UNKNOWN = 255
"""The label of pixels that nobody has labelled."""


def kinds(folder: Path, part: str, limit: int | None) -> Iterator[tuple[Path, list[str]]]:
    """Each folder KIND that has a part, such as ``labels``, and the first names in it."""
    for kind in sorted(path.parent for path in folder.glob(f"*/{part}")):
        yield kind, sorted(path.name for path in (kind / part).glob("*.png"))[:limit]
