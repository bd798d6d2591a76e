"""Report a full disk when numpy fails to write.

`ndarray.tofile`, which tifffile and `numpy.save` use, bypasses Python's file objects. If the disk
is full, it raises an OSError with the number of bytes written, but without an error number.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def full_disk_errors(path: Path) -> Iterator[None]:
    """Context manager that turns an OSError without an error number into a full disk error.

    Raises
    ------
    OSError
        With ENOSPC instead of an error without a number; other errors are not changed.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
