"""The table of the objects of an image, which lies beside an image of their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...labels.label_names import label_name
from ...labels.labelled_image import PIXEL, LabelledImage
from ...objects.object_set import runs_of
from .measurements import write_table


def smallest_dtype(numbers: NDArray[np.int32]) -> NDArray[np.uint16 | np.uint32]:
    """Return numbers in 16 bits, or in 32 bits if one exceeds 65535."""
    wide = int(numbers.max(initial=0)) > np.iinfo(np.uint16).max
    return numbers.astype(np.uint32 if wide else np.uint16)


def object_table(image: LabelledImage, numbers: NDArray[np.int32]) -> Mapping[str, list[Any]]:
    """Return the number, label, class and area in pixels of each object.

    Parameters
    ----------
    image : LabelledImage
    numbers : int32 array
        The objects, in the shape of the labels. Each has the label of its first pixel.

    Returns
    -------
    dict of str to list
        Columns ``object``, ``label``, ``class``, ``area [pixel]``.
    """
    runs = runs_of(numbers)
    ids, first, inverse = np.unique(runs.number, return_index=True, return_inverse=True)
    areas = np.bincount(inverse, runs.length, len(ids)).astype(np.int64)
    of_object = image.labels[tuple(axis[first] for axis in runs.first)].tolist()
    names = {label: label_name(image, label) for label in set(of_object)}
    return {
        "object": ids.tolist(),
        "label": of_object,
        "class": [names[label] for label in of_object],
        f"area [{PIXEL}]": areas.tolist(),
    }


def write_object_table(path: Path, image: LabelledImage, numbers: NDArray[np.int32]) -> None:
    """Write `object_table` as CSV; see `measurements.write_table`."""
    write_table(path, object_table(image, numbers))
