"""CLIP as it was trained, to compare with."""

from __future__ import annotations

from .last_block import LastBlockMethod


class PlainClip(LastBlockMethod):
    """CLIP's patches, read as the network was trained to read the class token."""

    attention = "vanilla"
    residual = True
