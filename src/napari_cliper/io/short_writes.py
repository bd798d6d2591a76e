"""numpy's own writing, made to say why it failed.

`ndarray.tofile`, which tifffile and `numpy.save` use, goes past Python's files: where the disk
is full it tells how many bytes it got rid of, and no reason.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def full_when_short(path: Path) -> Iterator[None]:
    """Call a write that ended early, for which nobody gave a reason, a full disk.

    Raises
    ------
    OSError
        ENOSPC in place of an error without a number; others pass through.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
