"""Write labels as NumPy archives, without pickled objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...labels.label_names import label_names
from ...labels.labelled_image import LabelledImage


def write_npz(path: Path, image: LabelledImage) -> None:
    """Write labels with class names, colours and pixel sizes as a compressed archive.

    Parameters
    ----------
    path : Path
    image : LabelledImage

    Notes
    -----
    The arrays are ``labels``; without the background, ``class_labels`` (N,) int64,
    ``class_names`` (N,) text and ``class_colours`` (N, 3) uint8; one entry per axis in
    ``pixel_size`` float64, ``units`` text and ``axes`` (single letters); and, if the image has
    such a mask, ``ignored`` bool in the shape of ``labels``.
    """
    names = label_names(image)
    del names[0]
    arrays: dict[str, Any] = {
        "labels": image.labels,
        "class_labels": np.array(list(names), dtype=np.int64),
        "class_names": np.array(list(names.values()), dtype=np.str_),
        "class_colours": np.array(list(image.colours.values()), dtype=np.uint8).reshape(-1, 3),
        "pixel_size": np.array(image.pixel_size, dtype=np.float64),
        "units": np.array(image.units, dtype=np.str_),
        "axes": np.array(list(image.axes), dtype=np.str_),
    }
    if image.ignored is not None:
        arrays["ignored"] = image.ignored
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
