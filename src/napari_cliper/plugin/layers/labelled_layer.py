"""A Labels layer as a `LabelledImage` for export: labels, classes, pixel size and axes.

Uses the data and attributes that napari passes to a writer (`layer.as_layer_data_tuple()`), so
that no viewer is needed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.utils.transforms import CompositeAffine
from numpy.typing import NDArray

from ...labels.axes import axes_from_names
from ...labels.imported_labels import as_labels
from ...labels.label_class import ClassRow
from ...labels.labelled_image import PIXEL, LabelledImage
from ...objects.labelled import with_objects
from ...objects.object_set import objects_of
from .. import ui_text
from .image_layers import OBJECTS_OF, OUTPUT_KEY


def labelled_of_layer(data: Any, attributes: Mapping[str, Any], name: str) -> LabelledImage:
    """Convert a Labels layer to a `LabelledImage`.

    Parameters
    ----------
    data : (..., Y, X) array of int
        NumPy, dask or a similar array; for a multiscale layer, its levels.
    attributes : mapping of str to Any
        The layer's state: ``features`` with the columns ``index`` and ``class``, ``metadata``,
        ``colormap``, ``scale``, ``rotate``, ``shear``, ``affine``, ``units``, ``axis_labels``.
        Missing ones have napari's defaults.
    name : str
        Base name of the files.

    Returns
    -------
    LabelledImage
        Without image and mask. A layer that has no table of classes gets the classes "label 1",
        "label 2", .., as far as they occur, in the colours that napari shows. The size of a
        pixel is the length of its sides in the world.

    Raises
    ------
    InvalidInputError
        For negative labels and labels over 65535.
    """
    pixels = np.asarray(data[0] if attributes.get("multiscale") else data)
    record = record_of(attributes)
    names = _names(attributes.get("features"))
    if OBJECTS_OF in record:
        return _with_objects(pixels, attributes, name, names or {})
    labels = as_labels(pixels, name)
    if names is None:
        names = {int(label): ui_text.label_name(int(label)) for label in np.unique(labels) if label}
    return LabelledImage(
        name,
        labels,
        _classes(names, _synonyms(record), attributes.get("colormap")),
        pixel_size=_pixel_size(attributes, labels.ndim),
        units=_units(attributes.get("units"), labels.ndim),
        axes=axes_from_names(attributes.get("axis_labels"), labels.ndim),
        record=record,
    )


def _with_objects(
    numbers: NDArray[Any], attributes: Mapping[str, Any], name: str, names: Mapping[int, str]
) -> LabelledImage:
    """The layer of objects: the classes of its features, and its numbers as instances."""
    labels = {one: label for label, one in enumerate(dict.fromkeys(names.values()), 1)}
    objects = objects_of(numbers)
    named = [number for number in objects.ids.tolist() if number in names]
    objects = objects.with_labels({number: labels[names[number]] for number in named})
    image = LabelledImage(
        name,
        np.zeros(numbers.shape, np.uint16),
        {label: ClassRow(one) for one, label in labels.items()},
        pixel_size=_pixel_size(attributes, numbers.ndim),
        units=_units(attributes.get("units"), numbers.ndim),
        axes=axes_from_names(attributes.get("axis_labels"), numbers.ndim),
    )
    return with_objects(image, objects)


def record_of(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the provenance in the metadata of a layer; empty if the layer is not ours.

    Parameters
    ----------
    attributes : mapping of str to Any
        The layer's state.
    """
    record = (attributes.get("metadata") or {}).get(OUTPUT_KEY)
    if not isinstance(record, Mapping):
        return {}
    try:
        json.dumps(dict(record), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return {}
    return record


def _names(features: Any) -> dict[int, str] | None:
    """The name of each label; None if the features of the layer have no classes.

    Rows whose index is no label (empty, text, a fraction) are ignored.
    """
    if features is None or "class" not in features:
        return None
    numbers = features["index"] if "index" in features else range(len(features))
    return {
        label: str(name)
        for label, name in zip(map(_label, numbers), features["class"], strict=True)
        # An empty cell is not a str.
        if label > 0 and isinstance(name, str) and name.strip()
    }


def _label(value: Any) -> int:
    """The label in a cell of the features; 0 for none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0
    return int(number) if number.is_integer() else 0


def _synonyms(record: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The synonyms by class name, if the provenance has them."""
    found = {}
    classes = record.get("classes")
    for one in classes if isinstance(classes, list | tuple) else ():
        if isinstance(one, Mapping) and isinstance(one.get("name"), str):
            words = one.get("synonyms")
            given = words if isinstance(words, list | tuple) else ()
            found[one["name"]] = tuple(word for word in given if isinstance(word, str) and word)
    return found


def _classes(
    names: Mapping[int, str], synonyms: Mapping[str, tuple[str, ...]], colormap: Any
) -> dict[int, ClassRow]:
    if colormap is None or not names:
        return {label: ClassRow(name, synonyms.get(name, ())) for label, name in names.items()}
    shown: NDArray[Any] = np.asarray(colormap.map(np.array(list(names))))  # (N, 4), 0 to 1
    rows = {}
    for (label, name), (*colour, alpha) in zip(names.items(), shown.tolist(), strict=True):
        red, green, blue = (round(part * 255) for part in colour)
        rows[label] = ClassRow(
            name, synonyms.get(name, ()), colour=(red, green, blue), visible=alpha > 0
        )
    return rows


def _pixel_size(attributes: Mapping[str, Any], ndim: int) -> tuple[float, ...]:
    """The distance of neighbouring pixels along each axis in world units."""
    keys = ("scale", "rotate", "shear")
    given = {key: attributes[key] for key in keys if attributes.get(key) is not None}
    matrix = np.asarray(CompositeAffine(ndim=ndim, **given).linear_matrix)
    affine = attributes.get("affine")
    if affine is not None:
        matrix = np.asarray(affine)[:-1, :-1] @ matrix
    return tuple(math.hypot(*column) for column in matrix.T.tolist())


def _units(units: Any, ndim: int) -> tuple[str, ...]:
    return (PIXEL,) * ndim if units is None else tuple(str(unit) for unit in units)
