"""SCLIP (arXiv 2312.01597): each patch attends to the patches that are like itself."""

from __future__ import annotations

from .last_block import LastBlockMethod


class Sclip(LastBlockMethod):
    """CLIP's last block under the attention of queries to queries and keys to keys (eq. 3)."""

    attention = "q-q+k-k"
    residual = True
