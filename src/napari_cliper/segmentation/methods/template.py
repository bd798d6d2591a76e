"""A template for a new method. It works, but it is not in the table.

1. Copy this file to ``methods/yourmethod.py``, and name the method and its paper in the first
   line.
2. Fill in the class. Most methods change only the last block of CLIP: they derive from
   `LastBlockMethod`. Others derive from `protocol.Method`; ``cliper.py`` is an example.
3. Add a row to ``methods/table.py``. The command line, the window, the benchmarks and the tests
   that run every method then include it.
"""

from __future__ import annotations

from .last_block import LastBlockMethod


class Template(LastBlockMethod):
    """CLIP's last block with the attention between its value vectors."""

    # The attention of the last block: a key of `models.last_block_attention.LAST_BLOCK`. Add a new
    # one there, as a function of q, k and v.
    attention = "v-v"

    # Whether the residual connection and the MLP of the last block are kept.
    residual = False

    # A method that needs more than an attention overrides `encode`; see `proxyclip.py`.
