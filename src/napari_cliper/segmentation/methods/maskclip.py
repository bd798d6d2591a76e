"""MaskCLIP (arXiv 2112.01071): the values of the last block, patch by patch."""

from __future__ import annotations

from .last_block import LastBlockMethod


class MaskClip(LastBlockMethod):
    """CLIP's last block where each patch attends to itself alone."""

    attention = "identity"
    residual = False
