"""Texts of the image panel: images, planes, regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

NO_IMAGE = "There is no image. Open one, or choose one in File > Open Sample."
NO_IMAGE_SHORT = "No image"
NO_RECTANGLE = "To choose a rectangle here, draw one in a Shapes layer first."
IMAGE_NAME = "Image"
IMAGE_TIP = (
    "The image layer to segment. Follows the active layer until you choose one here. Visible "
    "layers of one size with additive blending can be segmented together."
)
PLANE_LABEL = "Plane"
PLANE_TIP = "The plane of the stack to segment."
CURRENT_PLANE = "current plane"
CURRENT_PLANE_TIP = "The plane at the position of the sliders."
CHOSEN_PLANE = "chosen plane"
CHOSEN_PLANE_TIP = "The plane with the indices below."
REGION_LABEL = "Region"
REGION_TIP = "The region of the image to segment."
REGIONS: Mapping[str, str] = MappingProxyType({"whole": "whole image", "visible": "visible region"})
WHERE_NAME = "Plane and region"
WHERE_TIP = "Which plane, and which region of it, to segment."
RECTANGLE = "rectangle in a Shapes layer"
RGB = "RGB"


def group_name(layers: Sequence[str]) -> str:
    """The name of layers that are segmented together."""
    return " + ".join(layers)


def as_displayed(group: str) -> str:
    """Layers that are segmented together, in the list of images."""
    return f"{group} (as displayed)"


def channels_of(layer: str) -> str:
    """The name of all channels of a layer, which are segmented together."""
    return f"{layer}, all channels"


def channel_name(index: int) -> str:
    """A channel of a layer with an axis of channels."""
    return f"channel {index}"


def rectangle_in(layer: str) -> str:
    """A rectangle that can be chosen."""
    return f"rectangle in {layer}"


def plane_index_tip(*, axis: str, last: int) -> str:
    """What a box for the index along an axis takes."""
    return f"{axis}: 0 to {last}."


def image_size(*, rows: int, columns: int, region: tuple[int, int] | None = None) -> str:
    """The size of an image, or of a region in it."""
    whole = f"{rows} x {columns} px"
    return whole if region is None else f"{region[0]} x {region[1]} of {whole}"


def axis_index(*, axis: str, index: int) -> str:
    """A position along an axis, such as ``z 5``."""
    return f"{axis} {index}"


def axis_position(*, axis: str, index: int, last: int) -> str:
    """A position along an axis and the last one, as napari's sliders show them: ``z 5/19``."""
    return f"{axis} {index}/{last}"


def length(size: float, unit: str) -> str:
    """A length with its unit."""
    return f"{size:.3g} {unit}"


def pixel_size(sides: Sequence[str]) -> str:
    """The height and width of a pixel; once where they are equal."""
    return " x ".join(dict.fromkeys(sides))


def context(parts: Sequence[str]) -> str:
    """The line about what would be run."""
    return " \N{MIDDLE DOT} ".join(parts)


ONLY_PLANE_AXIS = "plane"
"""The axis of a stack that has one, without a name."""


def unnamed_axis(label: str) -> str:
    """An axis without a name, one of several."""
    return f"axis {label}"


def plane_of(*, indices: str, image: str) -> str:
    """A plane in words, such as ``z 5 of stack``; the image alone if it is a single plane."""
    return f"{indices} of {image}" if indices else image


def labels_too_large(*, image: str, sides: str, needed: float, free: float) -> str:
    """A run, and the labels of all planes, do not fit in memory; sizes in bytes."""
    return (
        f"A run on {image} ({sides}) needs {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB of "
        "memory are free. Run what is visible or a rectangle, or split a stack."
    )


def annotation_too_large(*, image: str, sides: str, needed: float, free: float) -> str:
    """The annotation of an image does not fit in memory; sizes in bytes."""
    return (
        f"An annotation of {image} ({sides}) needs {needed / 1e9:.1f} GB, but only "
        f"{free / 1e9:.1f} GB of memory are free. Save parts of the image as files of their own, "
        "and annotate those."
    )


def objects_too_large(*, image: str, sides: str, needed: float, free: float) -> str:
    """The objects of a prediction do not fit in memory; sizes in bytes."""
    return (
        f"The objects of {image} ({sides}) need {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} "
        "GB of memory are free. Accept the prediction: then you see the objects around the middle "
        "of the view."
    )


def no_plane_on_screen(*, image: str) -> str:
    """The viewer shows a stack in 3-D, or from the side."""
    return (
        f"The viewer shows {image} in 3-D or from the side, so there is no current plane. Go back "
        "to the 2-D view, or choose a plane."
    )


def slider_outside(*, axis: str, index: int, image: str, last: int) -> str:
    """The sliders point outside of the image."""
    return (
        f"The viewer is at {axis} {index}, but {image} goes from 0 to {last}. Move the slider, or "
        "choose a plane."
    )


def no_rectangle_in(layer: str) -> str:
    """The chosen Shapes layer holds no rectangle."""
    return f"{layer} contains no rectangle. Draw one, or choose the whole image."


def the_rectangle_in(layer: str) -> str:
    """Begins a sentence about a rectangle."""
    return f"The rectangle in {layer}"


THE_VISIBLE_REGION = "The visible region"
OR_WHOLE_IMAGE = ", or choose the whole image"


def lies_outside(*, what: str, image: str) -> str:
    """A region has no pixel of the image."""
    return f"{what} lies outside {image}."


def only_in_flat_view(*, image: str, axes: Sequence[str], way_out: str = "") -> str:
    """A region or position needs the 2-D view."""
    view = f"the 2-D view of {' and '.join(axes)}"
    return f"{image} must be shown in {view}. Go back to that view{way_out}."


def axis_misplaced(
    *, image: str, name: str, channels: bool, axis: int, order: Sequence[int]
) -> str:
    """One of the last two axes is not that of rows or columns."""
    data = f"viewer.layers[{image!r}].data"
    opened = f"{data}, channel_axis={axis}" if channels else f"{data}.transpose({order})"
    place = "last" if axis == max(order) else "second to last"
    return (
        f"{image} has its axis {name} {place}, but the last two axes must be rows and columns. In "
        f"napari's console, open it with viewer.add_image({opened})."
    )


def channels_last(*, image: str, shape: Sequence[int]) -> str:
    """The last axis is so short that it may be that of channels."""
    axis = len(shape) - 1
    return (
        f"The last two axes of {image} must be rows and columns, but its shape is "
        f"{' x '.join(map(str, shape))}. If the last axis has channels, open it in napari's "
        f"console with viewer.add_image(viewer.layers[{image!r}].data, channel_axis={axis})."
    )


def too_small(*, what: str, rows: int, columns: int, least: int) -> str:
    """A region or image has too few pixels."""
    return f"{what} has {rows} x {columns} pixels; each side needs at least {least}."
