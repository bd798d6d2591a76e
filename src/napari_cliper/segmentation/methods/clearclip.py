"""ClearCLIP (arXiv 2407.12442): the last block without residual connection and MLP."""

from __future__ import annotations

from .last_block import LastBlockMethod


class ClearClip(LastBlockMethod):
    """CLIP's last block under the attention of queries to queries, and nothing else of it."""

    attention = "q-q"
    residual = False
