"""Labels as TIFF: one that ImageJ and Fiji open as theirs, and OME-TIFF.

ImageJ's keys (unit, spacing, finterval, Info, a colour table of 256 entries) are those its own
TIFF reader looks for, the layout of OME-XML is that of the schema 2016-06. Neither holds pixels
that nobody has decided on: those keep their label.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import tifffile
from numpy.typing import NDArray

from ...labels.label_names import label_names, palette
from ...labels.labelled_image import PIXEL, LabelledImage
from ...labels.stack_axes import Stack, five_dimensional, ordered
from ...labels.units import known_unit
from ..short_writes import full_when_short

CLASSES_NAMESPACE = "napari-cliper/classes"
COLOURS_NAMESPACE = "napari-cliper/colours"
"""Where an OME-TIFF keeps the classes' names and colours: map annotations, keyed by label."""

AXES_NAMESPACE = "napari-cliper/axes"
AXES_KEY = "napari_cliper_axes"
"""Where an OME-TIFF, and ImageJ's TIFF, keep the axes of the labels and what they are stored as."""

_IMAGEJ_COLOURS = 256


def write_label_tiff(path: Path, image: LabelledImage) -> None:
    """Write labels that ImageJ opens with pixel size, names and the classes' colours.

    Parameters
    ----------
    path : Path
    image : LabelledImage
        Leading axes are stored as T, Z and C, in this order (see `stacks.ordered`). The names
        are kept in ImageJ's "Info" property, one line ``label = name`` each. ImageJ's colour
        table ends at label 255: of uint16 labels those above are shown like label 255, their
        numbers are kept. With a colour table it shows any stack with one slider.

    Raises
    ------
    InvalidInputError
        For more than three leading axes.
    """
    stack = five_dimensional(ordered(image, "TZC"))
    metadata = {
        "axes": f"{stack.axes}S",  # one sample: a single column would be taken for it
        "Info": "\n".join(f"{label} = {name}" for label, name in label_names(image).items()),
        # The range that the colour table is stretched over: one entry for each label.
        "min": 0.0,
        "max": float(_IMAGEJ_COLOURS - 1),
        AXES_KEY: f"{image.axes} as {stack.letters}",
        **_imagej_calibration(stack),
    }
    with full_when_short(path):
        tifffile.imwrite(
            path,
            stack.array[..., None],
            imagej=True,
            photometric="palette" if stack.array.dtype == np.uint8 else "minisblack",
            colormap=_imagej_table(image),
            compression=None,
            resolution=(1 / stack.sizes["X"], 1 / stack.sizes["Y"]),
            resolutionunit="NONE",  # ImageJ takes the unit from its own key
            metadata=metadata,
        )


def _imagej_table(image: LabelledImage) -> NDArray[np.uint16]:
    """(3, 256), 0 to 65535 as TIFF has them."""
    return palette(image, _IMAGEJ_COLOURS).T.astype(np.uint16) * 257


def _imagej_calibration(stack: Stack) -> dict[str, Any]:
    units = {axis: _imagej_unit(stack.units[axis]) for axis in "XYZ"}
    found: dict[str, Any] = {"unit": units["X"]}
    if units["Y"] != units["X"]:
        found["yunit"] = units["Y"]
    if stack.array.shape[stack.axes.index("Z")] > 1:
        found["spacing"] = stack.sizes["Z"]
        if units["Z"] != units["X"]:
            found["zunit"] = units["Z"]
    interval = known_unit(stack.units["T"], "time")
    if interval is not None:
        found |= {"finterval": stack.sizes["T"], "tunit": interval.imagej}
    return found


def _imagej_unit(word: str) -> str:
    """In ASCII, as ImageJ writes other letters."""
    unit = known_unit(word, "space")
    return (unit.imagej if unit else word).encode("ascii", "backslashreplace").decode("ascii")


def write_ome_tiff(path: Path, image: LabelledImage) -> None:
    """Write labels as OME-TIFF, compressed without loss.

    Parameters
    ----------
    path : Path
        Programs tell the format by the ending ``.ome.tif``.
    image : LabelledImage
        Leading axes are stored as T, Z and C (see `stacks.ordered`). Names and colours stand in
        map annotations (`CLASSES_NAMESPACE`, `COLOURS_NAMESPACE`), keyed by label, colours as
        ``#rrggbb``. A unit of length that OME-XML does not know becomes "reference frame", its
        word for lengths of no stated unit; one of time is left out with its length.

    Raises
    ------
    InvalidInputError
        For more than three leading axes.
    """
    stack = five_dimensional(ordered(image, "TZC"))
    names = {str(label): name for label, name in label_names(image).items()}
    colours = {str(label): "#{:02x}{:02x}{:02x}".format(*colour)
               for label, colour in image.colours.items()}  # fmt: skip
    annotations = [
        {
            "Namespace": namespace,
            "Description": description,
            "Value": value,
        }
        for namespace, description, value in (
            (CLASSES_NAMESPACE, "The class of each label", names),
            (COLOURS_NAMESPACE, "The colour of each label", colours),
            (
                AXES_NAMESPACE,
                "The axes of the labels; Q is one that nobody has named",
                {"axes": image.axes, "stored": stack.letters},
            ),
        )
        if value
    ]
    metadata = {
        "axes": stack.axes,
        "UUID": str(uuid4()),  # the writer's own would tell the machine's network address
        "Creator": "napari-cliper",
        "Name": image.name,
        "Channel": {"Name": ["labels"] * stack.array.shape[stack.axes.index("C")]},
        "MapAnnotation": annotations,
        **_ome_calibration(stack),
    }
    with full_when_short(path):
        tifffile.imwrite(
            path,
            stack.array,
            ome=True,
            photometric="minisblack",
            compression="zlib",
            metadata=metadata,
        )


def _ome_calibration(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for axis in "XYZ":
        if axis == "Z" and stack.array.shape[stack.axes.index("Z")] == 1:
            continue
        unit = known_unit(stack.units[axis], "space")
        other = PIXEL if stack.units[axis] == PIXEL else "reference frame"
        found[f"PhysicalSize{axis}"] = stack.sizes[axis]
        found[f"PhysicalSize{axis}Unit"] = unit.ome if unit else other
    interval = known_unit(stack.units["T"], "time")
    if interval is not None:
        found |= {"TimeIncrement": stack.sizes["T"], "TimeIncrementUnit": interval.ome}
    return found
