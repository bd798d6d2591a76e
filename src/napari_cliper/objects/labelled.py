"""Objects as a labelled image, which all exporters take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..labels.label_class import ClassRow
from ..labels.labelled_image import LabelledImage
from .object_set import Objects

NO_CLASS = "object"
"""Name of the class of objects without one."""


def with_objects(
    image: LabelledImage, objects: Objects, labels: NDArray[np.uint16] | None = None
) -> LabelledImage:
    """Return an image with the labels and the instances of objects.

    Parameters
    ----------
    image : LabelledImage
        Its labels are replaced, and none of its pixels is ignored.
    objects : Objects
        In the shape of the labels. Objects without a class get the class ``"object"``.
    labels : uint16 array, optional
        The class label of each object pixel, if an object has several classes in a stack. Default:
        those of `objects`.

    Returns
    -------
    LabelledImage
    """
    classes = dict(image.classes)
    array = objects.label_array() if labels is None else labels.copy()
    nameless = (array == 0) & (objects.numbers > 0)
    if nameless.any():
        free = next((label for label, row in classes.items() if row.name == NO_CLASS), 0)
        free = free or max([*classes, int(array.max(initial=0))], default=0) + 1
        classes[free] = classes.get(free, ClassRow(NO_CLASS))
        array[nameless] = free
    small = np.uint8 if array.max(initial=0) <= np.iinfo(np.uint8).max else np.uint16
    return replace(
        image,
        labels=array.astype(small),
        instances=objects.numbers,
        classes=classes,
        ignored=None,
    )
