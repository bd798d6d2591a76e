"""A method to copy. It works, but it is not in the table.

1. Copy this file to ``methods/yourmethod.py`` and say in the first line what it is and which paper
   it is from.
2. Fill in the class. Most methods only change the last block of CLIP: they derive from
   `LastBlockMethod`. One that reads CLIP in another way derives from `protocol.Method` and says
   all of it; ``cliper.py`` is an example.
3. Add a row to ``methods/table.py``. The command line, the window, the benchmarks and the tests
   that run every method follow it.
"""

from __future__ import annotations

from .last_block import LastBlockMethod


class Template(LastBlockMethod):
    """CLIP's last block under the attention of values to values."""

    # Which attention the last block gets: a key of `models.last_block_attention.LAST_BLOCK`,
    # where a new one can be added as a function of q, k and v.
    attention = "v-v"

    # Whether the residual connection and the MLP of the last block are kept.
    residual = False

    # A method that needs more than an attention overrides `encode`; see `proxyclip.py`.
