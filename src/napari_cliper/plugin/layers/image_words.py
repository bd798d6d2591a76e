"""Describe an image and the chosen plane and region in words. No Qt."""

from __future__ import annotations

from napari.layers import Image

from ...labels.units import known_unit
from .. import ui_text
from .image_group import ImageGroup
from .image_layers import ImageChoice, axis_name, geometry_of, image_shape


def title_of(image: Image) -> str:
    """Return the name of an image in a list of images."""
    shown_now = isinstance(image, ImageGroup) and image.axis is None
    return ui_text.as_displayed(image.name) if shown_now else image.name


def in_words(choice: ImageChoice, smallest: str = "") -> list[str]:
    """Return size, plane, pixel size and colours of a choice, the most important first.

    `smallest` says which objects are found; it is left out if it is empty.
    """
    layer = choice.layer
    shape = image_shape(layer)
    region = None if choice.region is None else choice.shape
    planes = [
        ui_text.axis_position(axis=axis_name(layer, axis), index=index, last=shape[axis] - 1)
        for axis, index in enumerate(choice.plane)
        if shape[axis] > 1
    ]
    geometry = geometry_of(layer)
    units = [known_unit(unit, "space") for unit in geometry["units"][-2:]]
    sizes = [
        ui_text.length(size, unit.ome)
        for size, unit in zip(geometry["pixel_size"][-2:], units, strict=True)
        if unit is not None
    ]
    return [
        ui_text.image_size(rows=shape[-2], columns=shape[-1], region=region),
        *planes,
        *([smallest] if smallest else []),
        *([ui_text.pixel_size(sizes)] if len(sizes) == 2 else []),
        *([] if not layer.rgb or isinstance(layer, ImageGroup) else [ui_text.RGB]),
    ]
