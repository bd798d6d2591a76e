"""Labels as TIFF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray


def write_label_tiff(
    path: Path, labels: NDArray[np.uint8 | np.uint16], names: Sequence[str]
) -> None:
    """Write a label array that ImageJ and everything else opens.

    Parameters
    ----------
    path : Path
    labels : (Y, X) uint8 or uint16 array
        0 is background, i + 1 is ``names[i]``.
    names : sequence of str
        Kept in ImageJ's "Info" property, one line a label.
    """
    info = "\n".join(f"{i} = {name}" for i, name in enumerate(["background", *names]))
    display = (0.0, float(max(len(names), 1)))
    tifffile.imwrite(
        path,
        labels,
        imagej=True,
        compression=None,
        metadata={"axes": "YX", "Info": info, "min": display[0], "max": display[1]},
    )
